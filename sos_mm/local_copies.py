"""Copies of what is on object storage, in a folder of this machine, for what reads files.

Each address has a folder in the cache, with the files and a list of what was copied. Files are written completely or
not at all, so that a killed process leaves files that the next one takes over; only objects that are new, or that have
changed, are copied again.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sos_mm.atomic import explaining_full_disk, sync
from sos_mm.checks import require, require_posix
from sos_mm.locks import one_at_a_time
from sos_mm.space import check_space
from sos_mm.storage import check_address, explained
from sos_mm.terminal import progress_bar

# What stores call the digest, the version or the time of an object, which changes with its content.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "updated", "last_modified", "mtime", "created")
_BATCH = 64


def cache_folder() -> Path:
    """Returns the folder of the copies: ``storage`` in ``SOS_MM_CACHE``, which is ``~/.cache/sos_mm`` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SOS_MM_CACHE") or Path(base) / "sos_mm").absolute() / "storage"


def local_copy(address: str, beside: str = "") -> Path:
    """Copies an object, or all objects below an address, to this machine, unless they are there already.

    Args:
        address: The address of an object or of a folder of any file system that fsspec knows, such as
            ``s3://bucket/prefix``; or of all objects of a folder that fit a pattern, as ``s3://bucket/prefix/*.tar``.
        beside: Pattern of names in the same folder that are copied with an object.

    Returns:
        The path of the object's or folder's copy; for a pattern, a pattern of paths.

    Raises:
        ConnectionError: If the service cannot be reached, or there are no credentials.
        FileNotFoundError: If there is nothing.
        ImportError: If the package for such addresses is not installed.
        OSError: If the disk is too small, or objects change while they are copied.
        PermissionError: If it may not be read.
        RuntimeError: On Windows.
        ValueError: If it has not the form of an address, or fsspec knows no such addresses.
    """
    check_address(address)
    parent, _, name = address.rstrip("/").rpartition("/")
    if any(sign in name for sign in "*?["):
        return _Mirror(parent).update(lambda key: _fits(key, name)) / name
    store = _Mirror(address)
    if store.is_folder():
        return store.update()
    return _Mirror(parent).update(lambda key: key == name or _fits(key, beside)) / name


def _fits(key: str, pattern: str) -> bool:
    """Returns whether a key is a name in the folder itself that fits a pattern; its `*` stands for no slash."""
    return "/" not in key and fnmatch(key, pattern)


def local_copies(addresses: Sequence[str]) -> list[Path]:
    """Copies single objects below one folder of all, so that the paths of the copies differ as the addresses do."""
    for each in addresses:
        check_address(each)
    schemes, paths = zip(*(each.split("://", 1) for each in addresses), strict=True)
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    if len(set(schemes)) > 1 or not common:
        raise ValueError(f"Objects of one source must be in one bucket, but got {addresses[0]} and {addresses[-1]}.")
    keys = [os.path.relpath(path, common) for path in paths]
    folder = _Mirror(f"{schemes[0]}://{common}").update(set(keys).__contains__, set(keys))
    return [folder / key for key in keys]


@dataclass(frozen=True)
class _Object:
    """An object of the store: its path there, its size in bytes, and what changes with its content."""

    path: str
    size: int
    mark: str


