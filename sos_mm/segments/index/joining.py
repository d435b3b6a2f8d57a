"""Joins indices that several processes or machines have built, each of its own part of the segments."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
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
from sos_mm.worker_pool import worker_pool

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


def _ranges(parts: Sequence[IndexedRecords]) -> Iterator[tuple[int, int, int]]:
    """Yields the rows of all parts sorted by category, as the number of a part, its first row, and the row after.

    Those of a category come in the order of the parts.
    """
    starts = [np.cumsum(part.counts) - part.counts for part in parts]
    indices = [{name: index for index, name in enumerate(part.categories)} for part in parts]
    for name in _counts(parts):
        for number, part in enumerate(parts):
            index = indices[number].get(name)
            if index is not None:
                start = int(starts[number][index])
                yield number, start, start + int(part.counts[index])


def _batches(parts: Sequence[IndexedRecords]) -> Iterator[np.ndarray]:
    """Divides the rows into batches: (R, 3) int64, the ranges of each."""
    batch: list[tuple[int, int, int]] = []
    space = BATCH_ROWS
    for number, start, stop in _ranges(parts):
        while start < stop:
            end = min(stop, start + space)
            batch.append((number, start, end))
            space -= end - start
            start = end
            if not space:
                yield np.array(batch, np.int64)
                batch, space = [], BATCH_ROWS
    if batch:
        yield np.array(batch, np.int64)


def _with_copies(
    batches: Iterator[np.ndarray], parts: Sequence[IndexedRecords], writer: IndexWriter
) -> Iterator[np.ndarray]:
    """Appends the copies of each batch to those of the joined index.

    Yields:
        (R, 4) int64: the ranges, and by how many bytes the copies of each are farther back than in their part.
    """
    for batch in batches:
        shifts = np.zeros((len(batch), 1), np.int64)
        for index, (number, *rows) in enumerate(batch.tolist() if writer.copies else ()):
            start, stop = map(parts[number].copies_start, rows)
            shifts[index] = writer.packed - start
            for position in range(start, stop, _BLOCK):
                writer.add_copies(parts[number].read_packed(position, min(stop - position, _BLOCK)))
        yield np.hstack([batch, shifts])


def _in_order(
    parts: Sequence[IndexedRecords], root: str, batches: Iterator[np.ndarray], workers: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yields the batches in their order, made by several processes, of which each is at most one ahead."""
    if workers == 1:
        yield from (_make_batch(parts, root, batch) for batch in batches)
        return
    with worker_pool(workers, _open_in_worker, (parts,)) as pool:
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


def _make_in_worker(root: str, ranges: np.ndarray) -> tuple[bytes, bytes]:
    return _make_batch(_parts, root, ranges)


def _make_batch(parts: Sequence[IndexedRecords], root: str, ranges: np.ndarray) -> tuple[bytes, bytes]:
    """Returns a batch of the joined index as an Arrow stream, and what its fingerprint hashes of the rows.

    Args:
        parts: The parts.
        root: The root of the joined index.
        ranges: (R, 4) int64, from `_with_copies`.
    """
    numbers, starts, stops, shifts = ranges.T
    lengths = stops - starts
    table, begins = _rows_of_parts(parts, numbers, starts, stops)
    # A range begins there in the table, and here in the batch.
    moves = begins[numbers] + starts - (np.cumsum(lengths) - lengths)
    table = table.take(pa.array(np.arange(lengths.sum()) + np.repeat(moves, lengths)))
    prefixes = _repeated([_below(parts[number].root, root) for number in numbers], lengths)
    table = _replaced(table, "file", pc.binary_join_element_wise(prefixes, table["file"], ""))
    table = _replaced(table, "copy_offset", pc.add(table["copy_offset"], pa.array(np.repeat(shifts, lengths))))
    batch = table.combine_chunks().to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes(), encoded_rows(batch, root)


def _rows_of_parts(
    parts: Sequence[IndexedRecords], numbers: np.ndarray, starts: np.ndarray, stops: np.ndarray
) -> tuple[pa.Table, np.ndarray]:
    """Reads the rows of a batch, part by part: those of one part are next to each other, as its categories are.

    Returns:
        The rows, and (P,) int64: where a part's row 0 would be among them.
    """
    slices, begins, number_of_rows = [], np.zeros(len(parts), np.int64), 0
    for number in np.unique(numbers).tolist():
        first, last = starts[numbers == number].min(), stops[numbers == number].max()
        slices += [piece.replace_schema_metadata(None) for piece in parts[number].rows(int(first), int(last))]
        begins[number] = number_of_rows - first
        number_of_rows += last - first
    return pa.Table.from_batches(slices).combine_chunks(), begins


def _below(folder: Path, root: str) -> str:
    """Returns the path of a folder below the root, with a slash at its end; empty for the root itself."""
    relative = os.path.relpath(folder, root)
    return "" if relative == "." else f"{PurePath(relative).as_posix()}/"


def _repeated(texts: Sequence[str], times: np.ndarray) -> pa.Array:
    names, indices = np.unique(texts, return_inverse=True)
    indices = np.repeat(indices.astype(np.int32), times)
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names, pa.string())).cast(pa.string())


def _replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(index), column)
