"""Atomic writing of files and folders: to a temporary name, synchronised to the disk, then renamed."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from sos_mm.checks import require_posix
from sos_mm.locks import NO_LOCKS, lock_file


@contextmanager
def atomic_path(path: str | Path, temporary: str | Path | None = None) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces a file when the block ends without an error.

    An existing file is kept until then, and is not changed if the block raises.

    Args:
        path: The file; its folder must exist.
        temporary: The temporary path, on the same disk, which no other process uses; None uses ``.NAME.part`` beside
            the file, so that what a killed process leaves of it is written over by the next one. Of two processes that
            write the same file at once, the second one uses a name of its own.

    Raises:
        OSError: If the file cannot be written.
        RuntimeError: On Windows.
    """
    require_posix("Writing files completely or not at all")
    path = Path(path)
    with nullcontext(Path(temporary)) if temporary else _part_of(path) as part:
        try:
            yield part
            sync(part)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """Yields the temporary path of a file, locked against other processes, and empty."""
    part = path.with_name(f".{path.name}.part")
    try:
        lock = lock_file(part)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        part.unlink(missing_ok=True)
        lock = None
    if lock is None:
        yield part.with_name(f"{part.name}-{os.getpid()}")
        return
    with lock:
        lock.truncate(0)
        yield part


@contextmanager
def atomic_text(path: str | Path) -> Iterator[TextIO]:
    """Opens a text file for atomic writing, in UTF-8 and with line feeds; see `atomic_path`."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_atomic(path: str | Path, content: bytes) -> None:
    """Writes a file atomically; see `atomic_path`."""
    with atomic_path(path) as part:
        part.write_bytes(content)


@contextmanager
def atomic_folder(folder: Path, temporary: Path) -> Iterator[Path]:
    """Yields an empty folder to write files to, which gets its final name when the block ends without an error.

    Args:
        folder: The final path; nothing is there when the block ends.
        temporary: The path until then, in the same folder. What an earlier run left there is removed.

    Raises:
        OSError: If the files cannot be written.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for path in temporary.iterdir():
        sync(path)
    temporary.rename(folder)
    sync(folder.parent)


def sync(path: str | Path) -> None:
    """Waits until a file's content, or a folder's list of entries, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_work(folder: Path, own: re.Pattern[str]) -> None:
    """Removes what a run kept in its folder until it was complete, and the folder if nothing else is in it.

    Args:
        folder: The folder, which need not exist.
        own: Pattern of the names that runs write there; files and folders of other names stay.
    """
    with suppress(FileNotFoundError):  # Another process may remove the folder meanwhile.
        for path in folder.iterdir():
            if not own.fullmatch(path.name):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    remove_if_empty(folder)


def remove_if_empty(folder: Path) -> None:
    """Removes a folder if it exists and is empty."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


@contextmanager
def explaining_full_disk(out: Path, kept: str = "Finished shards") -> Iterator[None]:
    """Adds the remedy to the error of a full disk.

    Args:
        out: Where is written.
        kept: What the next run goes on from; nothing if it is empty.

    Raises:
        OSError: If the disk is full; other errors are not changed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        remedy = "make room and run the same command again"
        told = f"{kept} are kept: {remedy}, which goes on from there" if kept else remedy.capitalize()
        raise OSError(error.errno, f"The disk of {out} is full ({error.strerror}). {told}") from error
