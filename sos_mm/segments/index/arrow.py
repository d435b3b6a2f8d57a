"""One file that says all about the segments of a bank but their pixels: uncompressed Arrow, memory-mapped."""

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
from sos_mm.segments.quality import ANNOTATED, Facts
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.selection import SelectedRecords, Selection

_VERSION = 3
_KEY = b"sos_mm.segments"
BATCH_ROWS = 2**16
WORDS = ("category", "sub_category", "phrase", "description")
_FACTS = {field.name: "int32" for field in fields(Facts)} | {
    "area": "int64", "touching": "bool", "holes": "float64", "soft": "float64", "hash": "uint64",
}  # fmt: skip
_TYPES = {
    **dict.fromkeys(WORDS, "string"),
    "features": "list",
    **_FACTS,
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
    "copy_offset": "int64",
}


def is_index(path: Path) -> bool:
    """Whether there is an index of any version."""
    try:
        return _KEY in (pa.ipc.open_file(pa.memory_map(str(path))).schema.metadata or {})
    except (pa.ArrowInvalid, OSError):
        return False


def column_types(copies: Sequence[int]) -> dict[str, str]:
    """Types by name of the columns of an index with copies of these sides; each has the length of its bytes."""
    return {**_TYPES, **{f"copy_{side}": "int32" for side in copies}}


def schema(header: dict[str, Any]) -> pa.Schema:
    """The columns of an index, with its header."""
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
    """The header of an index.

    Args:
        counts: Rows of each category, in the order of the rows.
        root: Folder that the names of files begin at.
        fingerprint: See `Fingerprint`.
        copies: Longest sides of the reduced copies, in pixels, rising.
        pack: What the name of their file ends on, and its bytes.
        skipped: Segments that were left out, by reason.
        has_source_sizes: Whether of every row it is known how large the image is that it was cut out of.
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
    """A `RecordTable` of an index, each made when it is asked for; sorted by category.

    Copies for other processes hold only the path and open it again.

    Args:
        path: The file.
        root: Folder that the names of files begin at, if it is no longer where it was.

    Attributes:
        categories: Names, sorted.
        counts: (C,) int64 rows of each category.
        copies: Longest sides of the reduced copies in pixels, rising.
        skipped: How many segments were left out when the index was made, by reason.
        has_source_sizes: Whether of every row it is known how large the image is that it was cut out of.
        fingerprint: 64 digits that tell its contents from others; see `Fingerprint`.

    Raises:
        FileNotFoundError: If there is no such file, or none with its copies beside it.
        ValueError: If the file is not an index of this version, or that of its copies is not whole.
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

    def __getitem__(self, row: int) -> SegmentRecord:
        get, place = self._at(row)
        flags = tuple(get[name](place) for name in ANNOTATED)
        return SegmentRecord(
            self.file(row),
            get["category"](place),
            get["sub_category"](place),
            get["phrase"](place),
            get["description"](place),
            get["features"](place),
            get["source_id"](place),
            get["offset"](place),
            get["length"](place),
            get["outline"](place),
            _known(get["soften"](place)),
            None if flags[0] is None else flags,
            Facts(*[get[name](place) for name in _FACTS]),
            _source_size(get, place),
            get["decontaminate"](place),
            _known(get["bordering"](place)),
        )

    def kind(self, row: int) -> tuple[str, tuple[str, ...]]:
        """Sub-category and attributes of a row, at a tenth of the cost of its record."""
        get, place = self._at(row)
        return get["sub_category"](place), get["features"](place)

    def file(self, row: int) -> str:
        """Path of the file that a row is in, at a tenth of the cost of its record."""
        get, place = self._at(row)
        return os.path.join(self._root_text, get["file"](place))

    def outline(self, row: int) -> SegmentInfo:
        """What a layout needs to know of a row, at a tenth of the cost of its record."""
        get, place = self._at(row)
        size = get["box_height"](place), get["box_width"](place)
        return SegmentInfo(size, get["category"](place), _source_size(get, place))

    def copy(self, row: int, at_least: tuple[int, int]) -> PackedCopy | None:
        """The smallest copy of a row that is large enough to be scaled down to a height and width.

        That is one of at least `OVERSAMPLING` times both, or of the segment's own size.

        Returns:
            None if only the segment itself is large enough.
        """
        get, place = self._at(row)
        offset, size = get["copy_offset"](place), (get["box_height"](place), get["box_width"](place))
        height, width = at_least[0] * OVERSAMPLING, at_least[1] * OVERSAMPLING
        for side, own in zip(self.copies, copy_sizes(size, self.copies), strict=False):
            length = get[f"copy_{side}"](place)
            if length and (own == size or (own[0] >= height and own[1] >= width)):
                return PackedCopy(offset, length, own, size)
            offset += length
        return None

    def measured(self, faults: ErrorCollector) -> "IndexedRecords":
        """Gives itself: an index holds the facts of all."""
        return self

    def select(self, selection: Selection) -> SelectedRecords:
        """Gives the part that is selected."""
        return SelectedRecords(self, selection)

    @property
    def pack(self) -> Path | None:
        """The file of the reduced copies, if there are any."""
        return self._pack.path if self._pack else None

    def read_copy(self, copy: PackedCopy) -> np.ndarray:
        """The pixels (h, w, 4) uint8 of a copy; raises as `CopiesFile.read` does."""
        return self._pack.read(copy)

    def _at(self, row: int) -> "tuple[Getters, int]":
        """What gets the values of the row's batch, by column, and the row's place in it."""
        if not 0 <= row < self._length:
            raise IndexError(f"`row` must be in [0, {self._length}), but got {row}.")
        number, place = divmod(int(row), self._batch_rows)
        if number not in self._batches:
            self._batches[number] = Getters(self._file.get_batch(number))
        return self._batches[number], place

    def column(self, name: str) -> np.ndarray:
        """(N,) values of a column; flags as int8, -1 where nothing was said; NaN for numbers that are not known."""
        column = self._file.read_all().column(name)
        if name in ANNOTATED:
            return column.cast("int8").fill_null(-1).to_numpy()
        return column.to_numpy()

    def features(self) -> Iterator[Sequence[str]]:
        """The attributes of each row, in turn."""
        for number in range(self._file.num_record_batches):
            yield from self._file.get_batch(number).column("features").to_pylist()


