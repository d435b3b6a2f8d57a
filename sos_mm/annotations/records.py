"""What records of annotation files must have before they are turned into others, member by member."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sos_mm.annotations.fields import is_box, is_size, is_whole

Record = dict[str, Any]


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


def _is_list(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


ID = Field("a whole number or text", lambda value: is_whole(value) or isinstance(value, str))
WHOLE = Field("a whole number", is_whole)
WHOLES = Field("a list of whole numbers", _is_list(is_whole))
SIZE = Field("a whole number over 0, below 2**31", is_size)
TEXT = Field("text", lambda value: isinstance(value, str))
WORDS = Field("text that is not blank", lambda value: isinstance(value, str) and bool(value.strip()))
BOX = Field("four finite numbers", is_box)
BOXES = Field("a list of boxes of four finite numbers", _is_list(is_box))
OBJECT = Field("a JSON object", lambda value: isinstance(value, dict))
OBJECTS = Field("a list of JSON objects", _is_list(OBJECT.holds))

IMAGE = {"id": ID, "file_name": WORDS, "height": SIZE, "width": SIZE}
CATEGORY = {"id": WHOLE, "name": WORDS}


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
