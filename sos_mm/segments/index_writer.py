"""Writes an index row by row, in memory that does not grow with them, and whole or not at all."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple
from math import nan
from pathlib import Path

from sos_mm.atomic import sync
from sos_mm.segments.fingerprint import Fingerprint
from sos_mm.segments.index import BATCH_ROWS, WORDS, IndexedRecords, arrow, make_header, pack_path, schema
from sos_mm.segments.record import SegmentRecord


class IndexWriter:
    """An index in the making, beside the one that may be there; `finish` puts it in its place.

    Rows are gathered in a file without a header, since that names the counts, and copied behind it at the end.
    Use it in a ``with`` block, which takes away what was begun.

    Args:
        path: The index file, such as ``bank.arrow``; reduced copies go into ``bank.<digits>.copies``.
        root: Folder that the names of files begin at.
        copies: Longest sides of the reduced copies in pixels, rising.

    Raises:
        ImportError: If pyarrow is not installed.
        OSError: If the files cannot be written.
    """

    def __init__(self, path: Path, root: str, copies: Sequence[int] = ()):
        self.path, self.root, self.copies = path, root, tuple(copies)
        self.counts: dict[str, int] = {}
        self._rows: list[tuple] = []
        self._has_source_sizes = True
        self._fingerprint = Fingerprint(root)
        self._digest, self._packed = hashlib.sha256(), 0
        self._plain = schema(make_header({}, root, "", self.copies))
        rows, pack, self._whole = (self._part(name) for name in ("rows", "copies", "arrow"))
        with ExitStack() as stack:
            for part in (rows, pack, self._whole):
                stack.callback(part.unlink, missing_ok=True)
            self._pack = stack.enter_context(pack.open("wb"))
            file = stack.enter_context(arrow().OSFile(str(rows), "wb"))
            self._writer = stack.enter_context(arrow().ipc.new_file(file, self._plain))
            self._rows_path, self._pack_path = rows, pack
            self._stack = stack.pop_all()

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def add(self, record: SegmentRecord, copies: Sequence[bytes] = ()) -> None:
        """Adds a measured record, of the same category as the one before or of a later one, and its copies."""
        lengths = [len(packed) for packed in copies] + [0] * (len(self.copies) - len(copies))
        self._rows.append((*_row(record, self.root), self._packed, *lengths))
        for packed in copies:
            self._pack.write(packed)
            self._digest.update(packed)
            self._packed += len(packed)
        self._fingerprint.add(record)
        self._has_source_sizes &= record.source_size is not None
        self.counts[record.category] = self.counts.get(record.category, 0) + 1
        if len(self._rows) == BATCH_ROWS:
            self._flush()

    def finish(self, skipped: Mapping[str, int]) -> None:
        """Puts the index in its place; says in it how many segments were left out, by reason."""
        self._flush()
        self._writer.close()
        self._pack.close()
        old = _copies_of(self.path)
        name = self._digest.hexdigest()[:16]
        fingerprint = self._fingerprint.hexdigest(list(self.copies))
        pack = name, self._packed
        header = make_header(self.counts, self.root, fingerprint, self.copies, pack, skipped, self._has_source_sizes)
        self._copy_rows(header)
        new = pack_path(self.path, name) if self.copies else None
        if new:
            sync(self._pack_path)
            os.replace(self._pack_path, new)
        os.replace(self._whole, self.path)
        if old and old != new:
            old.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            pa, columns = arrow(), zip(*self._rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, self._plain, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._plain))
            self._rows = []

    def _copy_rows(self, header: dict) -> None:
        pa, kind = arrow(), schema(header)
        with pa.memory_map(str(self._rows_path)) as source, pa.OSFile(str(self._whole), "wb") as file:
            rows = pa.ipc.open_file(source)
            with pa.ipc.new_file(file, kind) as writer:
                for number in range(rows.num_record_batches):
                    writer.write_batch(rows.get_batch(number).replace_schema_metadata(kind.metadata))
        sync(self._whole)

    def _part(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{name}-{os.getpid()}")


def _copies_of(index: Path) -> Path | None:
    """The file of the copies of an index that is there already."""
    try:
        return IndexedRecords(index).pack
    except (OSError, ValueError):
        return None


def _row(record: SegmentRecord, root: str) -> tuple:
    return (
        *(getattr(record, name) for name in WORDS),
        list(record.attributes),
        *astuple(record.facts),
        os.path.relpath(record.file, root),
        record.offset,
        record.length,
        record.outline,
        nan if record.soften is None else record.soften,
        record.decontaminate,
        nan if record.bordering is None else record.bordering,
        *(record.flags or (None, None, None)),
        record.source_id,
        *(record.source_size or (0, 0)),
    )
