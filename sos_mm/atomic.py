"""Files that are there whole or not at all: written under a temporary name, synchronised to the disk, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sos_mm.checks import require_posix


@contextmanager
def atomic_path(path: str | Path, temporary: str | Path | None = None) -> Iterator[Path]:
    """Returns a temporary path to write to, which takes the place of a file when the block ends without an error.

    A file that was there before stays until then, and stays for good if the block raises.

    Args:
        path: The file; its folder must exist.
        temporary: Where to write first, on the same disk; beside the file, under a name of this process, if None.

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
    """Opens a text file for writing, in UTF-8 and with line feeds, as `atomic_path` puts it in its place."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_atomic(path: str | Path, content: bytes) -> None:
    """Writes a file as `atomic_path` does."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def sync(path: str | Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
