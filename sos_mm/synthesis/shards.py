"""Shards: the files and records of some images, written into a temporary folder and verified before use.

A shard is written into a temporary folder and renamed when it is complete, so that a killed run leaves only complete
shards. It holds the checksums of its files, so that damage is detected before its parts are joined: a truncated record
stream would otherwise read as a shorter one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sos_mm.atomic import sync
from sos_mm.digest import sha256_of
from sos_mm.formats.composed import WORK
from sos_mm.formats.json_writer import readable_json
from sos_mm.synthesis.tables import Counts, Stream, encode_record

_SUMMARY = "shard.json"
_STREAM_SUFFIX = ".jsonl"
_SYNC_THREADS = 16


def shard_folder(out: Path, number: int) -> Path:
    """Returns the folder of a complete shard before merging."""
    return out / WORK / f"{number:06d}"


@dataclass(frozen=True)
class ShardImage:
    """The files and records of one image in a shard.

    Attributes:
        files: Contents by path in the data set.
        records: Records by (path of the table, section).
        category_ids: The category id of each of its objects.
        limited: Number of objects that the layout's ``max_enlargement`` reduced.
    """

    files: Mapping[str, bytes]
    records: Mapping[Stream, Sequence[Mapping[str, Any]]]
    category_ids: Sequence[int]
    limited: int = 0


class _StreamWriter:
    """Writes the records of one stream and computes their checksum."""

    def __init__(self, file: BinaryIO):
        self._file, self._digest, self.records = file, hashlib.sha256(), 0

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        lines = b"".join(encode_record(record) + b"\n" for record in records)
        self._file.write(lines)
        self._digest.update(lines)
        self.records += len(records)

    def summary(self) -> list:
        return [self.records, self._digest.hexdigest()]


def write_shard(out: Path, number: int, images: Iterable[ShardImage]) -> int:
    """Writes a shard and renames it to its final name.

    Args:
        out: The data set's folder.
        number: Number of the shard.
        images: The encoded images.

    Returns:
        The number of images in it.

    Raises:
        OSError: If the disk is full or fails; the shard then does not exist, and the others are kept.
    """
    folder = shard_folder(out, number)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    # Exists if this process failed here before and goes on with other shards.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    written = _fill(partial, images)
    partial.rename(folder)
    sync(folder.parent)
    return written


def _fill(partial: Path, images: Iterable[ShardImage]) -> int:
    checksums, counts = [], Counts()
    with ExitStack() as opened:
        streams: dict[Stream, _StreamWriter] = {}
        for image in images:
            for name, content in image.files.items():
                _write(partial / name, content)
                checksums.append((name, hashlib.sha256(content).hexdigest()))
            for stream, records in image.records.items():
                if stream not in streams:
                    file = opened.enter_context(open(partial / _stream_name(stream), "wb"))
                    streams[stream] = _StreamWriter(file)
                streams[stream].write(records)
            counts.add(image.category_ids, image.limited)
        summaries = {_stream_name(stream): writer.summary() for stream, writer in streams.items()}
    summary = {**counts.to_json(), "files": checksums, "streams": summaries}
    _write(partial / _SUMMARY, readable_json({**summary, "sha256": _sum_of(summary)}))
    # All at once, since syncing many files takes hardly longer than syncing one.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync, partial.rglob("*")))
    return counts.images


def _sum_of(summary: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(summary, sort_keys=True).encode()).hexdigest()


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads a shard's counts, and the names and checksums of its ``files`` and ``streams``.

    Raises:
        OSError: If it is missing.
        ValueError: If it has been changed.
    """
    try:
        summary = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        found = summary.pop("sha256")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / _SUMMARY} is damaged.") from error
    if found != _sum_of(summary):
        raise ValueError(f"{folder / _SUMMARY} is damaged.")
    return summary


def is_intact(out: Path, number: int) -> bool:
    """Returns whether a shard holds exactly what was written; some of its files may already be at their final paths."""
    folder = shard_folder(out, number)
    try:
        summary = read_summary(folder)
        streams = {path.name for path in folder.glob(f"*{_STREAM_SUFFIX}")}
        if streams != summary["streams"].keys():
            return False
        wanted = [(folder / name, sha256) for name, (_, sha256) in summary["streams"].items()]
        for name, sha256 in summary["files"]:
            wanted.append((folder / name if (folder / name).exists() else out / name, sha256))
        return all(sha256_of(path) == sha256 for path, sha256 in wanted)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return False


def read_stream(folders: Sequence[Path], stream: Stream) -> Iterator[bytes]:
    """Yields the encoded records of a stream from all shards, in the order of the images."""
    for folder in folders:
        path = folder / _stream_name(stream)
        # A shard without records of this stream has no file for it.
        if path.exists():
            with open(path, "rb") as lines:
                yield from (line.rstrip(b"\n") for line in lines)


def stream_length(summary: Mapping[str, Any], stream: Stream) -> int:
    """Returns the number of records of a stream in a shard, from its summary."""
    return summary["streams"].get(_stream_name(stream), [0])[0]


def _stream_name(stream: Stream) -> str:
    return "#".join(stream).replace("/", "#") + _STREAM_SUFFIX


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
