"""Writes annotation files whole or not at all."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sos_mm.atomic import atomic_text
from sos_mm.checks import writable_folder


def write_json_lines(path: str | Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes a record a line, and returns how many."""
    number = 0
    with _opened(path) as file:
        for record in records:
            file.write(_encode(record) + "\n")
            number += 1
    return number


def write_json_lists(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object in which each record of its lists has a line of its own, so that faults have a place.

    An iterator is written as a list, a record at a time.
    """
    with _opened(path) as file:
        file.write("{")
        for place, (name, value) in enumerate(content.items()):
            file.write(f"{',' if place else ''}\n{json.dumps(name)}:")
            _write_value(file, value)
        file.write("\n}\n")


def _write_value(file: TextIO, value: Any) -> None:
    if not isinstance(value, list | Iterator):
        file.write(_encode(value))
        return
    file.write("[")
    place = -1
    for place, record in enumerate(value):
        file.write(f"{',' if place else ''}\n{_encode(record)}")
    file.write("]" if place < 0 else "\n]")


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def _opened(path: str | Path) -> Iterator[TextIO]:
    path = Path(path)
    writable_folder(path.parent, f"The folder of {path.name}")
    with atomic_text(path) as file:
        yield file
