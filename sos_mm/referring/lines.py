"""Our own file of expressions, written a line an image, so that a run that was killed goes on after its last line."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import sync, write_atomic
from sos_mm.checks import writable_folder
from sos_mm.formats.records import Record

_WRITTEN = {"ensure_ascii": False, "separators": (",", ":")}


def write_resumable(path: Path, identity: Mapping[str, Any], make: Callable[[int], Iterable[Record]]) -> int:
    """Writes JSON lines with rising ``index``, or finishes what a run of the same identity began.

    The file is there whole or not at all. Until then its lines stand beside it, under a name that begins with a dot.

    Args:
        path: The file; replaced if it is there.
        identity: What decides its content, as JSON holds it.
        make: Gives the lines whose ``index`` is at least its argument.

    Returns:
        How many lines this run wrote.

    Raises:
        OSError: If the file cannot be written.
    """
    writable_folder(path.parent, f"The folder of {path.name}")
    part, noted = (path.with_name(f".{path.name}.{end}") for end in ("part", "run"))
    said = json.dumps(identity, sort_keys=True).encode()
    start = _whole_lines(part) if part.exists() and noted.exists() and noted.read_bytes() == said else None
    if start is None:
        part.unlink(missing_ok=True)
        write_atomic(noted, said)
    written = 0
    with open(part, "ab") as file:
        for line in make(start or 0):
            file.write(json.dumps(line, **_WRITTEN).encode() + b"\n")
            # What this process wrote survives its end, and a torn line is written again.
            file.flush()
            written += 1
    sync(part)
    os.replace(part, path)
    noted.unlink()
    return written


def _whole_lines(part: Path) -> int:
    """Cuts off a torn last line; the index behind that of the last whole one."""
    with open(part, "r+b") as file:
        start, last = 0, b""
        for line in file:
            if not line.endswith(b"\n"):
                break
            start, last = start + len(line), line
        file.truncate(start)
    return json.loads(last)["index"] + 1 if last else 0


def read_lines(path: Path) -> Iterator[Record]:
    """Reads lines that were written here, one at a time."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
