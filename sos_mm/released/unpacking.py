"""Unpacking of archives: members are checked, written whole, and unpacking is continued where it stopped."""

import errno
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from sos_mm.space import check_space, format_size
from sos_mm.terminal import progress_bar

# Folder in which a member is written until it is whole.
_STAGING = ".unpacking"
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        path: Its path in the archive.
        size: Bytes of its content.
        crc: CRC-32 of its content; None if the archive does not hold it.
        is_link: Whether it is a link or another special file instead of a file.
    """

    path: str
    size: int
    crc: int | None = None
    is_link: bool = False


class Archive(Protocol):
    """The interface of an open archive."""

    name: str

    def members(self) -> Iterator[Member]:
        """Yields the files in the archive; folders are left out."""

    def unpack(
        self, wanted: Iterable[Member], complete: bool, staging: Path, place: Callable[[Path, str], None]
    ) -> None:
        """Unpacks files.

        Args:
            wanted: The files.
            complete: Whether these are all files of the archive.
            staging: Folder on the disk of the results, for files that are not whole.
            place: Moves a whole file to its final path; called with its path below ``staging`` and its path in the
                archive.

        Raises:
            ValueError: If the archive is damaged.
        """


def check_members(members: Iterable[Member], archive: str) -> Iterator[Member]:
    """Yields members after checking that each is a file below the folder that it is unpacked to.

    Raises:
        ValueError: If one leads out of the folder, is a link, or has the path of another.
    """
    seen: set[str] = set()
    for member in members:
        parts = PurePosixPath(member.path).parts
        outside = not parts or member.path.startswith("/") or ".." in parts or parts[0] == _STAGING
        if outside or set("\\:\0\n\r") & set(member.path):
            raise ValueError(f"{archive} must hold files below one folder, but holds {member.path!r}: do not use it.")
        if member.is_link:
            raise ValueError(f"{archive} must hold files only, but {member.path!r} is a link: do not use it.")
        if member.path in seen:
            raise ValueError(f"{archive} must hold each file once, but {member.path!r} is there twice: do not use it.")
        seen.add(member.path)
        yield member


def unpack(archive: Archive, members: Iterable[Member], out: Path, complete: bool = True, progress: bool = True) -> int:
    """Unpacks members of an archive; those that are there whole are not unpacked again.

    Each file gets its final path when it is whole, so that a process that is killed leaves no part of one there.

    Args:
        archive: The archive.
        members: The checked members to unpack.
        out: The folder.
        complete: Whether these are all members of the archive.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The number of files that were unpacked now.

    Raises:
        ValueError: If the archive is damaged.
        OSError: If the disk has too little space, or becomes full.
    """
    staging = out / _STAGING
    missing, present = [], 0
    for member in members:
        if file_size(out / member.path) == member.size:
            present += 1
        else:
            missing.append(member)
    check_space({out: sum(member.size for member in missing)}, f"Unpacking {archive.name}")
    _recover(staging, missing, out)
    missing = [member for member in missing if file_size(out / member.path) != member.size]
    staging.mkdir(parents=True, exist_ok=True)
    folders: set[Path] = set()
    with progress_bar(total=present + len(missing), unit="files", shown=progress) as bar:
        bar.update(present)

        def place(part: Path, path: str) -> None:
            final = out / path
            if final.parent not in folders:
                final.parent.mkdir(parents=True, exist_ok=True)
                folders.add(final.parent)
            os.replace(part, final)
            bar.update()

        if missing:
            _unpack_missing(archive, missing, complete and not present, staging, place)
    absent = [member.path for member in missing if file_size(out / member.path) != member.size]
    if absent:
        raise ValueError(
            f"{archive.name} must hold {absent[0]!r}, but unpacking did not give it: the archive is damaged."
        )
    shutil.rmtree(staging, ignore_errors=True)
    return len(missing)


def _unpack_missing(
    archive: Archive, missing: list[Member], complete: bool, staging: Path, place: Callable[[Path, str], None]
) -> None:
    try:
        archive.unpack(missing, complete, staging, place)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = format_size(shutil.disk_usage(staging).free)
            raise OSError(
                f"The disk of {staging.parent} became full while {archive.name} was unpacked ({free} are free): free "
                "some space and run the same command, which goes on where it stopped."
            ) from error
        raise


def _recover(staging: Path, missing: list[Member], out: Path) -> None:
    """Moves files that an earlier process left whole in the staging folder to their paths, and removes the others."""
    if staging.is_dir():
        for member in missing:
            part = staging / member.path
            if member.crc is not None and file_size(part) == member.size and checksum(part) == member.crc:
                (out / member.path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, out / member.path)
        shutil.rmtree(staging)


def checksum(path: Path) -> int:
    """Computes the CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found


def file_size(path: Path) -> int | None:
    """Returns the size of a file, or None if there is no file of that path itself."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
