"""Shards of drawn segments: cut-outs and records, written into a temporary folder that is renamed when complete."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.atomic import atomic_folder, remove_work, write_atomic
from sos_mm.checks import writable_folder
from sos_mm.digest import sha256_of
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.locks import check_same_run, take_lock

WORK, MANIFEST = ".drawing", "manifest.json"
SOURCES = "sources.json"
_RUN, _RECORDS, _SUMS = "run.json", "records.jsonl", "sums.json"
# What the folder of an unfinished run holds that is a run's own, and temporary files of killed processes.
OWN = re.compile(r"\d{6,}(\.partial|\.lock)?|(run|join|users)\.lock|\.?(run|sources)\.json(\.part(-\d+)?)?")


@dataclass(frozen=True, eq=False)
class ShardEntry:
    """One drawn image in a shard.

    Attributes:
        record: Its provenance and scores, as JSON values; ``id`` names its files.
        cutout: (h, w, 4) uint8 RGBA, if it is kept.
        drawing: (H, W, 3) uint8 RGB, if the drawn image is kept.
    """

    record: Mapping[str, Any]
    cutout: np.ndarray | None = None
    drawing: np.ndarray | None = None


def shard_folder(out: Path, number: int) -> Path:
    """Returns the folder of a complete shard."""
    return out / WORK / f"{number:06d}"


def begin(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Prepares the folder of a bank for a run, or for joining or resuming one.

    Args:
        out: The folder; created if it does not exist.
        identity: What identifies the run, as JSON values.

    Returns:
        The manifest if the bank is complete, else None.

    Raises:
        FileExistsError: If the folder holds other files, or belongs to another run.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    writable_folder(out, "`out`")
    if (out / MANIFEST).exists():
        manifest = read_json_object(out / MANIFEST, "The manifest of the bank")
        check_same_run(out, manifest, identity)
        remove_work(out / WORK, OWN)
        return manifest
    strangers = sorted(path.name for path in out.iterdir() if path.name != WORK)
    if strangers and not (out / WORK / _RUN).exists():
        raise FileExistsError(
            f"`out` must be a new or empty folder, or one that this recipe has begun, but {out} holds {strangers[0]}: "
            "name another folder."
        )
    (out / WORK).mkdir(exist_ok=True)
    with locked(out, "run"):
        if (out / WORK / _RUN).exists():
            found = read_json_object(out / WORK / _RUN, "The identity of an unfinished bank")
            check_same_run(out, found, identity)
        else:
            write_atomic(out / WORK / _RUN, readable_json(identity, ascii_only=False))
    return None


@contextmanager
def locked(out: Path, name: str) -> Iterator[None]:
    """Holds a lock of a run; waits while another process holds it, and says so."""
    with open(out / WORK / f"{name}.lock", "w") as file:
        take_lock(file, wait=True)
        yield


@contextmanager
def claimed(out: Path, number: int) -> Iterator[bool]:
    """Claims a shard; yields whether it is to be made by this process: it is neither there nor claimed by another."""
    try:
        file = open(out / WORK / f"{number:06d}.lock", "w")  # noqa: SIM115 # Closed below.
    except FileNotFoundError:
        yield False  # Another process has completed the bank meanwhile.
        return
    with file:
        yield take_lock(file) and not shard_folder(out, number).exists() and (out / WORK / _RUN).exists()


def write_shard(out: Path, number: int, entries: Iterable[ShardEntry]) -> None:
    """Writes a shard and renames it to its final name.

    Raises:
        OSError: If the disk is full or fails; the shard then does not exist, and the others are kept.
    """
    folder = shard_folder(out, number)
    with atomic_folder(folder, folder.with_name(f"{folder.name}.partial")) as partial:
        _fill(partial, entries)


def _fill(partial: Path, entries: Iterable[ShardEntry]) -> None:
    sums, lines = {}, []
    for entry in entries:
        for kind, image in (("cutout", entry.cutout), ("drawing", entry.drawing)):
            if image is not None:
                name, content = f"{entry.record['id']}.{kind}.png", encode_png(image)
                (partial / name).write_bytes(content)
                sums[name] = hashlib.sha256(content).hexdigest()
        lines.append(json.dumps(entry.record, ensure_ascii=False).encode() + b"\n")
    records = b"".join(lines)
    (partial / _RECORDS).write_bytes(records)
    sums[_RECORDS] = hashlib.sha256(records).hexdigest()
    (partial / _SUMS).write_bytes(readable_json(sums, ascii_only=False))


def encode_png(image: np.ndarray) -> bytes:
    """Encodes an RGB or RGBA image, (H, W, 3 or 4) uint8, as a PNG file."""
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(image, order))[1].tobytes()


def read_records(out: Path, number: int) -> Iterator[dict[str, Any]]:
    """Yields the records of a shard."""
    with open(shard_folder(out, number) / _RECORDS, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def is_intact(out: Path, number: int, places: Callable[[Mapping[str, Any]], Mapping[str, Path]]) -> bool:
    """Returns whether a shard holds what was written; its images may have been moved to the bank already.

    Args:
        out: Folder of the bank.
        number: The shard.
        places: Returns where the files of a record may have been moved to, by their names in the shard.
    """
    folder = shard_folder(out, number)
    try:
        sums = json.loads((folder / _SUMS).read_bytes())
        if sha256_of(folder / _RECORDS) != sums.pop(_RECORDS):
            return False
        moved = {name: path for record in read_records(out, number) for name, path in places(record).items()}
        return all(
            sha256_of(folder / name if (folder / name).exists() else moved.get(name, folder / name)) == sha256
            for name, sha256 in sums.items()
        )
    except (OSError, ValueError, AttributeError, KeyError):
        return False


def move(out: Path, number: int, name: str, target: Path) -> None:
    """Moves a file of a shard to its place in the bank, unless that was done before.

    Raises:
        FileNotFoundError: If it is in neither place.
    """
    source = shard_folder(out, number) / name
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    elif not target.exists():
        raise FileNotFoundError(f"{target} is missing, and so is {source}: remove the folder and begin anew.")
