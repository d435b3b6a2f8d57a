"""A cache of decoded pixels, limited by their bytes."""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

Pixels = TypeVar("Pixels")


class PixelCache(Generic[Pixels]):
    """Keeps the pixels that were used last, up to a number of bytes.

    A copy starts empty, so that a process that gets one does not get megabytes of pixels.

    Args:
        cache_bytes: The limit, in bytes.
        size_of: Returns the size of pixels, in bytes.

    Attributes:
        cache_bytes: The limit.
    """

    def __init__(self, cache_bytes: int, size_of: Callable[[Any], int] = attrgetter("nbytes")):
        self.cache_bytes, self._size_of = cache_bytes, size_of
        self._kept: LRUCache = LRUCache(cache_bytes, size_of)

    def __reduce__(self):
        return PixelCache, (self.cache_bytes, self._size_of)

    def get(self, key: Hashable, decode: Callable[[], Pixels]) -> Pixels:
        """Returns the pixels of a key; decodes them if they are not kept."""
        try:
            return self._kept[key]
        except KeyError:
            pass
        pixels = decode()
        # A cache refuses what is larger than all of it.
        if self._size_of(pixels) <= self.cache_bytes:
            self._kept[key] = pixels
        return pixels
