"""What records of annotation files must have, member by member, whatever their format."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

Record = dict[str, Any]
# What is wrong, as a reason and a detail; None if nothing is.
Complaint = tuple[str, str] | None
_NUMBERS = {int, float}
# Sizes are below: what has no known one is given this.
NO_LIMIT = 2**31


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, which true and false are not."""
    return type(value) is int


def is_size(value: Any) -> bool:
    """Whether a value can be the height or width of an image."""
    return is_whole(value) and 0 < value < NO_LIMIT


def are_finite(values: list) -> bool:
    """Whether all of a list are numbers, and finite, as a float holds them."""
    try:
        return set(map(type, values)) <= _NUMBERS and math.isfinite(sum(values))
    except OverflowError:
        # A whole number in JSON may have any number of digits.
        return False


def size_complaint(record: dict[str, Any]) -> Complaint:
    """Of ``height`` and ``width``."""
    height, width = record.get("height"), record.get("width")
    if is_size(height) and is_size(width):
        return None
    found = f"height {height!r}, width {width!r}"
    return "`height` and `width` must be whole numbers over 0, below 2**31", found[:80]


@dataclass(frozen=True)
class Field:
    """What a member must be.

    Attributes:
        what: In words.
        holds: Whether a value is that.
        needed: Whether the member must be there; if not, it may also be null.
    """

    what: str
    holds: Callable[[Any], bool]
    needed: bool = True


Fields = Mapping[str, Field]


def list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Makes the check of a list from that of its elements."""
    return lambda value: isinstance(value, list) and all(map(holds, value))


ID = Field("a whole number or text", lambda value: is_whole(value) or isinstance(value, str))
WHOLE = Field("a whole number", is_whole)
WHOLES = Field("a list of whole numbers", list_of(is_whole))
SIZE = Field("a whole number over 0, below 2**31", is_size)
TEXT = Field("text", lambda value: isinstance(value, str))
WORDS = Field("text that is not blank", lambda value: isinstance(value, str) and bool(value.strip()))
OBJECT = Field("a JSON object", lambda value: isinstance(value, dict))
OBJECTS = Field("a list of JSON objects", list_of(OBJECT.holds))


def optional(field: Field) -> Field:
    """The same where the member may be missing or null."""
    return replace(field, needed=False)


def complaint(record: Any, fields: Fields) -> str | None:
    """What is wrong with a record, to follow its name in a message; None if nothing is."""
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
    """Raises ValueError unless a record has what it must have; ``name`` says which it is, and of which file."""
    if (wrong := complaint(record, fields)) is not None:
        raise ValueError(f"{name} {wrong}.")


def check_below(name: Any, what: str) -> str:
    """Gives a file's name that leads to a place below its folder.

    Raises:
        ValueError: If it does not; ``what`` says what the name is.
    """
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if not path.parts or ".." in path.parts or path.is_absolute():
        raise ValueError(f"{what} must lead to a file below the folder of images, but is {name!r}.")
    return name


def by_id(records: Iterable[Record], name: str) -> dict[Any, Record]:
    """Records by their ``id``.

    Raises:
        ValueError: If two have the same; ``name`` says what they are, and of which file.
    """
    found: dict[Any, Record] = {}
    for record in records:
        if record["id"] in found:
            raise ValueError(f"{name} must have ids of their own, but two have the id {record['id']!r}.")
        found[record["id"]] = record
    return found