def _known(value: float) -> float | None:
    """A number of a column where NaN stands for none."""
    return None if isnan(value) else value


def _source_size(get: "Getters", place: int) -> tuple[int, int] | None:
    """Height and width of the image that a row was cut out of; 0 stands for none."""
    height = get["source_height"](place)
    return (height, get["source_width"](place)) if height else None


def pack_path(index: Path, name: str) -> Path:
    """Where the reduced copies of an index are: named for what they hold, so that no index meets another's."""
    return index.with_suffix(f".{name}.copies")


class Getters(dict):
    """Gets single values of an Arrow record batch, by the name of the column.

    They are read from the buffers: an Arrow scalar costs five times as much.
    """

    def __init__(self, batch: Any):
        super().__init__()
        self._batch = batch

    def __missing__(self, name: str) -> Callable[[int], Any]:
        self[name] = getter(self._batch.column(name))
        return self[name]


def getter(column: Any) -> Callable[[int], Any]:
    """A function from a place in an Arrow array to the Python value there.

    Args:
        column: Strings, lists of strings (which come as tuples), whole or broken numbers, truth values. Only
            the last may be null, for None.
    """
    kind = str(column.type)
    if kind == "string":
        return _strings(column)
    if kind.startswith("list"):
        edges, get = _edges(column), _strings(column.values)
        return lambda place: tuple(map(get, range(edges[place], edges[place + 1])))
    if kind == "bool":
        values, meanings = column.cast("int8").fill_null(2).to_numpy().item, (False, True, None)
        return lambda place: meanings[values(place)]
    return column.to_numpy().item


def _strings(column: Any) -> Callable[[int], str]:
    edges, data = _edges(column), column.buffers()[2]
    view = memoryview(data if data is not None else b"")
    return lambda place: str(view[edges[place] : edges[place + 1]], "utf-8")


def _edges(column: Any) -> memoryview:
    """Where each value begins, and the last one ends."""
    offsets = column.buffers()[1]
    if offsets is None:
        return memoryview(b"\0\0\0\0").cast("i")
    return memoryview(offsets).cast("i")[column.offset : column.offset + len(column) + 1]
