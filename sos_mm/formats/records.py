"""Field checks of annotation records, shared by all formats."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

Record = dict[str, Any]
# What is wrong, as a reason and a detail; None if the value is valid.
Complaint = tuple[str, str] | None
_NUMBERS = {int, float}
# Exclusive upper limit of sizes; used as the size where it is not known.
NO_LIMIT = 2**31
# Most pixels of an image that OpenCV decodes; masks of an image have as many.
MOST_PIXELS = 2**30


def is_integer(value: Any) -> bool:
    """Returns whether a value is an integer, which true and false are not."""
    return type(value) is int


def is_size(value: Any) -> bool:
    """Returns whether a value can be the height or width of an image."""
    return is_integer(value) and 0 < value < NO_LIMIT


def are_finite(values: list) -> bool:
    """Returns whether all elements of a list are numbers that are finite as floats."""
    try:
        return set(map(type, values)) <= _NUMBERS and math.isfinite(sum(values))
    except OverflowError:
        # An integer in JSON may have any number of digits.
        return False


def size_complaint(record: dict[str, Any]) -> Complaint:
    """Checks ``height`` and ``width`` of a record; returns what is wrong with them, or None."""
    height: Any = record.get("height")
    width: Any = record.get("width")
    found = f"height {height!r}, width {width!r}"[:80]
    if not is_size(height) or not is_size(width):
        return "`height` and `width` must be integers over 0, below 2**31", found
    if height * width > MOST_PIXELS:
        return "an image must have at most 2**30 pixels, which OpenCV reads", found
    return None


@dataclass(frozen=True)
class Field:
    """The type check of one member of a record.

    Attributes:
        what: Description of the valid values, for error messages.
        holds: Returns whether a value is valid.
        needed: Whether the member is required; an optional one may also be null.
    """

    what: str
    holds: Callable[[Any], bool]
    needed: bool = True


Fields = Mapping[str, Field]


def as_list(value: Any) -> list:
    """Returns a list of one value, or the list itself, of a member that files write in both ways."""
    return value if isinstance(value, list) else [value]


def list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Builds the check of a list from the check of its elements."""
    return lambda value: isinstance(value, list) and all(map(holds, value))


ID = Field("an integer or text", lambda value: is_integer(value) or isinstance(value, str))
INTEGER = Field("an integer", is_integer)
INTEGERS = Field("a list of integers", list_of(is_integer))
NUMBER = Field("a finite number", lambda value: are_finite([value]))
SIZE = Field("an integer over 0, below 2**31", is_size)
TEXT = Field("text", lambda value: isinstance(value, str))
WORDS = Field("text that is not blank", lambda value: isinstance(value, str) and bool(value.strip()))
FLAG = Field("0 or 1", lambda value: is_integer(value) and value in (0, 1))
OBJECT = Field("a JSON object", lambda value: isinstance(value, dict))
OBJECTS = Field("a list of JSON objects", list_of(OBJECT.holds))
FILE = Field("a path below the folder of images, relative and without '..',", lambda value: is_below(value))


def optional(field: Field) -> Field:
    """Returns the field as an optional one: the member may be missing or null."""
    return replace(field, needed=False)


def complaint(record: Any, fields: Fields) -> str | None:
    """Checks a record; returns what is wrong with it, phrased to follow its name in a message, or None."""
    if not isinstance(record, dict):
        return f"must be a JSON object, but is {repr(record)[:80]}"
    for name, field in fields.items():
        value = record.get(name)
        if value is None and not field.needed:
            continue
        if name not in record:
            return f"must have `{name}`, but has no such member"
        if not field.holds(value):
            return f"must have {field.what} as `{name}`, but has {repr(value)[:80]}"
    return None


def check_record(record: Any, fields: Fields, name: str) -> None:
    """Raises ValueError unless a record has its required fields; ``name`` names the record and its file."""
    if (wrong := complaint(record, fields)) is not None:
        raise ValueError(f"{name} {wrong}.")


def check_size(record: Record, name: str) -> None:
    """Raises ValueError unless a record has a valid ``height`` and ``width``; ``name`` names it and its file."""
    if (wrong := size_complaint(record)) is not None:
        raise ValueError(f"{name} has a wrong size: {wrong[0]}, but has {wrong[1]}.")


def is_below(name: Any) -> bool:
    """Returns whether a value is a relative path that stays inside its folder."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    return bool(path.parts) and ".." not in path.parts and not path.is_absolute() and "\0" not in str(path)


def check_below(name: Any, what: str) -> str:
    """Returns an image's relative path after checking that it stays inside the folder of images.

    Raises:
        ValueError: If it is absolute, empty or contains ``..``; ``what`` describes it in the message.
    """
    if not is_below(name):
        raise ValueError(f"{what} must lead to a file below the folder of images, but is {name!r}.")
    return name


def check_one_kind(ids: Iterable[int | str], name: str) -> None:
    """Raises ValueError if some ids are integers and others texts, as 1 and '1', which files mean as one.

    ``name`` names the list and its file.
    """
    kinds = {type(id): id for id in ids}
    if len(kinds) > 1:
        one, other = kinds.values()
        raise ValueError(f"{name} must have ids that are all integers or all texts, but has {one!r} and {other!r}.")


def by_id(records: Iterable[Record], name: str) -> dict[Any, Record]:
    """Indexes records by their ``id``.

    Raises:
        ValueError: If two records have the same id, or some ids are integers and others texts; ``name`` names the list
            and its file.
    """
    records = list(records)
    check_one_kind((record["id"] for record in records), name)
    found: dict[Any, Record] = {}
    for record in records:
        if record["id"] in found:
            raise ValueError(f"{name} must have ids of their own, but two have the id {record['id']!r}.")
        found[record["id"]] = record
    return found
