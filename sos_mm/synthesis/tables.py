"""Tables: annotation files that join the records of many images, written piece by piece."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sos_mm.synthesis.writers.format import Table, Totals

Stream = tuple[str, str]
# `json.dumps` would build an encoder for each record.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def encode_record(record: Mapping[str, Any]) -> bytes:
    """Encodes a record as one line of JSON, without the line break."""
    return _encode(record).encode()


def table_parts(
    table: Table, totals: Totals, read: Callable[[Stream], Iterable[bytes]], before: Mapping[str, int] | None = None
) -> Iterator[bytes]:
    """Yields the pieces of an annotation file.

    Args:
        table: The file.
        totals: Totals of the data set, from which its header is encoded.
        read: Returns the encoded records of a stream, in the order of the images.
        before: Number of records of each numbered section in the shards before this file's; none if it is the only one.

    Yields:
        Pieces of UTF-8 text: JSON lines, a JSON object with one record a line, or the table's fixed text.
    """
    if table.text is not None:
        yield table.text(totals).encode()
        return
    if table.head is None:
        yield from (record + b"\n" for record in read((table.path, "")))
        return
    members = list(table.head(totals).items())
    yield b"{"
    for position, (name, value) in enumerate(members):
        yield (b"," if position else b"") + b"\n" + json.dumps(name).encode() + b":"
        yield encode_record(value)
    for position, section in enumerate(table.sections, len(members)):
        yield (b"," if position else b"") + b"\n" + json.dumps(section).encode() + b":["
        first = (before or {}).get(section, 0) + 1 if section in table.numbered else None
        yield from _listed(read((table.path, section)), first)
        yield b"]"
    yield b"\n}\n"


def _listed(records: Iterable[bytes], first: int | None) -> Iterator[bytes]:
    """Yields the records of a list, which get ids from ``first`` on if that is given."""
    separator = b"\n"
    for number, record in zip(count(first or 0), records):
        yield separator + (record if first is None else b'{"id":%d,%s' % (number, record[1:]))
        separator = b",\n"


class Counts:
    """Counts of images, of objects and images by category, and of objects reduced by the limit of enlargement."""

    def __init__(self):
        self.images = self.limited = 0
        self.images_with: Counter[int] = Counter()
        self.instances_of: Counter[int] = Counter()

    def add(self, category_ids: Sequence[int], limited: int) -> None:
        """Counts an image with objects of these categories, ``limited`` of them reduced by the limit of enlargement."""
        self.images += 1
        self.limited += limited
        self.images_with.update(set(category_ids))
        self.instances_of.update(category_ids)

    def join(self, counted: Mapping[str, Any]) -> None:
        """Adds counts in the form of `to_json`."""
        self.images += counted["images"]
        self.limited += counted["limited"]
        for name in ("images_with", "instances_of"):
            getattr(self, name).update({int(id): number for id, number in counted[name].items()})

    def to_json(self) -> dict[str, Any]:
        """Returns all counts as JSON can hold them; ``objects`` is the total number of objects."""
        return {
            "images": self.images,
            "objects": self.instances_of.total(),
            "limited": self.limited,
            "images_with": {str(id): number for id, number in sorted(self.images_with.items())},
            "instances_of": {str(id): number for id, number in sorted(self.instances_of.items())},
        }
