"""Builds an index: reads, checks and measures every segment once, and writes rows and multi-resolution copies."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple, replace
from functools import partial
from math import nan
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from sos_mm.atomic import explaining_full_disk, sync
from sos_mm.checks import check_integer, require_posix, writable_folder
from sos_mm.errors import ErrorCollector
from sos_mm.locks import one_at_a_time
from sos_mm.segments.index.arrow import (
    BATCH_ROWS,
    WORDS,
    IndexedRecords,
    is_index,
    make_header,
    pack_path,
    schema,
)
from sos_mm.segments.index.copies import pack
from sos_mm.segments.index.fingerprint import Fingerprint, common_root
from sos_mm.segments.index.temporary import temporary_files
from sos_mm.segments.quality import Measurements, measure
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.segment import Segment
from sos_mm.terminal import progress_bar
from sos_mm.worker_pool import worker_pool

# Few enough that their pending copies take little memory.
_BLOCK = 256
# `SegmentRecord.pixels` raises these for a broken segment; other errors are not about a segment.
_BROKEN = (FileNotFoundError, ValueError)


def measured(
    records: Sequence[SegmentRecord], faults: ErrorCollector | None = None, workers: int = 1, progress: bool = True
) -> list[SegmentRecord]:
    """Returns the records with their measurements; reads the pixels of those that have none yet.

    Args:
        records: The records to measure.
        faults: Records broken segments; raises the first one if None.
        workers: Number of processes; 1 reads in this process.
        progress: Whether to show a progress bar on stderr.
    """
    faults, kept = faults or ErrorCollector(), []
    with _progress(_examined(records, (), workers), len(records), progress) as examined:
        for record, result, _ in examined:
            if isinstance(result, Exception):
                faults.record(result)
            else:
                kept.append(replace(record, measurements=result))
    return kept


def build_index(
    records: Sequence[SegmentRecord],
    path: str | Path,
    *,
    copies: Sequence[int] = (),
    faults: ErrorCollector | None = None,
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Reads all segments once and writes their index, and beside it their multi-resolution copies.

    An existing index is replaced when the new one is complete, and stays unchanged if writing fails.

    Args:
        records: The records to index, from the readers.
        path: The index file, such as ``bank.arrow``; copies go into ``bank.<digits>.copies`` beside it.
        copies: Longest sides in pixels of the multi-resolution copies, ascending; a segment that is no larger than one
            of them is copied at its own size, which is faster to read than its file. See `SegmentBank.load`.
        faults: Records broken segments; raises the first one if None. The index holds the number of skipped ones.
        workers: Number of processes.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError, ValueError: If a segment is broken, or none is left; names it.
        FileExistsError: If ``path`` exists and is not an index; it is left unchanged.
        OSError: If the files cannot be written; checked before the first segment is read.
        RuntimeError: On Windows.
    """
    require_posix("Making an index of segments")
    copies = tuple(copies)
    if list(copies) != sorted(set(copies)):
        raise ValueError(f"`copies` must be rising sides in pixels, but got {copies}.")
    for side in copies:
        check_integer("copies", side, 8, 4096)
    check_integer("workers", workers, 1, 1024)
    faults, path = faults or ErrorCollector(), Path(path).absolute()
    if path.exists() and not is_index(path):
        raise FileExistsError(f"{path} must be a new file or an index to replace, but is neither: name another.")
    writable_folder(path.parent, "The folder of the index")
    records = sorted(records, key=lambda record: record.category)
    if not records:
        raise ValueError(f"{path} must hold at least one segment, but there is none.")
    with (
        explaining_full_disk(path.parent, kept=""),
        IndexWriter(path, common_root(records), copies) as writer,
        _progress(_examined(records, copies, workers), len(records), progress) as examined,
    ):
        for record, result, packed in examined:
            if isinstance(result, Exception):
                faults.record(result)
            else:
                writer.add(replace(record, measurements=result), packed)
        if not writer.counts:
            raise ValueError(f"{path} must hold at least one segment, but all {len(records)} are broken or missing.")
        writer.finish(faults.counts)


Examined = tuple[SegmentRecord, Measurements | Exception, list[bytes]]


def _examined(records: Sequence[SegmentRecord], copies: Sequence[int], workers: int) -> Iterator[Examined]:
    """Yields each record with its measurements or its error, and its packed copies."""
    examine = partial(_examine, copies=copies)
    if workers == 1:
        yield from map(examine, records)
        return
    with worker_pool(workers) as pool:
        for start in range(0, len(records), _BLOCK):
            yield from pool.map(examine, records[start : start + _BLOCK], chunksize=8)


def _examine(record: SegmentRecord, copies: Sequence[int]) -> Examined:
    if record.measurements and not copies:
        return record, record.measurements, []
    try:
        rgba = record.pixels()
        Segment(rgba, record.category)
    except _BROKEN as error:
        return record, error if record.file in str(error) else record.unusable(error), []
    found = measure(rgba)
    box = rgba[found.box_y : found.box_y + found.box_height, found.box_x : found.box_x + found.box_width]
    return record, found, pack(box, copies)


def _progress(examined: Iterator[Examined], total: int, shown: bool) -> tqdm:
    return progress_bar(examined, total=total, unit="segments", shown=shown)


