"""The folder of a data set while it is generated: complete shards, then the merged files, then the manifest.

A shard is written into a temporary folder and renamed when it is complete, so that a killed run leaves only complete
shards. When all shards exist, their files move to their final paths. The manifest is written last: a data set that has
it is complete.
"""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from sos_mm.atomic import atomic_path, sync
from sos_mm.checks import writable_folder
from sos_mm.formats.composed import MANIFEST, WORK
from sos_mm.synthesis.tables import Counts, Stream, encode_record, table_parts
from sos_mm.synthesis.writers.format import Categories, Table, Totals

if sys.platform != "win32":  # `synthesize` refuses to run there; composing in memory does without.
    import fcntl

# Checksums of all files except itself and the manifest, which holds its own; in the format of `sha256sum -c`.
CHECKSUMS = "checksums.sha256"
_SYNC_THREADS = 16


def shard_folder(out: Path, number: int) -> Path:
    """Returns the folder of a complete shard before merging."""
    return out / WORK / f"{number:06d}"


def open_folder(out: Path, identity: dict[str, Any], shard_size: int) -> dict[str, Any] | None:
    """Prepares a folder for a run, or finds that the data set is already complete.

    Args:
        out: The folder; created if it does not exist.
        identity: The settings that identify a data set.
        shard_size: Number of images in a shard, which a resumed run must not change.

    Returns:
        The manifest if the folder already holds this data set, complete; otherwise None.

    Raises:
        FileExistsError: If the folder holds other files than this data set or a part of it.
        FileNotFoundError: If its manifest exists, but files are missing.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    if (out / MANIFEST).exists():
        return _open_complete(out, identity)
    writable_folder(out, "`out`")
    run = {**identity, "shard_size": shard_size}
    if (out / WORK / "run.json").exists():
        _check_same(out, _read_json(out / WORK / "run.json"), run)
    else:
        _claim(out, run)
    return None


def note_sources(out: Path, sources: Mapping[str, str]) -> None:
    """Stores the content hashes of a run's sources, or checks that they equal those of the start of the run.

    Args:
        out: The folder, claimed by `open_folder`.
        sources: Content hash by name of the source.

    Raises:
        FileExistsError: If a source has changed since.
    """
    noted = out / WORK / "sources.json"
    if not noted.exists():
        _replace(out, noted.relative_to(out), [_to_json(dict(sources))])
        return
    changed = [name for name, fingerprint in _read_json(noted).items() if sources.get(name) != fingerprint]
    if changed:
        raise FileExistsError(
            f"The {' and the '.join(changed)} of the recipe have changed since the run in {out} began: bring back what "
            "they were, or remove the folder and begin anew."
        )


@contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Locks a folder that `open_folder` has claimed against other runs, and removes incomplete shards.

    A run that fails before its first shard releases the folder, since a corrected recipe has another identity.

    Raises:
        FileExistsError: If another run is using the folder.
    """
    with open(out / WORK / "run.lock", "w") as run, open(out / WORK / "workers.lock", "w") as workers:
        try:
            fcntl.flock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(f"Another run is writing {out}: wait for it, or name another folder.") from None
        # Workers outlive a killed main process for a moment and may still write: wait until they have ended.
        fcntl.flock(workers, fcntl.LOCK_EX)
        fcntl.flock(workers, fcntl.LOCK_UN)
        for partial in (out / WORK).glob("*.partial-*"):
            shutil.rmtree(partial)
        try:
            yield
        except BaseException:
            _give_back(out, workers)
            raise


