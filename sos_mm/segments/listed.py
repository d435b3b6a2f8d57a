"""The record table of a list of records in memory."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sos_mm.errors import ErrorCollector
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.index.fingerprint import common_root, fingerprint
from sos_mm.segments.index.writer import measured
from sos_mm.segments.quality import ANNOTATED
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.selection import Selection, selected_rows


class ListedRecords(Sequence):
    """A `RecordTable` over records in memory.

    Args:
        records: In any order; at least one.
    """

    copies: tuple[int, ...] = ()

    def __init__(self, records: Iterable[SegmentRecord]):
        self._records = sorted(records, key=lambda record: record.category)
        names, self.counts = np.unique([record.category for record in self._records], return_counts=True)
        self.categories: tuple[str, ...] = tuple(map(str, names))
        self.skipped: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index]

    @cached_property
    def sized(self) -> bool:
        """Whether all records have been measured."""
        return all(record.measurements for record in self._records)

    @cached_property
    def has_source_sizes(self) -> bool:
        """Whether the size of the source image is known for every record."""
        return all(record.source_size is not None for record in self._records)

    @cached_property
    def fingerprint(self) -> str:
        """Content hash, equal to that of an index of the same records; reads the size of every file."""
        return fingerprint(self._records, common_root(self._records))

    def file(self, index: int) -> str:
        """Returns the path of the file that holds a record."""
        return self._records[index].file

    def info(self, index: int) -> SegmentInfo | None:
        """Returns the size and category of a record; None if it has not been measured."""
        record = self._records[index]
        if record.measurements is None:
            return None
        size = record.measurements.box_height, record.measurements.box_width
        return SegmentInfo(size, record.category, record.source_size, record.cut_sides)

    def kind(self, index: int) -> tuple[str, tuple[str, ...]]:
        """Returns the sub-category and attributes of a record."""
        return self._records[index].sub_category, self._records[index].attributes

    def copy(self, index: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """Returns None: only an index has multi-resolution copies."""
        return None

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """Raises ValueError, since there are no multi-resolution copies."""
        raise ValueError("Only an index has multi-resolution copies, but these records are a list.")

    def column(self, name: str) -> np.ndarray:
        """Returns the (N,) values of a column, as `IndexedRecords.column` does."""
        if name in ANNOTATED:
            position = ANNOTATED.index(name)
            return np.array([-1 if record.flags is None else record.flags[position] for record in self], np.int8)
        if name == "bordering":
            return np.array([record.bordering for record in self], np.float64)
        return np.array([getattr(record.measurements, name) for record in self], np.uint64 if name == "hash" else None)

    def features(self) -> Iterator[Sequence[str]]:
        """Yields the attributes of each record."""
        return (record.attributes for record in self._records)

    def measured(self, faults: ErrorCollector) -> "ListedRecords":
        """Reads all records that have not been measured yet; ``faults`` records those that cannot be read."""
        return ListedRecords(measured(self._records, faults))

    def select(self, selection: Selection) -> "ListedRecords":
        """Returns a table of the selected records."""
        return ListedRecords([self._records[row] for row in selected_rows(self, selection)])
