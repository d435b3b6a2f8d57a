"""Complete data sets: their manifest, whether their files are there, and whether they are what was written."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sos_mm.digest import sha256_of
from sos_mm.formats.checksums import CHECKSUMS, read_checksums
from sos_mm.formats.composed import MANIFEST
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.records import INTEGER, OBJECT, TEXT, check_record, optional
from sos_mm.locks import check_same_run

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
    "merge": optional(TEXT),
    CHECKSUMS: TEXT,
}
# Hashing releases the GIL, so that threads run in parallel.
_THREADS = 8


def in_threads(function: Callable[[Value], Result], values: Iterable[Value]) -> list[Result]:
    """Calls a function with each value; an interruption waits only for the calls that are running."""
    pool = ThreadPoolExecutor(_THREADS)
    try:
        return list(pool.map(function, values))
    finally:
        pool.shutdown(cancel_futures=True)


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
    check_same_run(out, manifest, identity)
    _check_files(out)
    if verify:
        check_contents(out, {CHECKSUMS: manifest[CHECKSUMS], **read_checksums(out)})
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


def check_contents(
    out: Path | str, wanted: Mapping[str, str], sha256_of_name: Callable[[str], str] | None = None
) -> None:
    """Compares the content of files of a data set with their checksums, by path.

    Args:
        out: The data set's folder, or its address on object storage.
        wanted: The checksums.
        sha256_of_name: Computes the checksum of a path's content; by default of the file in the folder.

    Raises:
        ValueError: If one differs.
    """
    found = in_threads(sha256_of_name or (lambda name: sha256_of(Path(out) / name)), wanted)
    changed = [name for name, sha256 in zip(wanted, found, strict=True) if sha256 != wanted[name]]
    if changed:
        raise ValueError(
            f"{len(changed)} of {len(wanted)} files of the data set in {out} are not what was written, {changed[0]} "
            "first: remove it and make it again."
        )
