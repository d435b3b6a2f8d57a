"""Readers of plain folders and of tar shards."""

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.checks import FaultyInputError, check_folder
from sos_mm.errors import ErrorCollector
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.sources import SEGMENT_SUFFIXES, read_words, without_duplicates


def read_folder(root: str | Path, faults: ErrorCollector | None = None) -> list[SegmentRecord]:
    """Lists RGBA files, each in the folder of its category: ``<root>/<category>/**/<name>.png`` (or ``.webp``).

    Folders below the category's are sub-categories; phrases are the category's name in words.

    Args:
        root: Folder of the categories.
        faults: Records ids that are there twice; raises them if None.

    Returns:
        Records sorted by path; ``source_id`` is the path in ``root`` without its suffix.

    Raises:
        FileNotFoundError, NotADirectoryError: If there is no such folder.
        ValueError: If it holds no segments.
    """
    root = check_folder(root, "The segments' `root`")
    records = []
    with os.scandir(root) as entries:
        categories = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for category in categories:
        for inside in _walk(str(root), category):
            records.append(_record(os.path.join(root, inside), os.path.splitext(inside)[0], {}))
    if not records:
        raise ValueError(f"{root} must hold <category>/<name>.png or .webp files, but there is none.")
    return without_duplicates(records, faults or ErrorCollector())


def _walk(root: str, folder: str) -> Iterator[str]:
    """Names of the cut-outs in a folder and those below it, sorted part by part; links to folders are not followed."""
    with os.scandir(os.path.join(root, folder)) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        inside = f"{folder}/{name}"
        if name.startswith("."):
            continue
        if is_folder:
            yield from _walk(root, inside)
        elif name.lower().endswith(SEGMENT_SUFFIXES):
            yield inside


def read_tar(shards: str | Path | Sequence[str | Path], faults: ErrorCollector | None = None) -> list[SegmentRecord]:
    """Lists the RGBA files in tar shards as WebDataset has them, to be read where they are.

    A sample is ``<key>.png`` (or ``.webp``) and, if there, ``<key>.json`` with ``category``, ``sub_category``,
    ``short_phrase``, ``description`` and ``features``. Without a ``category`` there, the first folder of the
    key is the category.

    Args:
        shards: Uncompressed tar files, or one pattern such as ``'segments-*.tar'``.
        faults: Records samples without a category, with ``..`` in their name, with faulty JSON or with an id
            that is there twice; raises them if None.

    Returns:
        Records in the order of the shards; ``source_id`` is the key.

    Raises:
        FileNotFoundError: If there are no such shards.
        ValueError: If a shard is compressed or not a tar file, or there are no segments.
    """
    faults = faults or ErrorCollector()
    paths = [Path(path) for path in (sorted(glob(str(shards))) if isinstance(shards, str | Path) else shards)]
    if not paths:
        raise FileNotFoundError(f"`shards` must name tar files, but there is none at {shards}.")
    records = [record for path in paths for record in _shard(path, faults)]
    if not records:
        raise ValueError(f"{shards} must hold <key>.png or .webp files, but there is none.")
    return without_duplicates(records, faults)


def _shard(path: Path, faults: ErrorCollector) -> Iterator[SegmentRecord]:
    if not path.is_file():
        raise FileNotFoundError(f"The shard {path} does not exist.")
    images, words, damage = [], {}, None
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                name = PurePosixPath(member.name)
                if member.isfile() and name.suffix.lower() in SEGMENT_SUFFIXES:
                    images.append((str(name.with_suffix("")), member.offset_data, member.size))
                elif member.isfile() and name.suffix.lower() == ".json":
                    words[str(name.with_suffix(""))] = shard.extractfile(member).read()
    except tarfile.TarError as error:
        if not images:
            raise ValueError(f"The shard {path} must be an uncompressed tar file, but is not: {error}.") from error
        damage = FaultyInputError("damaged shard", f"The shard {path} is cut short or damaged ({error}): get it again.")
    if damage:
        faults.record(damage)
    for key, offset, length in images:
        try:
            if not length:
                raise FaultyInputError(
                    "cannot be decoded", f"The cut-out {key!r} in {path} is empty (0 bytes): remove it."
                )
            yield _record(path, key, _words(path, key, words.get(key, b"{}")), offset, length)
        except ValueError as error:
            faults.record(error)


def _words(path: Path, key: str, text: bytes) -> dict[str, Any]:
    try:
        words = json.loads(text)
    except ValueError as error:
        text = f"{key}.json in {path} must be JSON, but is not: {error}. Mend it or remove the sample."
        raise FaultyInputError("faulty metadata", text) from error
    if not isinstance(words, dict):
        text = f"{key}.json in {path} must be a JSON object, but is {words!r}: mend it or remove the sample."
        raise FaultyInputError("faulty metadata", text)
    return words


def _record(path: str | Path, key: str, words: dict[str, Any], offset: int = 0, length: int = 0) -> SegmentRecord:
    folders = PurePosixPath(key).parent.parts
    if ".." in folders or PurePosixPath(key).is_absolute():
        text = f"The name {key!r} in {path} must stay below its folder, but leads out of it: rename it."
        raise FaultyInputError("name leads out of its folder", text)
    phrase, description, attributes = read_words(words, f"{key}.json in {path}")
    category = words.get("category") or (folders[0] if folders else "")
    if not category:
        text = f"The category of {key!r} in {path} must be known: put it in {key}.json or in a folder."
        raise FaultyInputError("no category", text)
    return SegmentRecord(
        file=str(path),
        category=category,
        sub_category=words.get("sub_category") or "_".join(folders[1:]),
        phrase=phrase or category.replace("_", " "),
        description=description,
        attributes=attributes,
        source_id=key,
        offset=offset,
        length=length,
    )
