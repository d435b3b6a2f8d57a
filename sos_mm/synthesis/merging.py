"""Merges complete shards into a complete data set: moves files, joins records, and writes the manifest last."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from sos_mm.atomic import sync
from sos_mm.digest import sha256_of
from sos_mm.formats.checksums import CHECKSUMS, checksum_lines, read_checksums
from sos_mm.formats.composed import MANIFEST
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.records import INTEGER, OBJECT, TEXT, check_record, optional
from sos_mm.synthesis.shards import is_intact, read_stream, read_summary, shard_folder
from sos_mm.synthesis.tables import Counts, table_parts
from sos_mm.synthesis.workspace import check_same, clear, replace_file
from sos_mm.synthesis.writers.format import Categories, Table, Totals

Value = TypeVar("Value")
Result = TypeVar("Result")

_COUNTS = {"images": INTEGER, "objects": INTEGER, "limited": INTEGER, "instances_of": OBJECT}
_MANIFEST = {
    "format": INTEGER,
    "recipe_sha256": TEXT,
    "seed": INTEGER,
    "num": INTEGER,
    "counts": OBJECT,
    "recipe": OBJECT,
    "skipped": OBJECT,
    "libraries": optional(OBJECT),
    CHECKSUMS: TEXT,
}
# Hashing releases the GIL, so that threads run in parallel.
_THREADS = 8


def damaged_shards(out: Path, number_of_shards: int) -> list[int]:
    """Returns the numbers of the shards whose content differs from what was written."""
    numbers = range(number_of_shards)
    intact = _in_threads(lambda number: is_intact(out, number), numbers)
    return [number for number, good in zip(numbers, intact, strict=True) if not good]


def _in_threads(function: Callable[[Value], Result], values: Iterable[Value]) -> list[Result]:
    """Calls a function with each value; an interruption waits only for the calls that are running."""
    pool = ThreadPoolExecutor(_THREADS)
    try:
        return list(pool.map(function, values))
    finally:
        pool.shutdown(cancel_futures=True)


def merge(
    out: Path,
    number_of_shards: int,
    identity: Mapping[str, Any],
    recipe: Mapping[str, Any],
    tables: Sequence[Table],
    categories: Categories,
) -> dict[str, Any]:
    """Moves the files of all shards to their final paths, joins the records of the tables, and writes the manifest.

    May be interrupted at any point and repeated. The shards must be intact; see `damaged_shards`.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If a file of a shard is missing.
    """
    folders = [shard_folder(out, number) for number in range(number_of_shards)]
    counts, parents = Counts(), set()
    for folder in folders:
        shard = read_summary(folder)
        counts.join(shard)
        for name, _ in shard["files"]:
            _move(folder / name, out / name)
            parents.add((out / name).parent)
    totals = Totals(categories, counts.images, counts.images_with, counts.instances_of)
    written = {table.path: _write_table(out, table, folders, totals) for table in tables}
    checksums = replace_file(out, out / CHECKSUMS, _checksum_lines(folders, written))
    for folder in sorted(parents | {(out / name).parent for name in written}):
        sync(folder)
    manifest = {**identity, "counts": counts.to_json(), "recipe": recipe, CHECKSUMS: checksums}
    replace_file(out, out / MANIFEST, [readable_json(manifest)])
    sync(out)
    clear(out)
    return manifest


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


def open_complete(out: Path, identity: Mapping[str, Any], verify: bool = False) -> dict[str, Any] | None:
    """Reads the manifest of a complete data set; None if the folder does not hold one.

    Args:
        out: The folder.
        identity: The settings that identify a data set.
        verify: Whether to read all files and compare their checksums, rather than check only that they exist.

    Raises:
        FileExistsError: If it is another data set.
        FileNotFoundError: If files are missing.
        ValueError: If the manifest cannot be read, or files have been changed.
    """
    if not (out / MANIFEST).exists():
        return None
    manifest = read_manifest(out)
    check_same(out, manifest, identity)
    _check_files(out)
    # Left behind when a run was killed before its last step.
    clear(out)
    if verify:
        _verify(out, manifest)
    return manifest


def read_manifest(out: Path) -> dict[str, Any]:
    """Reads the manifest of a complete data set.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its content is invalid.
    """
    if not (out / MANIFEST).is_file():
        raise FileNotFoundError(f"`out` must be a complete data set, but {out / MANIFEST} does not exist.")
    manifest = read_json_object(out / MANIFEST, "The manifest of a data set")
    check_record(manifest, _MANIFEST, f"The manifest {out / MANIFEST}")
    check_record(manifest["counts"], _COUNTS, f"`counts` of {out / MANIFEST}")
    return manifest


def _check_files(out: Path) -> None:
    wanted = read_checksums(out).keys()
    folders = {name.rpartition("/")[0] for name in wanted}
    present = set()
    for folder in folders:
        names = os.listdir(out / folder) if (out / folder).is_dir() else ()
        present |= {f"{folder}/{name}" if folder else name for name in names}
    missing = sorted(wanted - present)
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} files of the data set in {out} are missing, {missing[0]} first: remove the folder and "
            "make it again."
        )


def _verify(out: Path, manifest: Mapping[str, Any]) -> None:
    """Compares the content of every file with its checksum."""
    wanted = {CHECKSUMS: manifest[CHECKSUMS], **read_checksums(out)}
    found = _in_threads(lambda name: sha256_of(out / name), wanted)
    changed = [name for name, sha256 in zip(wanted, found, strict=True) if sha256 != wanted[name]]
    if changed:
        raise ValueError(
            f"{len(changed)} of {len(wanted)} files of the data set in {out} are not what was written, {changed[0]} "
            "first: remove the folder and make it again."
        )