class IndexWriter:
    """Writes an index to temporary files, which `finish` moves to their final paths.

    Rows are collected in a file without a header, since the header holds their counts, and appended to it at the end.
    Use it in a ``with`` block, which removes temporary files, those of killed writers of the same index too.

    Args:
        path: The index file, such as ``bank.arrow``; multi-resolution copies go into ``bank.<digits>.copies``.
        root: Folder to which the file names are relative.
        copies: Longest sides of the multi-resolution copies in pixels, ascending.

    Attributes:
        counts: Number of rows by category.
        packed: Size in bytes of the file of the copies so far.

    Raises:
        OSError: If the files cannot be written.
    """

    def __init__(self, path: Path, root: str, copies: Sequence[int] = ()):
        self.path, self.root, self.copies = path, root, tuple(copies)
        self.counts: dict[str, int] = {}
        self._rows: list[tuple] = []
        self._has_source_sizes = True
        self._fingerprint = Fingerprint(root)
        self._digest, self.packed = hashlib.sha256(), 0
        self._plain = schema(make_header({}, root, "", self.copies))
        with ExitStack() as stack:
            rows, pack, self._whole, self._moves = stack.enter_context(
                temporary_files(path, ("rows", "copies", "arrow", "moves"), self._finish_moves)
            )
            self._pack = stack.enter_context(pack.open("wb"))
            file = stack.enter_context(pa.OSFile(str(rows), "wb"))
            self._writer = stack.enter_context(pa.ipc.new_file(file, self._plain))
            self._rows_path, self._pack_path = rows, pack
            self._stack = stack.pop_all()

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def add(self, record: SegmentRecord, copies: Sequence[bytes] = ()) -> None:
        """Adds a measured record and its copies; records must come sorted by category."""
        lengths = [len(packed) for packed in copies] + [0] * (len(self.copies) - len(copies))
        self._rows.append((*_row(record, self.root), self.packed, *lengths))
        for packed in copies:
            self.add_copies(packed)
        self._fingerprint.add(record)
        self._has_source_sizes &= record.source_size is not None
        self.counts[record.category] = self.counts.get(record.category, 0) + 1
        if len(self._rows) == BATCH_ROWS:
            self._flush()

    def add_rows(self, rows: pa.RecordBatch, fingerprinted: bytes) -> None:
        """Adds a batch of rows of an index, of `BATCH_ROWS` but for the last one, and what is hashed of them.

        Their copies are added by `add_copies`, and their numbers to ``counts``.
        """
        self._writer.write_batch(rows.replace_schema_metadata(self._plain.metadata))
        self._fingerprint.add_encoded(fingerprinted)

    def add_copies(self, packed: bytes) -> None:
        """Appends to the file of the copies."""
        self._pack.write(packed)
        self._digest.update(packed)
        self.packed += len(packed)

    def finish(self, skipped: Mapping[str, int], has_source_sizes: bool = True) -> None:
        """Moves the index to its final path.

        Args:
            skipped: Number of segments that were left out, by reason.
            has_source_sizes: Whether the size of the source image is known for all rows of `add_rows`.
        """
        self._flush()
        self._has_source_sizes &= has_source_sizes
        self._writer.close()
        self._pack.close()
        name = self._digest.hexdigest()[:16]
        fingerprint = self._fingerprint.hexdigest(list(self.copies))
        pack = name, self.packed
        header = make_header(self.counts, self.root, fingerprint, self.copies, pack, skipped, self._has_source_sizes)
        self._copy_rows(header)
        new = pack_path(self.path, name) if self.copies else None
        if new:
            sync(self._pack_path)
        with self._moving():
            old = _copies_of(self.path)
            # At the end, what of these the index does not refer to is removed, however this process ends.
            self._moves.write_text(json.dumps([each.name for each in (old, new) if each]))
            sync(self._moves)
            if new:
                os.replace(self._pack_path, new)
            os.replace(self._whole, self.path)

    def _moving(self) -> AbstractContextManager[None]:
        """Excludes other writers of the same index from moving their files."""
        return one_at_a_time(self.path.with_name(f".{self.path.name}.moving"))

    def _finish_moves(self, parts: Sequence[Path]) -> None:
        """Removes those copies that a writer moved, or was to replace, and that the index does not refer to."""
        try:
            names = json.loads(parts[-1].read_text())
        except (OSError, ValueError):
            return  # It ended before it moved anything.
        with self._moving():
            current = _copies_of(self.path)
            for unused in map(self.path.with_name, names):
                if unused != current:
                    unused.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, self._plain, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._plain))
            self._rows = []

    def _copy_rows(self, header: dict) -> None:
        kind = schema(header)
        with pa.memory_map(str(self._rows_path)) as source, pa.OSFile(str(self._whole), "wb") as file:
            rows = pa.ipc.open_file(source)
            with pa.ipc.new_file(file, kind) as writer:
                for number in range(rows.num_record_batches):
                    writer.write_batch(rows.get_batch(number).replace_schema_metadata(kind.metadata))
        sync(self._whole)


def _copies_of(index: Path) -> Path | None:
    """Returns the path of the multi-resolution copies of an existing index."""
    try:
        return IndexedRecords(index).pack
    except (OSError, ValueError):
        return None


def _row(record: SegmentRecord, root: str) -> tuple:
    """Returns the values of a row in the order of `column_types`, without those of the copies."""
    return (
        *(getattr(record, name) for name in WORDS),
        list(record.attributes),
        *(astuple(record.measurements) if record.measurements else ()),
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
        record.cut_sides,
    )