class _Mirror:
    """A folder on object storage and its copy.

    Args:
        address: The address of the folder.

    Raises:
        ImportError: If the package for such addresses is not installed.
    """

    def __init__(self, address: str):
        core = require("fsspec.core", f"Reading {address}", "pip install 'sos_mm[s3]'")
        self.address = address.rstrip("/")
        try:
            self._files, self._root = core.url_to_fs(self.address)
        except ImportError as error:
            remedy = "pip install 'sos_mm[s3]'" if address.startswith("s3://") else "install what it names"
            raise ImportError(f"{address} cannot be read without another package ({error}): {remedy}.") from error
        except ValueError as error:
            raise ValueError(f"{address} must be an address that fsspec knows, but is not: {error}.") from error
        name = re.sub(r"[^\w.-]", "_", self.address.rpartition("/")[2])[:40]
        self._own = cache_folder() / f"{name}-{hashlib.sha256(self.address.encode()).hexdigest()[:16]}"
        self._folder, self._scratch, self._list = (self._own / part for part in ("files", "scratch", "copied.jsonl"))

    def is_folder(self) -> bool:
        """Tells whether there is a folder at the address, not an object.

        Raises:
            FileNotFoundError: If there is nothing.
        """
        with explained(self.address):
            self._files.invalidate_cache()
            return self._files.info(self._root)["type"] == "directory"

    def update(self, wanted: Callable[[str], bool] | None = None, needed: set[str] | frozenset = frozenset()) -> Path:
        """Copies the objects that are not there as they are in the store; returns the folder of the copies.

        Args:
            wanted: Returns whether an object is wanted, by its key below the folder; all are if None. Copies of wanted
                objects that the store does not have any more are removed.
            needed: Keys that must be there.
        """
        require_posix("Copying what is on object storage")
        found = self._listed(wanted)
        missing = sorted(needed - found.keys())
        if missing or not found:
            raise FileNotFoundError(
                f"There is no object at {self.address}{''.join(f'/{each}' for each in missing[:1])}."
            )
        self._own.mkdir(parents=True, exist_ok=True)
        with explaining_full_disk(self._own, kept="Copied objects"), one_at_a_time(self._own / ".lock"):
            have = self._copied()
            new = {key: each for key, each in found.items() if have.get(key) != (each.size, each.mark)}
            self._remove(found, wanted)
            if new:
                self._copy(new)
                if self._listed(wanted) != found:
                    raise OSError(f"Objects at {self.address} changed while they were copied: run it again.")
        return self._folder

    def _listed(self, wanted: Callable[[str], bool] | None) -> dict[str, _Object]:
        """Lists the objects by their key below the folder."""
        with explained(self.address):
            self._files.invalidate_cache()
            found = self._files.find(self._root, detail=True)
        start = len(self._root.rstrip("/")) + 1
        objects = {}
        for path, facts in found.items():
            key = path[start:]
            # Consoles keep an empty object in place of a folder.
            if key and not key.endswith("/") and (wanted is None or wanted(key)):
                objects[key] = self._object(path, key, facts)
        return objects

    def _object(self, path: str, key: str, facts: Mapping[str, Any]) -> _Object:
        """Describes a listed object, whose key must be a path below a folder."""
        if {"", ".", ".."} & set(key.split("/")):
            raise ValueError(f"{self.address} has an object {key!r}, which cannot be the path of a file: rename it.")
        if facts.get("size") is None or not _mark(facts):
            raise ValueError(
                f"{self.address} tells no size or no version of its objects, so that changes would not be seen: copy "
                "them to a folder, and name that."
            )
        return _Object(path, int(facts["size"]), _mark(facts))

    def _copied(self) -> dict[str, tuple[int, str]]:
        """Reads size and mark of the objects that were copied; without files that are gone or have another size."""
        noted: dict[str, tuple[int, str]] = {}
        if self._list.exists():
            for line in self._list.read_text(encoding="utf-8").splitlines():
                try:
                    key, size, mark = json.loads(line)
                except ValueError:
                    continue  # Of a killed process.
                noted[key] = size, mark
        return {key: each for key, each in noted.items() if _size(self._folder / key) == each[0]}

    def _remove(self, found: Mapping[str, _Object], wanted: Callable[[str], bool] | None) -> None:
        """Removes copies of wanted objects that are not in the store."""
        for path in sorted(self._folder.rglob("*")):
            key = path.relative_to(self._folder).as_posix()
            if path.is_file() and key not in found and (wanted is None or wanted(key)):
                path.unlink()

    def _copy(self, objects: Mapping[str, _Object]) -> None:
        check_space({self._own: sum(each.size for each in objects.values())}, f"Copying {self.address}")
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        with (
            self._list.open("a", encoding="utf-8") as noted,
            progress_bar(total=len(objects), unit="objects") as bar,
        ):
            noted.write("\n")  # Ends the line of a killed process.
            for start in range(0, len(objects), _BATCH):
                some = list(objects.items())[start : start + _BATCH]
                paths = [self._scratch / str(number) for number in range(len(some))]
                with explained(self.address):
                    self._files.get([each.path for _, each in some], [str(path) for path in paths])
                for path, (key, each) in zip(paths, some, strict=True):
                    self._keep(path, key, each)
                    noted.write(json.dumps([key, each.size, each.mark]) + "\n")
                noted.flush()
                bar.update(len(some))
        self._scratch.rmdir()

    def _keep(self, path: Path, key: str, each: _Object) -> None:
        if path.stat().st_size != each.size:
            raise OSError(f"{self.address}/{key} changed while it was copied: run it again.")
        sync(path)
        target = self._folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def _mark(facts: Mapping[str, Any]) -> str:
    return next((str(facts[name]) for name in _MARKS if facts.get(name) is not None), "")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return -1
