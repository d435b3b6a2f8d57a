"""Reads annotation files and knows where in the file each record stands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring
from pathlib import Path
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class AnnotationFileError(ValueError):
    """An annotation file that is not JSON from some place on.

    Args:
        path: The file.
        line: Line of the fault, from 1.
        column: Column of the fault, from 1.
        what: What is wrong, in a few words.
    """

    def __init__(self, path: str | Path, line: int, column: int, what: str):
        super().__init__(f"{path}, line {line}, column {column}: {what}.")
        self.path, self.line, self.column, self.what = path, line, column, what

    def __reduce__(self):
        return AnnotationFileError, (self.path, self.line, self.column, self.what)


@dataclass(frozen=True)
class Member:
    """A part of a JSON file: a member of its object, or an element of one that is a list.

    Attributes:
        section: Name of the member; '' where the whole file is a list.
        offset: Where it begins, in characters.
        value: What it is.
    """

    section: str
    offset: int
    value: Any


def read_text(path: str | Path) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: If there is none.
        AnnotationFileError: If it is empty or not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The annotation file {path} does not exist.")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AnnotationFileError(path, line, error.start - content.rfind(b"\n", 0, error.start), "not UTF-8") from None
    if not text.strip():
        raise AnnotationFileError(path, 1, 1, "the file is empty")
    return text


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a place in a text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def members(text: str, path: str | Path) -> Iterator[Member]:
    """The parts of a JSON file one by one, those of a list each by itself, in the order of the file.

    What comes before a fault is given before it is raised. An object's lists may be empty: they then give nothing.

    Raises:
        AnnotationFileError: If the text is not JSON, or neither an object nor a list.
    """
    try:
        start = _skip(text, 0)
        if text[start : start + 1] == "[":
            end = yield from _elements(text, start, "")
        elif text[start : start + 1] == "{":
            end = yield from _members(text, start)
        else:
            raise json.JSONDecodeError("must be a JSON object or list", text, start)
        if _skip(text, end) != len(text):
            raise json.JSONDecodeError("something follows the end", text, _skip(text, end))
    except json.JSONDecodeError as error:
        raise _error(text, path, error) from None


def json_lines(text: str, path: str | Path) -> Iterator[tuple[int, Any]]:
    """Line number, from 1, and value of each line of JSON; blank lines are passed over.

    Raises:
        AnnotationFileError: If a line is not JSON.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _DECODER.decode(line)
            except json.JSONDecodeError as error:
                raise _error(line, path, error, number) from None


def is_json_lines(text: str) -> bool:
    """Whether a text is one JSON object a line, rather than one for all."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        alone = isinstance(_DECODER.decode(first), dict)
    except json.JSONDecodeError:
        return False
    return alone and (bool(rest.strip()) or not re.search(r'"(images|annotations|categories)"\s*:', first))


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: If there is none.
        AnnotationFileError: If it is not JSON; names line and column.
    """
    text = read_text(path)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _error(text, path, error) from None


def read_lists(path: str | Path, *names: str) -> dict[str, Any]:
    """The content of an annotation file like COCO's: a JSON object with lists of records.

    Args:
        path: The file.
        names: The lists that it must have.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationFileError: If it is not JSON; names line and column.
        ValueError: If one of the lists is missing.
    """
    content = read_json(path)
    for name in names:
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path} must be a JSON object with a list {name!r}, but has none.")
    return content


def _error(text: str, path: str | Path, error: json.JSONDecodeError, first_line: int = 1) -> AnnotationFileError:
    """The same fault with its place in the file."""
    line, column = position(text, error.pos)
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    what = "it was cut short here" if cut else f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"
    return AnnotationFileError(path, line + first_line - 1, column, what)


def _skip(text: str, offset: int) -> int:
    return _SPACE.match(text, offset).end()


def _members(text: str, start: int) -> Iterator[Member]:
    """The members of the object at ``start``; returns where it ends."""
    place = _skip(text, start + 1)
    if text[place : place + 1] == "}":
        return place + 1
    while True:
        if text[place : place + 1] != '"':
            raise json.JSONDecodeError("a name in double quotes must stand here", text, place)
        name, place = scanstring(text, place + 1, True)
        place = _expect(text, place, ":")
        if text[place : place + 1] == "[":
            place = yield from _elements(text, place, name)
        else:
            value, end = _DECODER.raw_decode(text, place)
            yield Member(name, place, value)
            place = end
        place = _skip(text, place)
        if text[place : place + 1] == "}":
            return place + 1
        place = _expect(text, place, ",")


def _elements(text: str, start: int, section: str) -> Iterator[Member]:
    """The elements of the list at ``start``; returns where it ends."""
    place = _skip(text, start + 1)
    if text[place : place + 1] == "]":
        return place + 1
    while True:
        value, end = _DECODER.raw_decode(text, place)
        yield Member(section, place, value)
        place = _skip(text, end)
        if text[place : place + 1] == "]":
            return place + 1
        place = _expect(text, place, ",")


def _expect(text: str, place: int, character: str) -> int:
    """Where the next value begins, after a character that must come first."""
    place = _skip(text, place)
    if text[place : place + 1] != character:
        raise json.JSONDecodeError(f"{character!r} must stand here", text, place)
    return _skip(text, place + 1)
