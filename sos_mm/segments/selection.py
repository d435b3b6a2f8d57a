"""A part of the records of a bank, selected by filters, categories and attributes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sos_mm.checks import few
from sos_mm.errors import ErrorCollector
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.index.fingerprint import combined
from sos_mm.segments.quality import Filters
from sos_mm.segments.record import SegmentInfo
from sos_mm.segments.table import RecordTable


@dataclass(frozen=True)
class Selection:
    """The criteria by which records are selected.

    Attributes:
        filters: Filters that a record must pass.
        categories: Category names of the bank; None for all.
        attributes: Words that must all occur in a record's attributes, as ``"red"`` in ``"dark red"``.
    """

    filters: Filters | None = None
    categories: tuple[str, ...] | None = None
    attributes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns the criteria as an error message states them."""
        asked = {} if self.filters is None else {f"filters.{k}": v for k, v in self.filters.changed.items()}
        if self.categories is not None:
            asked["categories"] = f"({few(self.categories)})"
        if self.attributes:
            asked["attributes"] = f"({few(self.attributes)})"
        return ", ".join(f"{name}={value}" for name, value in asked.items())


class SelectedRecords(Sequence):
    """A `RecordTable` over a part of an index; pickled instances hold the criteria, not the rows.

    Args:
        base: The index.
        selection: The criteria of its rows.

    Attributes:
        categories, counts, copies, skipped: See `IndexedRecords`.
        rows: (N,) int64 rows of the index.
    """

    sized = True

    def __init__(self, base: RecordTable, selection: Selection):
        self.base, self.selection = base, selection
        self.copies, self.skipped = base.copies, base.skipped
        names, counts = np.asarray(base.categories), np.asarray(base.counts)
        self.rows = selected_rows(base, selection)
        position = np.searchsorted(np.cumsum(counts), self.rows, side="right")
        left = np.bincount(position, minlength=len(counts))
        self.categories: tuple[str, ...] = tuple(names[left > 0].tolist())
        self.counts = left[left > 0]

    def __reduce__(self):
        return SelectedRecords, (self.base, self.selection)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: Any) -> Any:
        if not 0 <= position < len(self.rows):
            raise IndexError(f"`position` must be in [0, {len(self.rows)}), but got {position}.")
        return self.base[self.rows[position]]

    @cached_property
    def has_source_sizes(self) -> bool:
        """Whether the size of the source image is known for every row; reads columns only if some row of the index has
        none.
        """
        return self.base.has_source_sizes or bool(self.column("source_height").all())

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of the index and of the selected rows."""
        base: Any = self.base
        rows = self.rows
        while isinstance(base, SelectedRecords):
            base, rows = base.base, base.rows[rows]
        return base.fingerprint if len(rows) == len(base) else combined(base.fingerprint, rows.astype("<i8"))

    def file(self, position: int) -> str:
        """Returns the path of the file that holds a record."""
        return self.base.file(int(self.rows[position]))

    def info(self, position: int) -> SegmentInfo | None:
        """Returns the size and category of a record."""
        return self.base.info(int(self.rows[position]))

    def copy(self, position: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """Finds the smallest copy that is large enough, as `IndexedRecords.copy` does."""
        return self.base.copy(int(self.rows[position]), at_least)

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """Reads the pixels of a copy."""
        return self.base.read_copy(copy)

    def kind(self, position: int) -> tuple[str, tuple[str, ...]]:
        """Returns the sub-category and attributes of a record."""
        return self.base.kind(int(self.rows[position]))

    def column(self, name: str) -> np.ndarray:
        """Returns the (N,) values of a column, as `IndexedRecords.column` does."""
        return self.base.column(name)[self.rows]

    def features(self) -> Iterable[Sequence[str]]:
        """Yields the attributes of each row."""
        chosen = np.zeros(len(self.base), bool)
        chosen[self.rows] = True
        return (words for words, wanted in zip(self.base.features(), chosen, strict=True) if wanted)

    def measured(self, faults: ErrorCollector) -> "SelectedRecords":
        """Returns itself: an index holds the measurements of all segments."""
        return self

    def select(self, selection: Selection) -> "SelectedRecords":
        """Returns a part of this part."""
        return SelectedRecords(self, selection)


def selected_rows(table: RecordTable, selection: Selection) -> np.ndarray:
    """Finds the rows of a table that are selected: (N,) int64, ascending. Filters may need measured records."""
    counts = table.counts
    kept = np.ones(len(table), bool)
    if selection.categories is not None:
        kept &= np.repeat(np.isin(table.categories, list(selection.categories)), counts)
    if selection.attributes:
        wanted = {word.lower() for word in selection.attributes}
        kept &= np.fromiter((wanted <= _words(each) for each in table.features()), bool, len(table))
    if selection.filters is not None:
        kept &= selection.filters.keep(table.column, (np.cumsum(counts) - counts).tolist())
    return np.flatnonzero(kept)


def _words(attributes: Iterable[str]) -> set[str]:
    whole = {attribute.lower() for attribute in attributes}
    return whole | {word for attribute in whole for word in attribute.split()}
