"""Encodes JSON, and writes annotation files atomically."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sos_mm.atomic import atomic_text
from sos_mm.checks import writable_folder


def readable_json(value: Mapping[str, Any], ascii_only: bool = True) -> bytes:
    """Encodes a JSON object for people to read: indented, its keys sorted.

    Args:
        value: The object.
        ascii_only: Whether other letters are escaped.
    """
    return (json.dumps(dict(value), indent=1, sort_keys=True, ensure_ascii=ascii_only) + "\n").encode()


def write_json_lines(path: str | Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes records as JSON lines, and returns how many there were."""
    number = 0
    with _opened(path) as file:
        for record in records:
            file.write(_encode(record) + "\n")
            number += 1
    return number


def write_json_lists(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object with lists, one record a line, so that error messages can name the line.

    An iterator is written as a list, one record at a time.
    """
    with _opened(path) as file:
        file.write("{")
        for position, (name, value) in enumerate(content.items()):
            file.write(f"{',' if position else ''}\n{json.dumps(name)}:")
            _write_value(file, value)
        file.write("\n}\n")


def _write_value(file: TextIO, value: Any) -> None:
    if not isinstance(value, list | Iterator):
        file.write(_encode(value))
        return
    file.write("[")
    position = -1
    for position, record in enumerate(value):
        file.write(f"{',' if position else ''}\n{_encode(record)}")
    file.write("]" if position < 0 else "\n]")


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def _opened(path: str | Path) -> Iterator[TextIO]:
    path = Path(path)
    writable_folder(path.parent, f"The folder of {path.name}")
    with atomic_text(path) as file:
        yield file