def _give_back(out: Path, workers: TextIO) -> None:
    """Releases a folder without a complete shard, unless workers are still running."""
    if any(path.name.isdigit() for path in (out / WORK).glob("*")):
        return
    try:
        fcntl.flock(workers, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    shutil.rmtree(out / WORK, ignore_errors=True)


def join_run(out: Path) -> None:
    """Makes later runs wait until this worker process has ended."""
    # A raw descriptor, closed only by the end of the process.
    fcntl.flock(os.open(out / WORK / "workers.lock", os.O_WRONLY), fcntl.LOCK_SH)


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
        streams: dict[Stream, BinaryIO] = {}
        for image in images:
            for name, content in image.files.items():
                _write(partial / name, content)
                checksums.append((name, hashlib.sha256(content).hexdigest()))
            for stream, records in image.records.items():
                if stream not in streams:
                    streams[stream] = opened.enter_context(open(_stream_file(partial, stream), "wb"))
                streams[stream].writelines(encode_record(record) + b"\n" for record in records)
            counts.add(image.category_ids, image.limited)
    _write(partial / "shard.json", _to_json({**counts.to_json(), "files": checksums}))
    # All at once, since syncing many files takes hardly longer than syncing one.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync, partial.rglob("*")))
    return counts.images


@contextmanager
def telling_full_disk(out: Path) -> Iterator[None]:
    """Adds the remedy to the error of a full disk.

    Raises:
        OSError: If the disk is full; other errors are not changed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"The disk of {out} is full ({error.strerror}). Finished shards are kept: make room and run the same "
            "command again, which goes on from there",
        ) from error


def merge(
    out: Path,
    number_of_shards: int,
    identity: Mapping[str, Any],
    recipe: Mapping[str, Any],
    tables: Sequence[Table],
    categories: Categories,
) -> dict[str, Any]:
    """Moves the files of all shards to their final paths, joins the records of the tables, and writes the manifest.

    May be interrupted at any point and repeated.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If a file of a shard is missing.
    """
    folders = [shard_folder(out, number) for number in range(number_of_shards)]
    counts, parents = Counts(), set()
    for folder in folders:
        shard = _read_json(folder / "shard.json")
        counts.join(shard)
        for name, _ in shard["files"]:
            _move(folder / name, out / name)
            parents.add((out / name).parent)
    totals = Totals(categories, counts.images, counts.images_with, counts.instances_of)
    tables = {table.path: _write_table(out, table, folders, totals) for table in tables}
    checksums = _replace(out, CHECKSUMS, _checksum_lines(folders, tables))
    for folder in sorted(parents | {(out / name).parent for name in tables}):
        sync(folder)
    manifest = {**identity, "counts": counts.to_json(), "recipe": recipe, CHECKSUMS: checksums}
    _replace(out, MANIFEST, [_to_json(manifest)])
    sync(out)
    shutil.rmtree(out / WORK)
    return manifest


def _checksum_lines(folders: Sequence[Path], tables: Mapping[str, str]) -> Iterator[bytes]:
    """Yields one checksum line for each file, in the order of the images, with one shard in memory at a time."""
    for files in chain((_read_json(folder / "shard.json")["files"] for folder in folders), [tables.items()]):
        yield "".join(f"{sha256}  {name}\n" for name, sha256 in files).encode()


def read_checksums(out: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Reads SHA-256 checksums by file of a complete data set, of all files or of some.

    Raises:
        FileNotFoundError: If the list of checksums is missing.
    """
    path = out / CHECKSUMS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, which holds the files' checksums: make the data set again.")
    with open(path, encoding="utf-8") as lines:
        pairs = (line.rstrip("\n").split("  ", 1) for line in lines)
        return {name: sha256 for sha256, name in pairs if names is None or name in names}


def _write_table(out: Path, table: Table, folders: Sequence[Path], totals: Totals) -> str:
    """Joins the records of all shards, one shard at a time; returns the file's SHA-256."""
    (out / table.path).parent.mkdir(exist_ok=True)
    return _replace(out, table.path, table_parts(table, totals, lambda stream: _read_stream(folders, stream)))


def _read_stream(folders: Sequence[Path], stream: Stream) -> Iterator[bytes]:
    for folder in folders:
        path = _stream_file(folder, stream)
        # A shard without records of this stream has no file for it.
        if path.exists():
            with open(path, "rb") as lines:
                yield from (line.rstrip(b"\n") for line in lines)


def _stream_file(folder: Path, stream: Stream) -> Path:
    return folder / f"{'#'.join(stream).replace('/', '#')}.jsonl"


def _replace(out: Path, name: str | Path, parts: Iterable[bytes]) -> str:
    """Writes a file atomically; returns its SHA-256."""
    digest = hashlib.sha256()
    with atomic_path(out / name, out / WORK / "scratch") as scratch, open(scratch, "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
    return digest.hexdigest()


def _open_complete(out: Path, identity: dict[str, Any]) -> dict[str, Any]:
    manifest = _read_json(out / MANIFEST)
    _check_same(out, manifest, identity)
    _check_files(out)
    # Left behind when a run was killed before its last step.
    shutil.rmtree(out / WORK, ignore_errors=True)
    return manifest


def _claim(out: Path, identity: dict[str, Any]) -> None:
    strangers = sorted(path.name for path in out.iterdir() if not path.name.startswith(WORK))
    if strangers:
        raise FileExistsError(
            f"`out` must be a new or empty folder, or one that this recipe has begun, but {out} holds "
            f"{', '.join(strangers[:3])}{' ...' if len(strangers) > 3 else ''}: name another folder."
        )
    # Under a temporary name first: an existing work folder always holds its identity.
    for leftover in out.iterdir():
        shutil.rmtree(leftover)
    scratch = out / f"{WORK}-{os.getpid()}"
    scratch.mkdir()
    _write(scratch / "run.json", _to_json(identity))
    scratch.rename(out / WORK)


def _check_same(out: Path, found: dict[str, Any], identity: dict[str, Any]) -> None:
    different = [key for key in identity if found.get(key) != identity[key]]
    if different:
        told = ", ".join(
            "of another recipe" if key == "recipe_sha256" else f"{key} {found.get(key)} instead of {identity[key]}"
            for key in different
        )
        raise FileExistsError(
            f"{out} belongs to another run ({told}): name another folder, or remove this one if it is not needed."
        )


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


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _to_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
