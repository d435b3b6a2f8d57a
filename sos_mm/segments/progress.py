"""A line that says how far a reading of many segments is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Value = TypeVar("Value")


def told(values: Iterable[Value], total: int, shown: bool = True) -> Iterator[Value]:
    """Hands the values on, and writes to stderr how many they were: each second, on one line of a terminal."""
    start = last = time.monotonic()
    for done, value in enumerate(values, 1):
        yield value
        now = time.monotonic()
        if shown and (now - last >= 1 or (done == total and last > start)):
            last = now
            text = f"{done}/{total} segments, {done / (now - start):.0f} segments/s"
            print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end=_end(done == total), file=sys.stderr)


def _end(last: bool) -> str:
    return "\n" if last or not sys.stderr.isatty() else ""
