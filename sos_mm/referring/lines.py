"""Our own file of expressions, written a line an image, so that a run that was killed goes on after its last line."""

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
    """Writes JSON lines with rising ``index``, or finishes what a run of the same identity began.

    The file is there whole or not at all. Until then its lines stand beside it, under a name that begins with a dot.
    What the run is stands in another such file until `forget_run`, so that a whole file is not made again before.

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
    part, noted = path.with_name(f".{path.name}.part"), _noted(path)
    said, start = json.dumps(identity, sort_keys=True).encode(), 0
    if noted.exists() and noted.read_bytes() == said:
        if not part.exists() and path.exists():
            return 0
        start = _whole_lines(part) if part.exists() else 0
    else:
        # In this order: a file without a part beside it is taken for that of the run noted.
        part.write_bytes(b"")
        write_atomic(noted, said)
    written = 0
    with open(part, "ab") as file:
        for line in make(start):
            file.write(_encode(line).encode() + b"\n")
            # What this process wrote survives its end, and a torn line is written again.
            file.flush()
            written += 1
    sync(part)
    os.replace(part, path)
    return written


def forget_run(path: Path) -> None:
    """Ends a run: the next one of the same identity makes the file anew."""
    _noted(path).unlink(missing_ok=True)


def _noted(path: Path) -> Path:
    return path.with_name(f".{path.name}.run")


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
