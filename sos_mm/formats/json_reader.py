"""Reads JSON annotation files and reports the line and column of errors and records."""

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # The stubs have no such function.
from pathlib import Path
from typing import Any

from sos_mm.formats.records import Fields, check_record, complaint
from sos_mm.formats.shards import hint_of_missing

_SPACE = re.compile(r"[ \t\r\n]*")
# Escapes from the left: those of two surrogates that are one character, of one alone, and all others.
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_DECODER = json.JSONDecoder()
_OF_LISTS = ("images", "annotations", "categories")
_OF_LINES = ("filename", "detection", "grounding")
_LINE = re.compile(rf'^[ \t]*\{{[ \t]*"({"|".join(_OF_LINES)})"[ \t]*:', re.MULTILINE)


class AnnotationFileError(ValueError):
    """An annotation file that is not valid JSON.

    Args:
        path: The file.
        line: Line of the error, from 1.
        column: Column of the error, from 1.
        what: What is wrong, in a few words.
    """

    def __init__(self, path: str | Path, line: int, column: int, what: str):
        super().__init__(f"{path}, line {line}, column {column}: {what}.")
        self.path, self.line, self.column, self.what = path, line, column, what

    def __reduce__(self):
        return AnnotationFileError, (self.path, self.line, self.column, self.what)


@dataclass(frozen=True)
class Member:
    """A part of a JSON file: a member of its top-level object, or an element of a list in it.

    Attributes:
        section: Name of the member that holds it; '' if the file's top level is a list.
        offset: Offset of its first character.
        value: The parsed value.
        listed: Whether it is an element of a list.
    """

    section: str
    offset: int
    value: Any
    listed: bool = False


def read_text(path: str | Path) -> str:
    """Reads the text of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationFileError: If it is empty, not UTF-8, or has an escape that is no character.
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(f"The annotations must be a file, but {path} is a folder: name a file in it.")
    if not path.is_file():
        raise FileNotFoundError(f"The annotation file {path} does not exist{hint_of_missing(path) or '.'}")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AnnotationFileError(path, line, error.start - content.rfind(b"\n", 0, error.start), "not UTF-8") from None
    if not text.strip():
        raise AnnotationFileError(path, 1, 1, "the file is empty")
    if (lone := _lone_surrogate(text)) is not None:
        raise AnnotationFileError(path, *position(text, lone), "an escape is half of a character, a lone surrogate")
    return text


def _lone_surrogate(text: str) -> int | None:
    """Returns the offset of the first escape that is half of a character, which no file can be written with."""
    if "\\ud" not in text and "\\uD" not in text:
        return None
    for found in _ESCAPES.finditer(text):
        if found["lone"]:
            return found.start("lone")
    return None


def position(text: str, offset: int) -> tuple[int, int]:
    """Returns the line and column, from 1, of a character offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def members(text: str, path: str | Path) -> Iterator[Member]:
    """Yields the members of a JSON file one by one, and the elements of a list separately, in the order of the file.

    Everything before an error is yielded before the error is raised. Empty lists yield nothing.

    Raises:
        AnnotationFileError: If the text is not JSON, or is neither an object nor a list.
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
    """Yields the line number, from 1, and the value of each line of a JSON lines file; blank lines are skipped.

    Raises:
        AnnotationFileError: If a line is not JSON.
    """
    for number, value in try_json_lines(text, path):
        if isinstance(value, AnnotationFileError):
            raise value
        yield number, value


def record_lines(path: str | Path, fields: Fields) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the records of a JSON lines file, each with its name for error messages.

    Args:
        path: The file.
        fields: Fields that each record must have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON, or its record lacks a field; names the line.
    """
    for number, record in json_lines(read_text(path), path):
        name = f"{path}, line {number}:"
        check_record(record, fields, f"{name} the line")
        yield name, record


def try_json_lines(text: str, path: str | Path) -> Iterator[tuple[int, Any]]:
    """Yields the same as `json_lines`, with an AnnotationFileError as the value of a line that is not JSON."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = _decode(line)
            except json.JSONDecodeError as error:
                value = _error(line, path, error, number)
            yield number, value


def is_json_lines(text: str) -> bool:
    """Returns whether a text is JSON lines rather than one JSON document, judged by the first known key.

    Of a list only the first record is parsed, because a file without line breaks is a single line.
    """
    if text.lstrip()[:1] == "[":
        return False
    try:
        for member in members(text, ""):
            if member.section in _OF_LISTS or member.section in _OF_LINES:
                return member.section in _OF_LINES
    except AnnotationFileError:
        pass
    first, _, rest = text.lstrip().partition("\n")
    try:
        alone = isinstance(_decode(first), dict)
    except json.JSONDecodeError:
        # The first line itself may be invalid.
        return _LINE.search(text) is not None
    if not alone:
        # A number or `null`, behind which a document of its own would end.
        return _LINE.search(rest) is not None
    return bool(rest.strip()) or not re.search(r'"(images|annotations|categories)"\s*:', first)


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationFileError: If it is not JSON; names line and column.
    """
    return _parse(read_text(path), path)


