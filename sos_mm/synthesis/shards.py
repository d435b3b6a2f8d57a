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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sos_mm.atomic import sync
from sos_mm.digest import sha256_of
from sos_mm.formats.composed import WORK
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.webdataset import INDEX, SHARDLIST, TarWriter, index_record
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
        archives: Members of the shard's archives, by the folder of the archives and by name.
    """

    files: Mapping[str, bytes]
    records: Mapping[Stream, Sequence[Mapping[str, Any]]]
    category_ids: Sequence[int]
    limited: int = 0
    archives: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


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


class _ArchiveWriter:
    """Writes an archive of a shard and computes its checksum; its `TarWriter` writes by way of it."""

    def __init__(self, file: BinaryIO):
        self._file, self._digest, self._samples = file, hashlib.sha256(), 0
        self._tar = TarWriter(self)

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self._file.tell()

    def add(self, members: Mapping[str, bytes]) -> None:
        """Adds the members of a sample."""
        for name, content in members.items():
            self._tar.add(name, content)
        self._samples += 1

    def close(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Ends the archive; returns its checksum, and its record in the list of archives."""
        self._tar.close()
        return self._digest.hexdigest(), index_record(name, self._samples, self.tell())


class _ShardWriter:
    """Writes the files of a shard into its folder; files that all images share are opened when they are needed."""

    def __init__(self, folder: Path, number: int, opened: ExitStack):
        self._folder, self._archive, self._opened = folder, f"{number:06d}.tar", opened
        self._checksums: list[tuple[str, str]] = []
        self._streams: dict[Stream, _StreamWriter] = {}
        self._archives: dict[str, _ArchiveWriter] = {}
        self._counts = Counts()

    def add(self, image: ShardImage) -> None:
        """Writes the files and records of an image."""
        for name, content in image.files.items():
            _write(self._folder / name, content)
            self._checksums.append((name, hashlib.sha256(content).hexdigest()))
        for stream, records in image.records.items():
            self._write_records(stream, records)
        for folder, members in image.archives.items():
            if folder not in self._archives:
                self._archives[folder] = _ArchiveWriter(self._open(f"{folder}/{self._archive}"))
            self._archives[folder].add(members)
        self._counts.add(image.category_ids, image.limited)

    def finish(self) -> dict[str, Any]:
        """Ends the archives; returns the counts, and the names and checksums of all files."""
        for folder, archive in self._archives.items():
            sha256, record = archive.close(self._archive)
            self._checksums.append((f"{folder}/{self._archive}", sha256))
            self._write_records((f"{folder}/{INDEX}", SHARDLIST), [record])
        streams = {_stream_name(stream): writer.summary() for stream, writer in self._streams.items()}
        return {**self._counts.to_json(), "files": self._checksums, "streams": streams}

    def _write_records(self, stream: Stream, records: Sequence[Mapping[str, Any]]) -> None:
        if stream not in self._streams:
            self._streams[stream] = _StreamWriter(self._open(_stream_name(stream)))
        self._streams[stream].write(records)

    def _open(self, name: str) -> BinaryIO:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        return self._opened.enter_context(open(path, "wb"))


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
    with new_shard(out, number) as partial:
        with ExitStack() as opened:
            writer = _ShardWriter(partial, number, opened)
            for image in images:
                writer.add(image)
            summary = writer.finish()
        _write(partial / _SUMMARY, readable_json({**summary, "sha256": _sum_of(summary)}))
    return summary["images"]


@contextmanager
def new_shard(out: Path, number: int) -> Iterator[Path]:
    """Yields an empty folder for the files of a shard, which gets its final name when the block ends without an error.

    Raises:
        OSError: As `write_shard`.
    """
    folder = shard_folder(out, number)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    # Exists if this process failed here before and goes on with other shards.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    yield partial
    # All at once, since syncing many files takes hardly longer than syncing one.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync, partial.rglob("*")))
    partial.rename(folder)
    sync(folder.parent)


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
