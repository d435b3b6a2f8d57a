"""One file that says all about the segments of a bank but their pixels: uncompressed Arrow, memory-mapped."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.checks import require
from sos_mm.segments.quality import ANNOTATED, Facts
from sos_mm.segments.record import PackedCopy, SegmentRecord

_VERSION = 1
_KEY = b"sos_mm.segments"
_ROWS = 2**16
_WORDS = ("category", "sub_category", "phrase", "description")
_FACTS = {field.name: "int32" for field in fields(Facts)} | {
    "area": "int64", "touching": "bool", "holes": "float64", "soft": "float64", "hash": "uint64",
}  # fmt: skip
_TYPES = {
    **dict.fromkeys(_WORDS, "string"),
    "features": "list",
    **_FACTS,
    "file": "string",
    "offset": "int64",
    "length": "int64",
    "outline": "string",
    "soften": "float64",
    **dict.fromkeys(ANNOTATED, "bool"),
    "copy_offset": "int64",
    "copy_length": "int64",
    "source_id": "string",
}


def arrow() -> Any:
    """pyarrow; raises ImportError with the remedy if it is not installed."""
    return require("pyarrow", "An index of segments", "pip install pyarrow")


def schema(about: dict[str, Any]) -> Any:
    """The columns of an index, with what its header says."""
    pa = arrow()
    kinds = {"list": pa.list_(pa.string()), "bool": pa.bool_()}
    columns = [(name, kinds[kind] if kind in kinds else getattr(pa, kind)()) for name, kind in _TYPES.items()]
    return pa.schema(columns, metadata={_KEY: json.dumps(about).encode()})


def about(categories: Sequence[str], counts: Sequence[int], root: str, copies: int = 0, skipped: int = 0) -> dict:
    """The header of an index.

    Args:
        categories: Names in the order of the rows.
        counts: Rows of each.
        root: Folder that the names of files begin at.
        copies: Longest side of the reduced copies, in pixels; 0 if there are none.
        skipped: Segments that were left out as broken.
    """
    return {
        "version": _VERSION,
        "categories": list(categories),
        "counts": list(map(int, counts)),
        "root": root,
        "batch_rows": _ROWS,
        "copies": copies,
        "skipped": skipped,
    }


def write_index(path: str | Path, records: Sequence[SegmentRecord], copies: int = 0, skipped: int = 0) -> None:
    """Writes an index, whole or not at all.

    Args:
        path: The file, such as ``bank.arrow``.
        records: Measured records, sorted by category.
        copies: Longest side of their reduced copies; 0 if there are none.
        skipped: Segments that were left out as broken.

    Raises:
        ImportError: If pyarrow is not installed.
        OSError: If the file cannot be written.
    """
    pa, path = arrow(), Path(path)
    root = os.path.commonpath([record.path.absolute().parent for record in records])
    names, counts = np.unique([record.category for record in records], return_counts=True)
    kind = schema(about(names.tolist(), counts, root, copies, skipped))
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, kind) as writer:
            for start in range(0, len(records), _ROWS):
                writer.write_batch(_batch(records[start : start + _ROWS], kind, root))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _batch(records: Sequence[SegmentRecord], kind: Any, root: str) -> Any:
    rows = [_row(record, root) for record in records]
    columns = [list(values) for values in zip(*rows, strict=True)]
    pa = arrow()
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, kind, strict=True)]
    return pa.record_batch(arrays, schema=kind)


def _row(record: SegmentRecord, root: str) -> tuple:
    copy = (record.copy.offset, record.copy.length) if record.copy else (0, 0)
    return (
        *(getattr(record, name) for name in _WORDS),
        list(record.attributes),
        *astuple(record.facts),
        os.path.relpath(record.path.absolute(), root),
        record.offset,
        record.length,
        record.outline,
        record.soften,
        *(record.flags or (None, None, None)),
        *copy,
        record.source_id,
    )


class IndexedRecords(Sequence):
    """The records of an index, each made when it is asked for; sorted by category.

    Copies for other processes hold only the path and open it again.

    Args:
        path: The file.
        root: Folder that the names of files begin at, if it is no longer where it was.

    Attributes:
        categories: Names, sorted.
        counts: (C,) int64 rows of each category.
        copies: Longest side of the reduced copies in pixels; 0 if there are none.
        skipped: Segments that were left out as broken when the index was made.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If pyarrow is not installed.
        ValueError: If the file is not an index of this version.
    """

    def __init__(self, path: str | Path, root: str | Path | None = None):
        self.path, self._root = Path(path).absolute(), root
        header = self._open()
        if header.get("version") != _VERSION or self._file.schema.names != list(_TYPES):
            raise ValueError(
                f"{path} must be an index of version {_VERSION}, but is not: make it anew with tools/index_segments.py."
            )
        self.root = Path(root or header["root"])
        self.categories: tuple[str, ...] = tuple(header["categories"])
        self.counts = np.array(header["counts"], np.int64)
        self.copies, self.skipped = header["copies"], header["skipped"]
        self._batch_rows, self._length = header["batch_rows"], int(self.counts.sum())
        self._batches: dict[int, dict[str, Callable[[int], Any]]] = {}

    def _open(self) -> dict[str, Any]:
        pa = arrow()
        if not self.path.is_file():
            raise FileNotFoundError(f"The index {self.path} does not exist.")
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(self.path)))
            return json.loads((self._file.schema.metadata or {}).get(_KEY, b"{}"))
        except (pa.ArrowInvalid, ValueError) as error:
            raise ValueError(f"{self.path} must be an index of segments, but is not: {error}.") from error

    def __reduce__(self):
        return IndexedRecords, (self.path, self._root)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> SegmentRecord:
        if not 0 <= row < self._length:
            raise IndexError(f"`row` must be in [0, {self._length}), but got {row}.")
        number, place = divmod(int(row), self._batch_rows)
        return self._record({name: get(place) for name, get in self._getters(number).items()})

    def kind(self, row: int) -> tuple[str, tuple[str, ...]]:
        """Sub-category and attributes of a row, at a tenth of the cost of its record."""
        number, place = divmod(row, self._batch_rows)
        getters = self._getters(number)
        return getters["sub_category"](place), tuple(getters["features"](place))

    def _getters(self, batch: int) -> dict[str, Callable[[int], Any]]:
        if batch not in self._batches:
            columns = self._file.get_batch(batch).columns
            self._batches[batch] = {name: _getter(column) for name, column in zip(_TYPES, columns, strict=True)}
        return self._batches[batch]

    def _record(self, row: dict[str, Any]) -> SegmentRecord:
        flags = tuple(row[name] for name in ANNOTATED)
        has_copy = row["copy_length"] > 0
        return SegmentRecord(
            path=self.root / row["file"],
            **{name: row[name] for name in (*_WORDS, "source_id", "offset", "length", "outline", "soften")},
            attributes=tuple(row["features"]),
            flags=None if flags[0] is None else flags,
            facts=Facts(*(row[name] for name in _FACTS)),
            copy=PackedCopy(self.pack, row["copy_offset"], row["copy_length"]) if has_copy else None,
        )

    @cached_property
    def pack(self) -> Path:
        """The file of the reduced copies."""
        return pack_path(self.path)

    def column(self, name: str) -> np.ndarray:
        """(N,) values of a column; the annotated flags as int8, -1 where nothing was said."""
        column = self._file.read_all().column(name)
        if name in ANNOTATED:
            return column.cast("int8").fill_null(-1).to_numpy()
        return column.to_numpy()

    def features(self) -> Iterator[Sequence[str]]:
        """The attributes of each row, in turn."""
        for number in range(self._file.num_record_batches):
            yield from self._file.get_batch(number).column("features").to_pylist()


def _getter(column: Any) -> Callable[[int], Any]:
    """Gives single values of a column; through numpy where it can, which is ten times as fast."""
    types = arrow().types
    if column.null_count or not types.is_primitive(column.type):
        return lambda place: column[place].as_py()
    return column.to_numpy(zero_copy_only=False).item


def pack_path(index: Path) -> Path:
    """Where the reduced copies of an index are."""
    return index.with_suffix(".copies")
