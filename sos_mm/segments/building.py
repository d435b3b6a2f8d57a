"""Makes an index: reads every segment once, validates and measures it, and packs reduced copies."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from sos_mm.checks import check_range, writable_folder
from sos_mm.progress import Progress
from sos_mm.segments.faults import Faults
from sos_mm.segments.index import pack_path, write_index
from sos_mm.segments.pack import encode, reduced
from sos_mm.segments.quality import Facts, measure
from sos_mm.segments.record import PackedCopy, SegmentRecord
from sos_mm.segments.segment import Segment

_BLOCK = 4096
# Raised by `SegmentRecord.pixels` for what is wrong with one segment; other errors are not about segments.
_BROKEN = (FileNotFoundError, ValueError)


def measured(
    records: Sequence[SegmentRecord], faults: Faults | None = None, workers: int = 1, progress: bool = True
) -> list[SegmentRecord]:
    """The records with their facts; reads the pixels of those that have none yet.

    Args:
        records: What to read.
        faults: Meets broken segments; raises the first one if None.
        workers: Processes; 1 reads in this one.
        progress: Whether to say on stderr how far it is.
    """
    faults, kept = faults or Faults(), []
    for record, result, _ in _progress(records, progress).over(_examined(records, 0, workers)):
        if isinstance(result, Exception):
            faults.meet(result)
        else:
            kept.append(replace(record, facts=result))
    return kept


def build_index(
    records: Sequence[SegmentRecord],
    path: str | Path,
    *,
    copies: int = 0,
    faults: Faults | None = None,
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Reads all segments once and writes their index, and beside it their reduced copies.

    Args:
        records: What to put in; the readers make them.
        path: The index file, such as ``bank.arrow``; copies go into ``bank.copies`` beside it.
        copies: Longest side in pixels of the reduced copies of larger segments; 0 makes none.
        faults: Meets broken segments; raises the first one if None. What it skipped is counted in the index.
        workers: Processes.
        progress: Whether to say on stderr how far it is.

    Raises:
        FileNotFoundError, ValueError: If a segment is broken, or none is left; names it.
        ImportError: If pyarrow is not installed.
        OSError: If the files cannot be written; known before the first segment is read.
    """
    check_range("copies", copies, 0, 4096)
    check_range("workers", workers, 1, 1024)
    faults, path = faults or Faults(), Path(path).absolute()
    writable_folder(path.parent, "The folder of the index")
    records = sorted(records, key=lambda record: record.category)
    if not copies:
        kept = measured(records, faults, workers, progress)
    else:
        examined = _progress(records, progress).over(_examined(records, copies, workers))
        kept = _pack(examined, path, faults)
    if not kept:
        raise ValueError(f"{path} must hold at least one segment, but all {len(records)} are broken or missing.")
    write_index(path, kept, copies, len(faults.skipped))


def _pack(examined: Iterator, index: Path, faults: Faults) -> list[SegmentRecord]:
    path = pack_path(index)
    part, kept = path.with_name(f"{path.name}.part-{os.getpid()}"), []
    try:
        with part.open("wb") as file:
            for record, result, small in examined:
                if isinstance(result, Exception):
                    faults.meet(result)
                    continue
                copy = PackedCopy(path, file.tell(), len(small)) if small else None
                file.write(small)
                kept.append(replace(record, facts=result, copy=copy))
        # An index that is there already must never be read with other copies than its own.
        index.unlink(missing_ok=True)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return kept


Examined = tuple[SegmentRecord, Facts | Exception, bytes]


def _examined(records: Sequence[SegmentRecord], copies: int, workers: int) -> Iterator[Examined]:
    """Each record with its facts, or what is wrong with it, and the file of its reduced copy."""
    examine = partial(_examine, copies=copies)
    if workers == 1:
        yield from map(examine, records)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(records), _BLOCK):
            yield from pool.map(examine, records[start : start + _BLOCK], chunksize=32)


def _examine(record: SegmentRecord, copies: int) -> Examined:
    if record.facts and not copies:
        return record, record.facts, b""
    try:
        rgba = record.pixels()
        Segment(rgba, record.category)
    except _BROKEN as error:
        named = str(record.path) in str(error)
        return record, error if named else ValueError(f"The cut-out {record.name} cannot be used: {error}"), b""
    facts = measure(rgba)
    box = rgba[facts.box_y : facts.box_y + facts.box_height, facts.box_x : facts.box_x + facts.box_width]
    small = reduced(box, copies) if copies else None
    return record, facts, b"" if small is None else encode(small)


def _progress(records: Sequence[SegmentRecord], shown: bool) -> Progress:
    return Progress(len(records), "segments", shown)
