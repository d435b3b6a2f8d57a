"""Merges complete shards into a complete data set: moves files, joins records, and writes the manifest last."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sos_mm.atomic import sync
from sos_mm.formats.checksums import CHECKSUMS, checksum_lines
from sos_mm.formats.composed import MANIFEST
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.shards import SHARDS_INDEX
from sos_mm.synthesis.complete import in_threads
from sos_mm.synthesis.shards import is_intact, read_stream, read_summary, shard_folder
from sos_mm.synthesis.tables import Counts, table_parts
from sos_mm.synthesis.unmerged import is_merged, remove_shard_files, write_index, write_shard_files
from sos_mm.synthesis.workspace import clear, replace_file
from sos_mm.synthesis.writers.format import Categories, Table, Totals


def damaged_shards(out: Path, number_of_shards: int) -> list[int]:
    """Returns the numbers of the shards whose content differs from what was written."""
    numbers = range(number_of_shards)
    intact = in_threads(lambda number: is_intact(out, number), numbers)
    return [number for number, good in zip(numbers, intact, strict=True) if not good]


def merge_shards(
    out: Path,
    number_of_shards: int,
    identity: Mapping[str, Any],
    recipe: Mapping[str, Any],
    tables: Sequence[Table],
    categories: Categories,
    which: str = "all",
    move: Callable[[Path, Path], None] | None = None,
) -> dict[str, Any]:
    """Moves the files of all shards to their final paths, joins the records of the tables, and writes the manifest.

    May be interrupted at any point and repeated, also with another ``which``. The shards must be intact; see
    `damaged_shards`.

    Args:
        out: The data set's folder, locked by `sole_run`.
        number_of_shards: Number of the shards.
        identity: What the manifest says of the run.
        recipe: The recipe, for the manifest.
        tables: The annotation files.
        categories: The categories of the data set.
        which: Which of `MERGE` are joined; the others get a file for each shard.
        move: Moves a file of a shard to its final path; by default in the file system.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If a file of a shard is missing.
    """
    folders = [shard_folder(out, number) for number in range(number_of_shards)]
    counts, images, parents = Counts(), [], set()
    for folder in folders:
        shard = read_summary(folder)
        counts.join(shard)
        images.append(shard["images"])
        for name, _ in shard["files"]:
            (move or _move)(folder / name, out / name)
            parents.add((out / name).parent)
    totals = Totals(categories, counts.images, counts.images_with, counts.instances_of)
    unmerged = [table for table in tables if not is_merged(table, which)]
    _remove_others(out, tables, unmerged)
    written: dict[str, str] = {}
    for table in tables:
        if table in unmerged:
            written |= write_shard_files(out, table, folders, totals)
        else:
            written[table.path] = _write_table(out, table, folders, totals)
    if unmerged:
        written[SHARDS_INDEX] = write_index(out, unmerged, images)
    checksums = replace_file(out, out / CHECKSUMS, _checksum_lines(folders, written))
    for folder in sorted(parents | {(out / name).parent for name in written}):
        sync(folder)
    manifest = {**identity, "counts": counts.to_json(), "recipe": recipe, CHECKSUMS: checksums}
    if unmerged:
        manifest["merge"] = which
    replace_file(out, out / MANIFEST, [readable_json(manifest)])
    sync(out)
    clear(out)
    return manifest


def _remove_others(out: Path, tables: Sequence[Table], unmerged: Sequence[Table]) -> None:
    """Removes what a run has written that was killed while it merged other annotation files."""
    remove_shard_files(out, [table.path for table in tables if table not in unmerged])
    for table in unmerged:
        (out / table.path).unlink(missing_ok=True)


def _checksum_lines(folders: Sequence[Path], tables: Mapping[str, str]) -> Iterator[bytes]:
    """Yields one checksum line for each file, in the order of the images, with one shard in memory at a time."""
    for files in chain((read_summary(folder)["files"] for folder in folders), [tables.items()]):
        yield checksum_lines(files)


def _write_table(out: Path, table: Table, folders: Sequence[Path], totals: Totals) -> str:
    """Joins the records of all shards, one shard at a time; returns the file's SHA-256."""
    (out / table.path).parent.mkdir(exist_ok=True)
    parts = table_parts(table, totals, lambda stream: read_stream(folders, stream))
    return replace_file(out, out / table.path, parts)


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:
        # The target's folder does not exist yet, or the file was moved in an earlier attempt.
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            os.replace(source, target)
        elif not target.exists():
            raise FileNotFoundError(
                f"{target} is missing, and so is {source}: remove the folder and make the data set again."
            ) from None
