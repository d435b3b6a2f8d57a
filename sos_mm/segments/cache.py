"""A small memory of what was decoded last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

Value = TypeVar("Value")


class ByteCache:
    """Keeps the values used last, up to a number of bytes.

    Args:
        limit: Bytes to keep at most; 0 keeps nothing.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._values: OrderedDict = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """Returns the value kept under ``key``; made, and kept if it fits, where there is none."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        value = make()
        if size(value) <= self.limit:
            self._values[key] = value, size(value)
            self._bytes += size(value)
        while self._bytes > self.limit:
            self._bytes -= self._values.popitem(last=False)[1][1]
        return value

    def __getstate__(self):
        # A process that gets a copy starts with an empty memory instead of megabytes of pixels.
        return self.limit

    def __setstate__(self, limit: int):
        self.__init__(limit)
