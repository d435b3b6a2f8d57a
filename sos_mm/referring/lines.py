"""Reads and writes our own file of expressions, one line for each image; a killed run resumes after its last line."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import sync, write_atomic
from sos_mm.checks import writable_folder
from sos_mm.formats.records import Record

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write_resumable(path: Path, identity: Mapping[str, Any], make: Callable[[int], Iterable[Record]]) -> int:
    """Writes JSON lines with ascending ``index``, or resumes an earlier run with the same identity.

    The file appears when it is complete. Until then its lines are in a hidden file beside it. A second hidden file
    stores the identity until `forget_run`, so that a run that is repeated before does not write the file again.

    Args:
        path: The file; replaced if it exists.
        identity: The settings that determine its content, as JSON-ready values.
        make: Yields the lines whose ``index`` is at least its argument.

    Returns:
        The number of lines that this run wrote.

    Raises:
        OSError: If the file cannot be written.
    """
    writable_folder(path.parent, f"The folder of {path.name}")
    part, noted = path.with_name(f".{path.name}.part"), _noted(path)
    said, start = json.dumps(identity, sort_keys=True).encode(), 0
    if noted.exists() and noted.read_bytes() == said:
        if not part.exists() and path.exists():
            return 0
        start = _whole_lines(part) if part.exists() else 0
    else:
        # In this order: a complete file without a partial one is taken for the result of the stored identity.
        part.write_bytes(b"")
        write_atomic(noted, said)
    written = 0
    try:
        with open(part, "ab") as file:
            for line in make(start):
                file.write(_encode(line).encode() + b"\n")
                # Flushed lines survive a killed process; a resumed run writes an incomplete last line again.
                file.flush()
                written += 1
    except BaseException:
        if not start + written:
            # Nothing to go on from.
            part.unlink()
            forget_run(path)
        raise
    sync(part)
    os.replace(part, path)
    return written


def forget_run(path: Path) -> None:
    """Deletes the stored identity of a run, so that the next run writes the file again."""
    _noted(path).unlink(missing_ok=True)


def _noted(path: Path) -> Path:
    return path.with_name(f".{path.name}.run")


def _whole_lines(part: Path) -> int:
    """Removes an incomplete last line; returns the ``index`` that follows the last complete line."""
    with open(part, "r+b") as file:
        start, last = 0, b""
        for line in file:
            if not line.endswith(b"\n"):
                break
            start, last = start + len(line), line
        file.truncate(start)
    return json.loads(last)["index"] + 1 if last else 0


def read_lines(path: Path) -> Iterator[Record]:
    """Yields the lines of a file that `write_resumable` wrote."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
