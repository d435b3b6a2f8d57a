"""What a bank asks of its records, be they an index, a part of one, or a list."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from sos_mm.errors import ErrorCollector
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.record import SegmentInfo, SegmentRecord


class RecordTable(Protocol):
    """Records sorted by category; what is known of many is asked for without making a record of each.

    Attributes:
        categories: Names, sorted.
        counts: (C,) int64 records of each category.
        copies: Longest sides of the reduced copies in pixels, rising; empty where there are none.
        skipped: How many segments were left out when the table was made, by reason.
        sized: Whether `outline` knows all records without decoding them.
        has_source_sizes: Whether of every record it is known how large the image is that it was cut out of.
        fingerprint: 64 digits that tell its contents from others; see `Fingerprint`.
    """

    categories: tuple[str, ...]
    counts: np.ndarray
    copies: tuple[int, ...]
    skipped: dict[str, int]

    @property
    def sized(self) -> bool:
        """See above."""

    @property
    def has_source_sizes(self) -> bool:
        """See above."""

    @property
    def fingerprint(self) -> str:
        """See above."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> SegmentRecord: ...

    def __iter__(self) -> Iterator[SegmentRecord]: ...

    def file(self, index: int) -> str:
        """Gives the path of the file that a record is in."""

    def outline(self, index: int) -> SegmentInfo | None:
        """Gives what a layout needs to know of a record; None if it must be decoded for that."""

    def kind(self, index: int) -> tuple[str, tuple[str, ...]]:
        """Gives the sub-category and attributes of a record."""

    def copy(self, index: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """Finds the smallest copy that is large enough to be scaled down to a height and width."""

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """Reads the pixels (h, w, 4) uint8 of a copy."""

    def column(self, name: str) -> np.ndarray:
        """Gives the (N,) values of a fact; flags as int8, -1 where nothing was said; NaN for unknown numbers."""

    def features(self) -> Iterable[Sequence[str]]:
        """Gives the attributes of each record, in turn."""

    def measured(self, faults: ErrorCollector) -> "RecordTable":
        """Gives the table with the facts of all records; ``faults`` records those that cannot be read."""

    def select(self, selection) -> "RecordTable":
        """Gives the table of what a `Selection` keeps."""
