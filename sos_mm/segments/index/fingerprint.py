"""Content hashes of banks, independent of the folders and the modification times of their files."""

import hashlib
import json
import os
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.segments.quality import ANNOTATED
from sos_mm.segments.record import SegmentRecord

# Columns of an index, in the order of what is hashed.
_HASHED = (
    *("category", "sub_category", "phrase", "description", "features", "source_id", "file", "offset", "length"),
    *("outline", "soften", *ANNOTATED, "source_height", "source_width", "decontaminate", "cut_sides"),
)


class Fingerprint:
    """A content hash of records, updated one by one.

    It depends on their order, texts, annotated flags, outlines, source sizes and cut-off sides, on the names of their
    files relative to a folder, and on the files' sizes or their offsets in a shard. It reads no pixels: a change of a
    file that keeps its size is not detected.

    Args:
        root: The folder.
    """

    def __init__(self, root: str):
        self._root, self._hash = root, hashlib.sha256()

    def add(self, record: SegmentRecord) -> None:
        """Adds a record.

        Raises:
            FileNotFoundError: If its file is missing; names it.
        """
        size = record.length or _file_size(record.file)
        words = (record.category, record.sub_category, record.phrase, record.description, record.attributes)
        name = Path(os.path.relpath(record.file, self._root)).as_posix()
        position = (record.source_id, name, record.offset, size, record.outline, record.soften, record.flags)
        self._hash.update(_encoded_row(words, position, record.source_size, record.decontaminate, record.cut_sides))

    def add_encoded(self, rows: bytes) -> None:
        """Adds rows of an index as `encoded_rows` encodes them."""
        self._hash.update(rows)

    def hexdigest(self, *more: Any) -> str:
        """Returns the 64 hexadecimal digits of the hash of the records and of further JSON values."""
        whole = self._hash.copy()
        whole.update(_encoded(more))
        return whole.hexdigest()


def encoded_rows(rows: Any, root: str) -> bytes:
    """Encodes rows of an index as `Fingerprint` hashes their records, without building these.

    Args:
        rows: The Arrow record batch.
        root: The folder of the fingerprint, to which the file names are relative.

    Raises:
        FileNotFoundError: If a segment's file is missing; names it.
    """
    lines = []
    for row in zip(*(rows.column(name).to_pylist() for name in _HASHED), strict=True):
        *words, source_id, name, offset, length, outline, soften, sole, whole, real, height, width, cleaned, sides = row
        size = length or _file_size(os.path.join(root, name))
        flags = None if sole is None else (sole, whole, real)
        source_size = (height, width) if height else None
        position = (source_id, name, offset, size, outline, None if isnan(soften) else soften, flags)
        lines.append(_encoded_row(words, position, source_size, cleaned, sides))
    return b"".join(lines)


def _encoded_row(
    words: Iterable[Any], position: tuple, source_size: tuple[int, int] | None, decontaminate: bool, cut_sides: int
) -> bytes:
    # Segments that are not cut off are hashed as before cut-off sides were known.
    sides = (cut_sides,) if cut_sides else ()
    return _encoded((*words, *position, source_size, decontaminate, *sides))


def _file_size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The file {file} does not exist.") from error


def fingerprint(records: Iterable[SegmentRecord], root: str) -> str:
    """Computes the content hash of records without multi-resolution copies; equals that of their index."""
    whole = Fingerprint(root)
    for record in records:
        whole.add(record)
    return whole.hexdigest([])


def common_root(records: Iterable[SegmentRecord]) -> str:
    """Returns the deepest folder that holds all files."""
    return os.path.commonpath({os.path.dirname(os.path.abspath(record.file)) for record in records})


def combined(*parts: Any) -> str:
    """Computes a hash, 64 hexadecimal digits, of JSON values and arrays."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else _encoded(part))
    return whole.hexdigest()


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
