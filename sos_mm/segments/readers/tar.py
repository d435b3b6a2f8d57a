"""The reader of tar shards in WebDataset's layout."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.checks import FaultyInputError
from sos_mm.errors import ErrorCollector
from sos_mm.formats.webdataset import tar_members
from sos_mm.images import check_read, is_listed
from sos_mm.segments.readers.common import SEGMENT_SUFFIXES, keyed_record, without_duplicates
from sos_mm.segments.record import SegmentRecord


def read_tar(shards: str | Path | Sequence[str | Path], faults: ErrorCollector | None = None) -> list[SegmentRecord]:
    """Lists the RGBA files in tar shards of WebDataset's layout; pixels are read from the shards later.

    A sample is ``<key>.png`` (or ``.webp``) and, if there, ``<key>.json`` with ``category``, ``sub_category``,
    ``short_phrase``, ``description`` and ``features``. Without a ``category`` there, the first folder of the
    key is the category.

    Args:
        shards: Uncompressed tar files, or one pattern such as ``'segments-*.tar'``.
        faults: Records samples without a category, with ``..`` in their name, with invalid JSON or with a duplicate
            id; raises them if None.

    Returns:
        Records in the order of the shards; ``source_id`` is the key.

    Raises:
        FileNotFoundError: If there are no such shards.
        ValueError: If a shard is compressed or not a tar file, or there are no segments.
    """
    faults = faults or ErrorCollector()
    if not isinstance(shards, str | Path):
        for each in shards:
            if not isinstance(each, str | Path):
                raise ValueError(f"`shards` must be paths, or one pattern, but has {each!r}.")
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
            for member in tar_members(shard, path):
                name = PurePosixPath(member.name)
                if not is_listed(name):
                    continue
                check_read([name] if member.isfile() else [])
                if member.isfile() and name.suffix.lower() in SEGMENT_SUFFIXES:
                    images.append((str(name.with_suffix("")), member.offset_data, member.size))
                elif member.isfile() and name.suffix.lower() == ".json":
                    content = shard.extractfile(member)
                    assert content is not None, "a file has content"
                    words[str(name.with_suffix(""))] = content.read()
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
            yield keyed_record(path, key, _words(path, key, words.get(key, b"{}")), offset, length)
        except ValueError as error:
            faults.record(error)


def _words(path: Path, key: str, text: bytes) -> dict[str, Any]:
    try:
        words = json.loads(text)
    except ValueError as error:
        fault = f"{key}.json in {path} must be JSON, but is not: {error}. Correct it or remove the sample."
        raise FaultyInputError("faulty metadata", fault) from error
    if not isinstance(words, dict):
        fault = f"{key}.json in {path} must be a JSON object, but is {words!r}: correct it or remove the sample."
        raise FaultyInputError("faulty metadata", fault)
    return words
