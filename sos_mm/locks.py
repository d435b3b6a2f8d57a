"""One run at a time in a folder, by locks of files, and only one that began there, by what it notes of itself.

The lock of a process ends with it, so that a killed one leaves a file, but no lock. A file that exists is locked, not a
folder: network file systems lock only what is opened for writing.
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

if sys.platform != "win32":  # Callers raise an error there.
    import fcntl

# What a file system answers that has no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


def lock_file(path: Path, wait: bool = False) -> TextIO | None:
    """Creates a file if it does not exist, and locks it until it is closed or the process ends.

    The holder may remove the file, which ends the lock for others too: they then create and lock a new one.

    Args:
        path: The file; its folder must exist.
        wait: Whether to wait while another process holds the lock, and to say so.

    Returns:
        The open file, or None if another process holds the lock and ``wait`` is False.

    Raises:
        OSError: If the file cannot be created.
    """
    while True:
        # In a mode that changes nothing of a file that another process holds.
        file = open(path, "a")  # noqa: SIM115 # Who gets it holds it beyond this function.
        try:
            if not take_lock(file, wait=wait):
                file.close()
                return None
        except BaseException:
            file.close()
            raise
        # Its holder may have removed it between the two.
        if _is_at(file, path):
            return file
        file.close()


def take_lock(file: TextIO, *, shared: bool = False, wait: bool = False) -> bool:
    """Locks an open file until it is closed or the process ends; a lock of this kind replaces one of the other kind.

    Args:
        file: The file.
        shared: Whether other processes may hold shared locks of the file at the same time.
        wait: Whether to wait while the lock of another process excludes this one, and to say so.

    Returns:
        Whether the file is locked now; it always is if ``wait`` is True.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        print(f"waiting for another process that is writing in {Path(file.name).parent}", file=sys.stderr, flush=True)
        fcntl.flock(file, kind)
    return True


def share_until_end(path: Path) -> None:
    """Shares the lock of a file with other processes until this process ends; waits for one that does not share it."""
    # A raw descriptor, closed only by the end of the process.
    fcntl.flock(os.open(path, os.O_WRONLY), fcntl.LOCK_SH)


def _is_at(file: TextIO, path: Path) -> bool:
    """Returns whether a path still refers to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def sole_run(folder: Path, name: str) -> Iterator[None]:
    """Excludes other runs from a folder, until the block or the process ends.

    Args:
        folder: The folder.
        name: Name of the lock's file in it, which is removed at the end.

    Raises:
        FileExistsError: If another run is using the folder.
    """
    lock = lock_file(folder / name)
    if lock is None:
        raise FileExistsError(f"Another run is using {folder}: wait for it, or name another folder.")
    with _removed_at_end(lock):
        yield


@contextmanager
def short_turn(path: Path) -> Iterator[None]:
    """Waits, without a word, until no other process is in such a block with the same file, which stays. For blocks of
    milliseconds. On a file system without locks nothing waits.
    """
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Waits until no other process is in such a block with the same file, which is removed at the end."""
    lock = lock_file(path, wait=True)
    assert lock is not None, "it waits"
    with _removed_at_end(lock):
        yield


@contextmanager
def _removed_at_end(lock: TextIO) -> Iterator[None]:
    with lock:
        try:
            yield
        finally:
            Path(lock.name).unlink(missing_ok=True)


def check_same_run(made: Path | str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Checks that a folder, a file or an address of object storage belongs to this run.

    Args:
        made: What the earlier run made or began.
        found: The identity of that run, as it noted it.
        wanted: The identity of this run: settings and hashes by name.

    Raises:
        FileExistsError: If they differ; the message names the differences.
    """
    different = [key for key in wanted if found.get(key) != wanted[key]]
    if different:
        told = ", ".join(_difference(key, found.get(key), wanted[key]) for key in different)
        raise FileExistsError(
            f"{made} belongs to another run ({told}): name another folder, or remove this one if it is not needed."
        )


def _difference(key: str, found: Any, wanted: Any) -> str:
    """Describes a setting in which two runs differ."""
    if key.endswith("_sha256"):
        return f"of another {key.removesuffix('_sha256').replace('_', ' ')}"
    if key == "format":
        return f"made by another version of sos_mm: format {found} instead of {wanted}"
    return f"{key} {found} instead of {wanted}"
