"""The interface of the records of a bank: an index, a part of one, or a list."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from sos_mm.errors import ErrorCollector
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.record import SegmentInfo, SegmentRecord


class RecordTable(Protocol):
    """Records sorted by category; columns are read without building each record.

    Attributes:
        categories: Names, sorted.
        counts: (C,) int64 records of each category.
        copies: Longest sides of the multi-resolution copies in pixels, ascending; empty if there are none.
        skipped: Number of segments that were left out when the table was built, by reason.
    """

    categories: tuple[str, ...]
    counts: np.ndarray
    copies: tuple[int, ...]
    skipped: dict[str, int]

    @property
    def sized(self) -> bool:
        """Whether `info` works for all records without decoding them."""

    @property
    def has_source_sizes(self) -> bool:
        """Whether the size of the source image is known for every record."""

    @property
    def fingerprint(self) -> str:
        """Content hash, 64 hexadecimal digits; see `Fingerprint`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> SegmentRecord: ...

    def __iter__(self) -> Iterator[SegmentRecord]: ...

    def file(self, index: int) -> str:
        """Returns the path of the file that holds a record."""

    def info(self, index: int) -> SegmentInfo | None:
        """Returns the size and category of a record; None if it must be decoded for that."""

    def kind(self, index: int) -> tuple[str, tuple[str, ...]]:
        """Returns the sub-category and attributes of a record."""

    def copy(self, index: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """Finds the smallest copy that is large enough to be scaled down to a height and width."""

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """Reads the pixels (h, w, 4) uint8 of a copy."""

    def column(self, name: str) -> np.ndarray:
        """Returns the (N,) values of a column; flags as int8, -1 where not annotated; NaN for unknown numbers."""

    def features(self) -> Iterable[Sequence[str]]:
        """Yields the attributes of each record."""

    def measured(self, faults: ErrorCollector) -> "RecordTable":
        """Returns a table with the measurements of all records; ``faults`` records those that cannot be read."""

    def select(self, selection) -> "RecordTable":
        """Returns the table of the records that a `Selection` keeps."""