def read_json_object(path: str | Path, what: str) -> dict[str, Any]:
    """Reads a JSON file that holds an object; ``what`` describes the file in error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{what} must be a JSON file, but {path} does not exist.")
    try:
        value = read_json(path)
    except AnnotationFileError as error:
        where = f"line {error.line}, column {error.column}: {error.what}"
        raise ValueError(f"{what} must be a JSON file, but {path} is not: {where}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, but {path} holds a {type(value).__name__}.")
    return value


def read_json_or_lines(path: str | Path) -> Any:
    """Reads a JSON file, or a JSON lines file as the list of its values.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationFileError: If it is neither; names line and column.
    """
    text = read_text(path)
    if is_json_lines(text):
        return [value for _, value in json_lines(text, path)]
    return _parse(text, path)


def read_lists(path: str | Path, *names: str, **fields: Fields) -> dict[str, Any]:
    """Reads a COCO-style annotation file: a JSON object with lists of records.

    Args:
        path: The file.
        names: Names of required lists whose records are not checked.
        fields: Names of further required lists, each with the fields that all of its records must have.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationFileError: If it is not JSON; names line and column.
        ValueError: If a list is missing, or a record in ``fields`` is not a JSON object or lacks a field; names the
            record's line.
    """
    content = read_json(path)
    check_lists(content, path, **{name: {} for name in names}, **fields)
    return content


def check_lists(content: Any, path: str | Path, **fields: Fields) -> None:
    """Checks the lists of a file that was read already, as `read_lists` does."""
    for name, needed in fields.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path} must be a JSON object with a list {name!r}, but has none.")
        for index, record in enumerate(content[name]):
            if (wrong := complaint(record, needed)) is not None:
                raise ValueError(f"{path}, line {_line_of(path, name, index)}: an entry of {name!r} {wrong}.")


def check_holds_any(content: Mapping[str, Any], path: str | Path, *names: str) -> None:
    """Checks that none of the named lists of a file is empty, so that something can be made of the file.

    Raises:
        ValueError: If one is; names the file and the list.
    """
    for name in names:
        if not content[name]:
            raise ValueError(f"{path} must list {name}, but its `{name}` is empty: give another file.")


def check_known(content: dict[str, Any], path: str | Path, key: str, section: str) -> None:
    """Checks that ``key`` of each annotation is the id of an entry of another list of the file.

    Raises:
        ValueError: If one is not; names its line.
    """
    known = {each["id"] for each in content[section]}
    for index, each in enumerate(content["annotations"]):
        if each[key] not in known:
            raise ValueError(
                f"{path}, line {_line_of(path, 'annotations', index)}: an annotation has the `{key}` {each[key]!r}, "
                f"but no entry of {section!r} has that `id`."
            )


def _line_of(path: str | Path, section: str, index: int) -> int:
    """Returns the line of a record; parses the file again, since parsed values have no positions."""
    text = read_text(path)
    records = (member for member in members(text, path) if member.section == section)
    return position(text, next(islice(records, index, None)).offset)[0]


def _error(text: str, path: str | Path, error: json.JSONDecodeError, first_line: int = 1) -> AnnotationFileError:
    """Converts a JSONDecodeError to an AnnotationFileError with the line and column in the file."""
    line, column = position(text, error.pos)
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    what = "it was cut short here" if cut else f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"
    return AnnotationFileError(path, line + first_line - 1, column, what)


def _parse(text: str, path: str | Path) -> Any:
    """Parses the text of a file."""
    try:
        return _decode(text)
    except json.JSONDecodeError as error:
        raise _error(text, path, error) from None


def _decode(text: str) -> Any:
    """Parses a JSON text."""
    value, end = _value(text, _skip(text, 0))
    if (end := _skip(text, end)) != len(text):
        raise json.JSONDecodeError("something follows the end", text, end)
    return value


def _value(text: str, start: int) -> tuple[Any, int]:
    """Parses the value at ``start``; returns it and the offset of its end."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise json.JSONDecodeError("a number in what begins here has too many digits", text, start) from None
    except RecursionError:
        raise json.JSONDecodeError("what begins here is nested too deeply", text, start) from None


def _skip(text: str, offset: int) -> int:
    found = _SPACE.match(text, offset)
    assert found is not None  # It matches nothing, too.
    return found.end()


def _members(text: str, start: int) -> Generator[Member, None, int]:
    """Yields the members of the object at ``start``; returns the offset of its end."""
    offset = _skip(text, start + 1)
    if text[offset : offset + 1] == "}":
        return offset + 1
    while True:
        if text[offset : offset + 1] != '"':
            raise json.JSONDecodeError("a name in double quotes must follow here", text, offset)
        name, offset = scanstring(text, offset + 1, True)
        offset = _expect(text, offset, ":")
        if text[offset : offset + 1] == "[":
            offset = yield from _elements(text, offset, name)
        else:
            value, end = _value(text, offset)
            yield Member(name, offset, value)
            offset = end
        offset = _skip(text, offset)
        if text[offset : offset + 1] == "}":
            return offset + 1
        offset = _expect(text, offset, ",")


def _elements(text: str, start: int, section: str) -> Generator[Member, None, int]:
    """Yields the elements of the list at ``start``; returns the offset of its end."""
    offset = _skip(text, start + 1)
    if text[offset : offset + 1] == "]":
        return offset + 1
    while True:
        value, end = _value(text, offset)
        yield Member(section, offset, value, listed=True)
        offset = _skip(text, end)
        if text[offset : offset + 1] == "]":
            return offset + 1
        offset = _expect(text, offset, ",")


def _expect(text: str, offset: int, character: str) -> int:
    """Checks that a character comes next, and returns the offset of the value after it."""
    offset = _skip(text, offset)
    if text[offset : offset + 1] != character:
        raise json.JSONDecodeError(f"{character!r} must stand here", text, offset)
    return _skip(text, offset + 1)
