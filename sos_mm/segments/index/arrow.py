"""The index file of a bank: all metadata of its segments, uncompressed Arrow, memory-mapped."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sos_mm.errors import ErrorCollector
from sos_mm.segments.index.copies import OVERSAMPLING, CopiesFile, PackedCopy, copy_sizes
from sos_mm.segments.quality import ANNOTATED, Measurements
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.selection import SelectedRecords, Selection

_VERSION = 4
_KEY = b"sos_mm.segments"
BATCH_ROWS = 2**16
WORDS = ("category", "sub_category", "phrase", "description")
_MEASUREMENTS = {field.name: "int32" for field in fields(Measurements)} | {
    "area": "int64", "touching": "bool", "holes": "float64", "soft": "float64", "hash": "uint64",
}  # fmt: skip
_TYPES = {
    **dict.fromkeys(WORDS, "string"),
    "features": "list",
    **_MEASUREMENTS,
    "file": "string",
    "offset": "int64",
    "length": "int64",
    "outline": "string",
    "soften": "float64",
    "decontaminate": "bool",
    "bordering": "float64",
    **dict.fromkeys(ANNOTATED, "bool"),
    "source_id": "string",
    "source_height": "int32",
    "source_width": "int32",
    "cut_sides": "uint8",
    "copy_offset": "int64",
}


def is_index(path: Path) -> bool:
    """Returns whether a file is an index, of any version."""
    try:
        return _KEY in (pa.ipc.open_file(pa.memory_map(str(path))).schema.metadata or {})
    except (pa.ArrowInvalid, OSError):
        return False


def column_types(copies: Sequence[int]) -> dict[str, str]:
    """Returns the column types, by name, of an index with multi-resolution copies of these sides.

    Each copy has a column with its length in bytes.
    """
    return {**_TYPES, **{f"copy_{side}": "int32" for side in copies}}


def schema(header: dict[str, Any]) -> pa.Schema:
    """Builds the Arrow schema of an index, with its header as metadata."""
    kinds = {"list": pa.list_(pa.string()), "bool": pa.bool_()}
    types = column_types(header["copies"])
    columns = [(name, kinds[kind] if kind in kinds else getattr(pa, kind)()) for name, kind in types.items()]
    return pa.schema(columns, metadata={_KEY: json.dumps(header).encode()})


def make_header(
    counts: Mapping[str, int],
    root: str,
    fingerprint: str,
    copies: Sequence[int] = (),
    pack: tuple[str, int] = ("", 0),
    skipped: Mapping[str, int] | None = None,
    has_source_sizes: bool = False,
) -> dict[str, Any]:
    """Builds the header of an index.

    Args:
        counts: Rows of each category, in the order of the rows.
        root: Folder to which the file names are relative.
        fingerprint: See `Fingerprint`.
        copies: Longest sides of the multi-resolution copies, in pixels, ascending.
        pack: Suffix of the name of their file, and its size in bytes.
        skipped: Number of segments that were left out, by reason.
        has_source_sizes: Whether the size of the source image is known for every row.
    """
    return {
        "version": _VERSION,
        "categories": list(counts),
        "counts": list(map(int, counts.values())),
        "root": root,
        "batch_rows": BATCH_ROWS,
        "copies": list(copies),
        "pack": list(pack),
        "skipped": dict(skipped or {}),
        "has_source_sizes": has_source_sizes,
        "fingerprint": fingerprint,
    }


class IndexedRecords(Sequence):
    """A `RecordTable` over an index, sorted by category; records are built when they are requested.

    A pickled instance holds only the path and opens the file again.

    Args:
        path: The file.
        root: Folder to which the file names are relative, if it has moved.

    Attributes:
        categories: Names, sorted.
        counts: (C,) int64 rows of each category.
        copies: Longest sides of the multi-resolution copies in pixels, ascending.
        skipped: Number of segments that were left out when the index was built, by reason.
        has_source_sizes: Whether the size of the source image is known for every row.
        fingerprint: Content hash; see `Fingerprint`.

    Raises:
        FileNotFoundError: If the file, or the file of its multi-resolution copies, does not exist.
        ValueError: If the file is not an index of this version, or the file of its copies is incomplete.
    """

    sized = True

    def __init__(self, path: str | Path, root: str | Path | None = None):
        self.path, self._root = Path(path).absolute(), root
        header = self._open()
        if header.get("version") != _VERSION or self._file.schema.names != list(column_types(header["copies"])):
            raise ValueError(
                f"{path} must be an index of version {_VERSION}, but is not: make it anew with tools/index_segments.py."
            )
        self.root = Path(root or header["root"])
        self._root_text = str(self.root)
        self.categories: tuple[str, ...] = tuple(header["categories"])
        self.counts = np.array(header["counts"], np.int64)
        self.copies: tuple[int, ...] = tuple(header["copies"])
        self.skipped: dict[str, int] = header["skipped"]
        self.has_source_sizes: bool = header["has_source_sizes"]
        self.fingerprint: str = header["fingerprint"]
        self._pack = CopiesFile(pack_path(self.path, header["pack"][0]), header["pack"][1]) if self.copies else None
        self._batch_rows, self._length = header["batch_rows"], int(self.counts.sum())
        self._batches: dict[int, Getters] = {}

    def _open(self) -> dict[str, Any]:
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

    def __getitem__(self, row: Any) -> Any:
        get, position = self._at(row)
        flags = tuple(get[name](position) for name in ANNOTATED)
        return SegmentRecord(
            file=self.file(row),
            category=get["category"](position),
            sub_category=get["sub_category"](position),
            phrase=get["phrase"](position),
            description=get["description"](position),
            attributes=get["features"](position),
            source_id=get["source_id"](position),
            offset=get["offset"](position),
            length=get["length"](position),
            outline=get["outline"](position),
            soften=_known(get["soften"](position)),
            flags=None if flags[0] is None else flags,
            measurements=Measurements(*[get[name](position) for name in _MEASUREMENTS]),
            source_size=_source_size(get, position),
            decontaminate=get["decontaminate"](position),
            bordering=_known(get["bordering"](position)),
            cut_sides=get["cut_sides"](position),
        )

    def kind(self, row: int) -> tuple[str, tuple[str, ...]]:
        """Returns the sub-category and attributes of a row in a tenth of the time that its record takes."""
        get, position = self._at(row)
        return get["sub_category"](position), get["features"](position)

    def file(self, row: int) -> str:
        """Returns the path of the file that holds a row's segment, in a tenth of the time that its record takes."""
        get, position = self._at(row)
        return os.path.join(self._root_text, get["file"](position))

    def info(self, row: int) -> SegmentInfo:
        """Returns the size and category of a row in a tenth of the time that its record takes."""
        get, position = self._at(row)
        size = get["box_height"](position), get["box_width"](position)
        return SegmentInfo(size, get["category"](position), _source_size(get, position), get["cut_sides"](position))

    def copy(self, row: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """Finds the smallest copy of a row that is large enough to be scaled down to a height and width.

        It has at least `OVERSAMPLING` times both, or the segment's own size.

        Returns:
            None if only the segment itself is large enough.
        """
        get, position = self._at(row)
        offset, size = get["copy_offset"](position), (get["box_height"](position), get["box_width"](position))
        height, width = at_least[0] * OVERSAMPLING, at_least[1] * OVERSAMPLING
        for side, own in zip(self.copies, copy_sizes(size, self.copies), strict=False):
            length = get[f"copy_{side}"](position)
            if length and (own == size or (own[0] >= height and own[1] >= width)):
                return PackedCopy(offset, length, own, size)
            offset += length
        return None

    def rows(self, start: int, stop: int) -> Iterator[Any]:
        """Yields the Arrow record batches of a range of rows."""
        while start < stop:
            number, first = divmod(start, self._batch_rows)
            length = min(self._batch_rows - first, stop - start)
            yield self._file.get_batch(number).slice(first, length)
            start += length

    def copies_start(self, row: int) -> int:
        """Returns where the copies of a row begin in their file; for the number of rows, where the file ends."""
        assert self._pack is not None, "only an index with a file of copies has any"
        if row == self._length:
            return self._pack.length
        get, position = self._at(row)
        return get["copy_offset"](position)

    def read_packed(self, start: int, length: int) -> bytes:
        """Reads bytes of the file of the copies."""
        assert self._pack is not None, "only an index with a file of copies has any"
        return self._pack.read_packed(start, length)

    def measured(self, faults: ErrorCollector) -> "IndexedRecords":
        """Returns itself: an index holds the measurements of all segments."""
        return self

    def select(self, selection: Selection) -> SelectedRecords:
        """Returns the selected part."""
        return SelectedRecords(self, selection)

    @property
    def pack(self) -> Path | None:
        """The file of the multi-resolution copies, if there are any."""
        return self._pack.path if self._pack else None

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """Reads the pixels (h, w, 4) uint8 of a copy; raises the errors of `CopiesFile.read`."""
        assert self._pack is not None, "only an index with a file of copies has any"
        return self._pack.read(copy)

    def _at(self, row: int) -> "tuple[Getters, int]":
        """Returns the getters of the batch of a row, by column, and the index of the row in the batch."""
        if not 0 <= row < self._length:
            raise IndexError(f"`row` must be in [0, {self._length}), but got {row}.")
        number, position = divmod(int(row), self._batch_rows)
        if number not in self._batches:
            self._batches[number] = Getters(self._file.get_batch(number))
        return self._batches[number], position

    def column(self, name: str) -> np.ndarray:
        """Returns the (N,) values of a column; flags as int8, -1 where not annotated; NaN for unknown numbers."""
        column = self._file.read_all().column(name)
        if name in ANNOTATED:
            return column.cast("int8").fill_null(-1).to_numpy()
        return column.to_numpy()

    def features(self) -> Iterator[Sequence[str]]:
        """Yields the attributes of each row."""
        for number in range(self._file.num_record_batches):
            yield from self._file.get_batch(number).column("features").to_pylist()


def _known(value: float) -> float | None:
    """Converts a number from a column to None if it is NaN."""
    return None if isnan(value) else value


def _source_size(get: "Getters", position: int) -> tuple[int, int] | None:
    """Returns height and width of a row's source image, or None for 0."""
    height = get["source_height"](position)
    return (height, get["source_width"](position)) if height else None


def pack_path(index: Path, name: str) -> Path:
    """Returns the path of an index's multi-resolution copies; its name holds their content hash, so indices
    never share a file.
    """
    return index.with_suffix(f".{name}.copies")


class Getters(dict):
    """Functions that read single values of an Arrow record batch, by column name.

    They read the buffers directly: an Arrow scalar costs five times as much.
    """

    def __init__(self, batch: Any):
        super().__init__()
        self._batch = batch

    def __missing__(self, name: str) -> Callable[[int], Any]:
        self[name] = getter(self._batch.column(name))
        return self[name]


def getter(column: Any) -> Callable[[int], Any]:
    """Returns a function from an index of an Arrow array to the Python value there.

    Args:
        column: Strings, lists of strings (returned as tuples), integers, floats or booleans. Only booleans may be null,
            which is returned as None.
    """
    kind = str(column.type)
    if kind == "string":
        return _strings(column)
    if kind.startswith("list"):
        edges, get = _edges(column), _strings(column.values)
        return lambda position: tuple(map(get, range(edges[position], edges[position + 1])))
    if kind == "bool":
        values, meanings = column.cast("int8").fill_null(2).to_numpy().item, (False, True, None)
        return lambda position: meanings[values(position)]
    return column.to_numpy().item


def _strings(column: Any) -> Callable[[int], str]:
    edges, data = _edges(column), column.buffers()[2]
    view = memoryview(data if data is not None else b"")
    return lambda position: str(view[edges[position] : edges[position + 1]], "utf-8")


def _edges(column: Any) -> memoryview:
    """Returns the offsets of the first character of each value, and of the end of the last one."""
    offsets = column.buffers()[1]
    if offsets is None:
        return memoryview(b"\0\0\0\0").cast("i")
    return memoryview(offsets).cast("i")[column.offset : column.offset + len(column) + 1]
