"""Joins indices that several processes or machines have built, each of its own part of the segments."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sos_mm.atomic import explaining_full_disk
from sos_mm.checks import check_integer, require_posix, writable_folder
from sos_mm.segments.index.arrow import BATCH_ROWS, IndexedRecords, is_index
from sos_mm.segments.index.fingerprint import encoded_rows
from sos_mm.segments.index.writer import IndexWriter
from sos_mm.terminal import progress_bar

# Bytes of multi-resolution copies that are copied at once.
_BLOCK = 2**23


def join_indices(parts: Sequence[str | Path], path: str | Path, *, workers: int = 1, progress: bool = True) -> None:
    """Joins indices and their multi-resolution copies into one, the one of all their segments built at once.

    Memory does not depend on the number of segments: batches of 65,536 are in memory, one or two a process. An existing
    index at the path is replaced when the new one is complete.

    Args:
        parts: The index files, in the order of their segments; their segments' files must be where they were.
        path: The index file to write.
        workers: Number of processes.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileExistsError: If ``path`` exists and is not an index.
        FileNotFoundError: If a part, its copies, or a segment's file does not exist.
        OSError: If the files cannot be written.
        RuntimeError: On Windows.
        ValueError: If there is no part, one is not an index, or their copies have different sides.
    """
    require_posix("Making an index of segments")
    check_integer("workers", workers, 1, 1024)
    path = Path(path).absolute()
    if path.exists() and not is_index(path):
        raise FileExistsError(f"{path} must be a new file or an index to replace, but is neither: name another.")
    opened = _opened_parts(parts, path)
    writable_folder(path.parent, "The folder of the index")
    root = os.path.commonpath([part.root for part in opened])
    rows = sum(map(len, opened))
    with (
        explaining_full_disk(path.parent, kept=""),
        IndexWriter(path, root, opened[0].copies) as writer,
        progress_bar(total=rows, unit="segments", shown=progress) as bar,
    ):
        writer.counts.update(_counts(opened))
        batches = _with_copies(_batches(opened), opened, writer)
        for batch, encoded in _in_order(opened, root, batches, workers):
            writer.add_rows(pa.ipc.open_stream(batch).read_next_batch(), encoded)
            bar.update(min(BATCH_ROWS, rows - bar.n))
        skipped = sum((Counter(part.skipped) for part in opened), Counter())
        writer.finish(skipped, all(part.has_source_sizes for part in opened))


def _opened_parts(parts: Sequence[str | Path], path: Path) -> list[IndexedRecords]:
    """Opens the parts and compares them."""
    if not parts:
        raise ValueError("`parts` must name at least one index to join, but there is none.")
    opened = [IndexedRecords(part) for part in parts]
    for part in opened:
        if part.copies != opened[0].copies:
            raise ValueError(
                f"Indices that are joined must have copies of the same sides, but {opened[0].path} has "
                f"{opened[0].copies} and {part.path} has {part.copies}."
            )
    files = {part.path.resolve() for part in opened}
    if len(files) < len(opened) or path.resolve() in files:
        raise ValueError(f"Indices that are joined must be different files, and others than {path}.")
    return opened


def _counts(parts: Sequence[IndexedRecords]) -> dict[str, int]:
    """Returns the rows of each category, sorted by category."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(dict(zip(part.categories, part.counts.tolist(), strict=True)))
    return dict(sorted(counts.items()))


@dataclass(frozen=True)
class _Range:
    """Rows of one part, and by how much their copies are farther back in the joined file of copies."""

    part: int
    start: int
    stop: int
    shift: int = 0


def _ranges(parts: Sequence[IndexedRecords]) -> Iterator[_Range]:
    """Yields the rows of all parts sorted by category; those of a category in the order of the parts."""
    starts = [np.cumsum(part.counts) - part.counts for part in parts]
    positions = [{name: place for place, name in enumerate(part.categories)} for part in parts]
    for name in _counts(parts):
        for number, part in enumerate(parts):
            place = positions[number].get(name)
            if place is not None:
                start = int(starts[number][place])
                yield _Range(number, start, start + int(part.counts[place]))


def _batches(parts: Sequence[IndexedRecords]) -> Iterator[list[_Range]]:
    """Divides the rows into batches."""
    batch: list[_Range] = []
    space = BATCH_ROWS
    for each in _ranges(parts):
        start = each.start
        while start < each.stop:
            stop = min(each.stop, start + space)
            batch.append(_Range(each.part, start, stop))
            space -= stop - start
            start = stop
            if not space:
                yield batch
                batch, space = [], BATCH_ROWS
    if batch:
        yield batch


def _with_copies(
    batches: Iterator[list[_Range]], parts: Sequence[IndexedRecords], writer: IndexWriter
) -> Iterator[list[_Range]]:
    """Appends the copies of each batch to those of the joined index; yields it with their places."""
    for batch in batches:
        if not writer.copies:
            yield batch
            continue
        moved = []
        for each in batch:
            part = parts[each.part]
            start, stop = part.copies_start(each.start), part.copies_start(each.stop)
            moved.append(_Range(each.part, each.start, each.stop, writer.packed - start))
            for place in range(start, stop, _BLOCK):
                writer.add_copies(part.read_packed(place, min(stop - place, _BLOCK)))
        yield moved


def _in_order(
    parts: Sequence[IndexedRecords], root: str, batches: Iterator[list[_Range]], workers: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yields the batches in their order, made by several processes, of which each is at most one ahead."""
    if workers == 1:
        yield from (_make_batch(parts, root, batch) for batch in batches)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _open_in_worker, (parts,)) as pool:
        waiting: deque[Any] = deque()
        for batch in batches:
            waiting.append(pool.submit(_make_in_worker, root, batch))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# The parts in a worker process, opened when it starts.
_parts: Sequence[IndexedRecords] = ()


def _open_in_worker(parts: Sequence[IndexedRecords]) -> None:
    global _parts
    _parts = parts


def _make_in_worker(root: str, ranges: Sequence[_Range]) -> tuple[bytes, bytes]:
    return _make_batch(_parts, root, ranges)


def _make_batch(parts: Sequence[IndexedRecords], root: str, ranges: Sequence[_Range]) -> tuple[bytes, bytes]:
    """Returns a batch of the joined index as an Arrow stream, and what its fingerprint hashes of the rows."""
    slices = [piece for each in ranges for piece in parts[each.part].rows(each.start, each.stop)]
    lengths = [each.stop - each.start for each in ranges]
    table = pa.Table.from_batches([piece.replace_schema_metadata(None) for piece in slices]).combine_chunks()
    prefixes = [_below(parts[each.part].root, root) for each in ranges]
    table = _replaced(table, "file", pc.binary_join_element_wise(_repeated(prefixes, lengths), table["file"], ""))
    shifts = np.repeat(np.array([each.shift for each in ranges], np.int64), lengths)
    table = _replaced(table, "copy_offset", pc.add(table["copy_offset"], pa.array(shifts)))
    batch = table.combine_chunks().to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes(), encoded_rows(batch, root)


def _below(folder: Path, root: str) -> str:
    """Returns the path of a folder below the root, with a slash at its end; empty for the root itself."""
    relative = os.path.relpath(folder, root)
    return "" if relative == "." else f"{PurePath(relative).as_posix()}/"


def _repeated(texts: Sequence[str], times: Sequence[int]) -> pa.Array:
    names = sorted(set(texts))
    places = np.repeat(np.array([names.index(text) for text in texts], np.int32), times)
    return pa.DictionaryArray.from_arrays(pa.array(places), pa.array(names, pa.string())).cast(pa.string())


def _replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), column)
