"""What tells the contents of two banks apart: wherever they lie, and whenever their files were written."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.segments.record import SegmentRecord


class Fingerprint:
    """Sums up records one after the other.

    It depends on their order, words, annotated flags, outlines and source sizes, on the names of their files below
    a folder, and on the files' sizes or their places in a shard. It reads no pixels: a file that was changed without a
    change of its size is not noticed.

    Args:
        root: The folder.
    """

    def __init__(self, root: str):
        self._root, self._hash = root, hashlib.sha256()

    def add(self, record: SegmentRecord) -> None:
        """Takes in a record.

        Raises:
            FileNotFoundError: If its file is gone; names it.
        """
        try:
            size = record.length or os.stat(record.file).st_size
        except FileNotFoundError as error:
            raise FileNotFoundError(f"The file {record.file} does not exist.") from error
        words = (record.category, record.sub_category, record.phrase, record.description, record.attributes)
        name = Path(os.path.relpath(record.file, self._root)).as_posix()
        place = (record.source_id, name, record.offset, size, record.outline, record.soften, record.flags)
        self._hash.update(_encoded((*words, *place, record.source_size, record.decontaminate)))

    def hexdigest(self, *more: Any) -> str:
        """The 64 digits, of the records and of what else JSON can hold."""
        whole = self._hash.copy()
        whole.update(_encoded(more))
        return whole.hexdigest()


def fingerprint(records: Iterable[SegmentRecord], root: str) -> str:
    """That of records without reduced copies, as their index would have it."""
    whole = Fingerprint(root)
    for record in records:
        whole.add(record)
    return whole.hexdigest([])


def common_root(records: Iterable[SegmentRecord]) -> str:
    """The deepest folder that holds all files."""
    return os.path.commonpath({os.path.dirname(os.path.abspath(record.file)) for record in records})


def combined(*parts: Any) -> str:
    """64 digits that depend on values that JSON can hold, and on arrays."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else _encoded(part))
    return whole.hexdigest()


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
