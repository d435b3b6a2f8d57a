"""A line on stderr that says how far a run is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Value = TypeVar("Value")


class Progress:
    """Writes to stderr: over and over on one line of a terminal, every tenth of the way elsewhere.

    Args:
        total: How many there are.
        unit: What they are, such as 'images'.
        shown: Whether to write at all.
    """

    def __init__(self, total: int, unit: str, shown: bool = True):
        self.total, self.unit, self.shown = total, unit, shown
        self.done, self._told = 0, 0
        self._start = self._last = time.monotonic()

    def add(self, number: int) -> None:
        """Counts those that are done."""
        self.done += number
        if not self.shown:
            return
        now = time.monotonic()
        seconds = max(now - self._start, 1e-6)
        left = seconds * (self.total - self.done) / self.done
        text = f"{self.done}/{self.total} {self.unit}, {self.done / seconds:.1f} {self.unit}/s, {left:.0f} s left"
        finished = self.done == self.total
        if sys.stderr.isatty():
            if finished or now - self._last > 0.1:
                self._last = now
                print(f"\r\033[K{text}", end="\n" if finished else "", file=sys.stderr, flush=True)
        elif self.done * 10 // self.total > self._told:
            self._told = self.done * 10 // self.total
            print(text, file=sys.stderr, flush=True)

    def over(self, values: Iterable[Value]) -> Iterator[Value]:
        """Hands values on and counts them."""
        for value in values:
            yield value
            self.add(1)
