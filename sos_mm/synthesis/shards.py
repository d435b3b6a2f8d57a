"""Shards: the files and records of some images, written into a folder of their own and proved before use.

A shard is written into a partial folder and renamed when it is complete, so that whatever kills a run leaves complete
shards or none. It keeps the checksums of all that it holds, so that damage is found before its parts are joined: a
record stream that was cut would otherwise read as a shorter one.
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
from sos_mm.formats.composed import WORK
from sos_mm.synthesis.tables import Counts, Stream, encode_record
from sos_mm.synthesis.workspace import to_json

_SUMMARY = "shard.json"
_STREAM_SUFFIX = ".jsonl"
_SYNC_THREADS = 16


def shard_folder(out: Path, number: int) -> Path:
    """Returns the folder where a finished shard waits for the others."""
    return out / WORK / f"{number:06d}"


@dataclass(frozen=True)
class ShardImage:
    """What a shard holds for one image.

    Attributes:
        files: Contents by path in the data set.
        records: Records by (path of the table, section).
        category_ids: The category of each of its objects.
        limited: How many of them the layout's ``max_enlargement`` made smaller.
    """

    files: Mapping[str, bytes]
    records: Mapping[Stream, Sequence[Mapping[str, Any]]]
    category_ids: Sequence[int]
    limited: int = 0


class _StreamWriter:
    """Writes the records of one stream and sums them up."""

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
    """Writes a shard and renames it into place.

    Args:
        out: The data set's folder.
        number: Which shard.
        images: What to write.

    Returns:
        How many images it holds.

    Raises:
        OSError: If the disk is full or fails; the shard is then not there, and the others are kept.
    """
    folder = shard_folder(out, number)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    # There already if this process failed here before and goes on with other shards.
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
    _write(partial / _SUMMARY, to_json({**summary, "sha256": _sum_of(summary)}))
    # At once, since a disk takes hardly longer for many files than for one.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync, partial.rglob("*")))
    return counts.images


def _sum_of(summary: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(summary, sort_keys=True).encode()).hexdigest()


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads a shard's counts, and the names and checksums of its ``files`` and ``streams``.

    Raises:
        OSError: If it is missing.
        ValueError: If it is not as it was written.
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
    """Tells whether a shard holds exactly what was written, some of its files perhaps in their final places already."""
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


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's content, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_stream(folders: Sequence[Path], stream: Stream) -> Iterator[bytes]:
    """Reads the encoded records of a stream from all shards, in the order of the images."""
    for folder in folders:
        path = folder / _stream_name(stream)
        # A shard without such a record has no such file.
        if path.exists():
            with open(path, "rb") as lines:
                yield from (line.rstrip(b"\n") for line in lines)


def _stream_name(stream: Stream) -> str:
    return "#".join(stream).replace("/", "#") + _STREAM_SUFFIX


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
