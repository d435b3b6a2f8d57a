"""Atomic writing of files: to a temporary name, synchronised to the disk, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sos_mm.checks import require_posix


@contextmanager
def atomic_path(path: str | Path, temporary: str | Path | None = None) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces a file when the block ends without an error.

    An existing file is kept until then, and is not changed if the block raises.

    Args:
        path: The file; its folder must exist.
        temporary: The temporary path, on the same disk; None uses a name of this process beside the file.

    Raises:
        OSError: If the file cannot be written.
        RuntimeError: On Windows.
    """
    require_posix("Writing files completely or not at all")
    path = Path(path)
    part = Path(temporary or path.with_name(f".{path.name}.part-{os.getpid()}"))
    try:
        yield part
        sync(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_text(path: str | Path) -> Iterator[TextIO]:
    """Opens a text file for atomic writing, in UTF-8 and with line feeds; see `atomic_path`."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_atomic(path: str | Path, content: bytes) -> None:
    """Writes a file atomically; see `atomic_path`."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def sync(path: str | Path) -> None:
    """Waits until a file's content, or a folder's list of entries, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explaining_full_disk(out: Path) -> Iterator[None]:
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
