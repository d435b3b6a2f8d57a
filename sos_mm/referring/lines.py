"""Reads and writes our own file of expressions, one line for each image; a killed run resumes after its last line."""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sos_mm.atomic import sync, write_atomic
from sos_mm.checks import writable_folder
from sos_mm.formats.records import Record

# What is stored of a run until it is forgotten: its identity, and the checksums of its lines.
_NOTES = ("run", "sums")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write_resumable(path: Path, identity: Mapping[str, Any], make: Callable[[int], Iterable[Record]]) -> int:
    """Writes JSON lines with ascending ``index``, or resumes an earlier run with the same identity.

    The file appears when it is complete. Until then its lines are in a hidden file beside it. Two more hidden files
    store the identity and a checksum of each line until `forget_run`, so that a run that is repeated before does not
    write the file again; from the first line on that is not what was written, the lines are made again.

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
    part, noted, sums = (path.with_name(f".{path.name}.{what}") for what in ("part", *_NOTES))
    said, start = json.dumps(identity, sort_keys=True).encode(), 0
    if noted.exists() and noted.read_bytes() == said:
        if not part.exists() and path.exists() and _is_whole(path, sums):
            return 0
        start = _good_lines(part, sums) if part.exists() and sums.exists() else 0
    else:
        # In this order: a complete file without a partial one is taken for the result of the stored identity.
        part.write_bytes(b"")
        write_atomic(noted, said)
    written, mode = 0, "ab" if start else "wb"
    try:
        with open(part, mode) as file, open(sums, mode) as checked:
            for line in make(start):
                encoded = _encode(line).encode() + b"\n"
                # Flushed lines survive a killed process; a line without its checksum is written again.
                for to, content in ((file, encoded), (checked, _checksum(encoded))):
                    to.write(content)
                    to.flush()
                written += 1
    except BaseException:
        if not start + written:
            # Nothing to go on from.
            part.unlink(missing_ok=True)
            forget_run(path)
        raise
    sync(part)
    os.replace(part, path)
    return written


def stored_run(path: Path) -> dict[str, Any] | None:
    """Returns the identity of the run that began or wrote a file and is not forgotten; None if it left no line."""
    part, noted = (path.with_name(f".{path.name}.{what}") for what in ("part", _NOTES[0]))
    if not noted.exists() or not (path.exists() or (part.exists() and part.stat().st_size)):
        return None
    try:
        identity = json.loads(noted.read_bytes())
    except ValueError:
        return None  # Cut off; the run begins anew.
    return identity if isinstance(identity, dict) else None


def forget_run(path: Path) -> None:
    """Deletes what is stored of a run, so that the next run writes the file again."""
    for what in _NOTES:
        path.with_name(f".{path.name}.{what}").unlink(missing_ok=True)


def _checksum(line: bytes) -> bytes:
    return b"%08x\n" % zlib.crc32(line)


def _is_whole(path: Path, sums: Path) -> bool:
    """Returns whether a file has the lines that were written, and no others."""
    if not sums.exists():
        return False
    with open(path, "rb") as lines, open(sums, "rb") as checked:
        return all(line and _checksum(line) == wanted for line, wanted in zip_longest(lines, checked))


def _good_lines(part: Path, sums: Path) -> int:
    """Cuts both files before the first line that is not what was written; returns the ``index`` that follows."""
    good, last = 0, b""
    with open(part, "r+b") as lines, open(sums, "r+b") as checked:
        size = 0
        for line, wanted in zip(lines, checked, strict=False):
            if _checksum(line) != wanted:
                break
            good, size, last = good + 1, size + len(line), line
        lines.truncate(size)
        checked.truncate(good * len(_checksum(b"")))
    return json.loads(last)["index"] + 1 if last else 0


def read_lines(path: Path) -> Iterator[Record]:
    """Yields the lines of a file that `write_resumable` wrote."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
