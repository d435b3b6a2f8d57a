"""Makes an index: reads every segment once, validates and measures it, and packs reduced copies."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from sos_mm.checks import check_range, writable_folder
from sos_mm.errors import ErrorCollector
from sos_mm.progress import Progress
from sos_mm.segments.fingerprint import common_root
from sos_mm.segments.index import is_index
from sos_mm.segments.index_writer import IndexWriter
from sos_mm.segments.pack import pack
from sos_mm.segments.quality import Facts, measure
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.segment import Segment

# Few enough that their copies, which are waited for, take little memory.
_BLOCK = 256
# Raised by `SegmentRecord.pixels` for what is wrong with one segment; other errors are not about segments.
_BROKEN = (FileNotFoundError, ValueError)


def measured(
    records: Sequence[SegmentRecord], faults: ErrorCollector | None = None, workers: int = 1, progress: bool = True
) -> list[SegmentRecord]:
    """The records with their facts; reads the pixels of those that have none yet.

    Args:
        records: What to read.
        faults: Records broken segments; raises the first one if None.
        workers: Processes; 1 reads in this one.
        progress: Whether to say on stderr how far it is.
    """
    faults, kept = faults or ErrorCollector(), []
    for record, result, _ in _progress(records, progress).over(_examined(records, (), workers)):
        if isinstance(result, Exception):
            faults.record(result)
        else:
            kept.append(replace(record, facts=result))
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
    """Reads all segments once and writes their index, and beside it their reduced copies.

    An index that is there already is replaced when the new one is whole, and stays as it is if that fails.

    Args:
        records: What to put in; the readers make them.
        path: The index file, such as ``bank.arrow``; copies go into ``bank.<digits>.copies`` beside it.
        copies: Longest sides in pixels of the reduced copies, rising; a segment that is no larger than one of
            them is copied as it is, which is read faster than its file. See `SegmentBank.load`.
        faults: Records broken segments; raises the first one if None. What it skipped is counted in the index.
        workers: Processes.
        progress: Whether to say on stderr how far it is.

    Raises:
        FileNotFoundError, ValueError: If a segment is broken, or none is left; names it.
        FileExistsError: If something else than an index is there already, which is left as it is.
        ImportError: If pyarrow is not installed.
        OSError: If the files cannot be written; known before the first segment is read.
    """
    copies = tuple(copies)
    if list(copies) != sorted(set(copies)):
        raise ValueError(f"`copies` must be rising sides in pixels, but got {copies}.")
    for side in copies:
        check_range("copies", side, 8, 4096)
    check_range("workers", workers, 1, 1024)
    faults, path = faults or ErrorCollector(), Path(path).absolute()
    if path.exists() and not is_index(path):
        raise FileExistsError(f"{path} must be a new file or an index to replace, but is neither: name another.")
    writable_folder(path.parent, "The folder of the index")
    records = sorted(records, key=lambda record: record.category)
    if not records:
        raise ValueError(f"{path} must hold at least one segment, but there is none.")
    with IndexWriter(path, common_root(records), copies) as writer:
        for record, result, packed in _progress(records, progress).over(_examined(records, copies, workers)):
            if isinstance(result, Exception):
                faults.record(result)
            else:
                writer.add(replace(record, facts=result), packed)
        if not writer.counts:
            raise ValueError(f"{path} must hold at least one segment, but all {len(records)} are broken or missing.")
        writer.finish(faults.counts)


Examined = tuple[SegmentRecord, Facts | Exception, list[bytes]]


def _examined(records: Sequence[SegmentRecord], copies: Sequence[int], workers: int) -> Iterator[Examined]:
    """Each record with its facts, or what is wrong with it, and its packed copies."""
    examine = partial(_examine, copies=copies)
    if workers == 1:
        yield from map(examine, records)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(records), _BLOCK):
            yield from pool.map(examine, records[start : start + _BLOCK], chunksize=8)


def _examine(record: SegmentRecord, copies: Sequence[int]) -> Examined:
    if record.facts and not copies:
        return record, record.facts, []
    try:
        rgba = record.pixels()
        Segment(rgba, record.category)
    except _BROKEN as error:
        return record, error if record.file in str(error) else record.unusable(error), []
    facts = measure(rgba)
    box = rgba[facts.box_y : facts.box_y + facts.box_height, facts.box_x : facts.box_x + facts.box_width]
    return record, facts, pack(box, copies)


def _progress(records: Sequence[SegmentRecord], shown: bool) -> Progress:
    return Progress(len(records), "segments", shown)
