"""A line that says how far a run is."""

import sys
import time


class Progress:
    """Writes to stderr: over and over on one line of a terminal, every tenth of the way elsewhere.

    Args:
        total: Images to make.
        shown: Whether to write at all.
    """

    def __init__(self, total: int, shown: bool = True):
        self.total, self.shown = total, shown
        self.done, self._told = 0, 0
        self._start = time.monotonic()

    def add(self, number: int) -> None:
        """Counts images that were made."""
        self.done += number
        if not self.shown:
            return
        seconds = max(time.monotonic() - self._start, 1e-6)
        left = seconds * (self.total - self.done) / self.done
        text = f"{self.done}/{self.total} images, {self.done / seconds:.1f} images/s, {left:.0f} s left"
        if sys.stderr.isatty():
            end = "\n" if self.done == self.total else ""
            print(f"\r\033[K{text}", end=end, file=sys.stderr, flush=True)
        elif self.done * 10 // self.total > self._told:
            self._told = self.done * 10 // self.total
            print(text, file=sys.stderr, flush=True)
