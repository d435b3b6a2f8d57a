"""Merges the annotation files of a complete data set that has those of single shards, and cleans up after that."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import sync
from sos_mm.formats.checksums import CHECKSUMS, checksum_lines, read_checksums
from sos_mm.formats.composed import MANIFEST, WORK
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.shards import SHARDS_INDEX
from sos_mm.synthesis.complete import check_contents, read_manifest
from sos_mm.synthesis.unmerged import merged_parts, read_index, remove_shard_files
from sos_mm.synthesis.workspace import clear, lock_of_complete, replace_file


def merge_later(out: Path) -> dict[str, Any]:
    """Merges the annotation files of a complete data set; the result is the one of merging at once, byte for byte.

    Needs the data set alone, not the sources of its recipe. May be interrupted at any point: the data set stays
    complete as it was until the merged files are whole; see `settle`.

    Returns:
        The manifest.

    Raises:
        FileExistsError: If another run is using the folder.
        ValueError: If files of the shards have been changed.
    """
    with lock_of_complete(out) as locked:
        if not locked:
            raise FileExistsError(f"Another run is writing {out}: wait for it, then run the same command again.")
        try:
            manifest = read_manifest(out)
            if "merge" in manifest:  # Otherwise another run has just done it.
                _merge(out, manifest)
        finally:
            if (out / MANIFEST).exists():
                _clean(out)
    return read_manifest(out)


def _merge(out: Path, manifest: Mapping[str, Any]) -> None:
    checksums, tables = read_checksums(out), read_index(out)["tables"]
    table_of = {file: name for name, table in tables.items() for file in table["files"]}
    check_contents(
        out, {name: sha256 for name, sha256 in checksums.items() if name in table_of or name == SHARDS_INDEX}
    )
    merged = {}
    for name, table in tables.items():
        (out / name).parent.mkdir(exist_ok=True)
        parts = merged_parts([out / file for file in table["files"]], table["sections"])
        merged[name] = replace_file(out, out / name, parts)
        sync((out / name).parent)
    lines = (checksum_lines([pair]) for pair in _merged_checksums(checksums, table_of, merged))
    told = {**manifest, CHECKSUMS: replace_file(out, out / WORK / CHECKSUMS, lines)}
    del told["merge"]
    replace_file(out, out / WORK / MANIFEST, [readable_json(told)])
    sync(out / WORK)
    # From here on, the next run goes on: see `settle`.
    (out / MANIFEST).unlink()
    _complete(out)


def _merged_checksums(
    checksums: Mapping[str, str], table_of: Mapping[str, str], merged: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yields the checksums of the merged data set; each merged file takes the place of those of its shards."""
    left = dict(merged)
    for name, sha256 in checksums.items():
        if name in table_of:
            table = table_of[name]
            if table in left:
                yield table, left.pop(table)
        elif name != SHARDS_INDEX:
            yield name, sha256


def _complete(out: Path) -> None:
    """Puts the list of checksums into its place, removes the files of shards, and puts the manifest into its place."""
    if (out / WORK / CHECKSUMS).exists():
        os.replace(out / WORK / CHECKSUMS, out / CHECKSUMS)
    if (out / SHARDS_INDEX).exists():
        remove_shard_files(out, read_index(out)["tables"])
    sync(out)
    os.replace(out / WORK / MANIFEST, out / MANIFEST)
    sync(out)
    clear(out)


def settle(out: Path) -> None:
    """Cleans up after a run that was killed in its last steps, or while it merged a complete data set.

    Does nothing while another run is at it, or in a folder without a complete data set.

    Raises:
        ValueError: If the manifest or the list of the shards' files is invalid.
    """
    if not (out / WORK).is_dir() or not ((out / MANIFEST).exists() or (out / WORK / MANIFEST).exists()):
        return
    with lock_of_complete(out) as locked:
        if not locked:
            return
        if (out / MANIFEST).exists():
            _clean(out)
        elif (out / WORK / MANIFEST).exists():
            _complete(out)


def _clean(out: Path) -> None:
    """Removes what is left of a run in a complete data set: merged files that its manifest does not know, and work."""
    if "merge" in read_manifest(out):
        for name in read_index(out)["tables"]:
            (out / name).unlink(missing_ok=True)
    clear(out)
