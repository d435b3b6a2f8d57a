"""The sidecar ``objects.jsonl`` of a composed data set: all metadata of each object, one line of JSON an image.

Objects are listed from back to front; their boxes are half-open xyxy. ``light`` is null without effects. ``placement``
is that of the layout; its ``segment`` is an index into the segments drawn for the image. ``modal`` and ``amodal`` are
masks in COCO's compressed run lengths. ``cut_off`` is true for objects that the border of their source image cut off,
and left out for others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYXY
from sos_mm.formats.json_reader import record_lines
from sos_mm.formats.records import (
    FILE,
    INTEGER,
    MOST_PIXELS,
    NUMBER,
    OBJECT,
    OBJECTS,
    SIZE,
    TEXT,
    WORDS,
    Field,
    Record,
    are_finite,
    check_record,
    list_of,
    optional,
)

# The file's name; the COCO files beside it are optional.
OBJECTS_FILE = "objects.jsonl"

_SIZES = list_of(SIZE.holds)
_CANVAS = Field(
    "a height and a width, of at most 2**30 pixels together,",
    lambda value: _SIZES(value) and len(value) == 2 and value[0] * value[1] <= MOST_PIXELS,
)
_AREA = Field("a finite number, at least 0,", lambda value: are_finite([value]) and value >= 0)
_FLAG = Field("true or false", lambda value: isinstance(value, bool))
_LIMITED = Field("a JSON object whose `limited` is true or false", lambda value: _has_flag(value, "limited"))
_IMAGE = {"file_name": FILE, "canvas": _CANVAS, "objects": OBJECTS, "ignored": optional(OBJECTS)}
_REGION = {"category": WORDS, "box": XYXY, "modal": optional(OBJECT)}
_OBJECT = _REGION | {
    "category_id": optional(INTEGER),
    "phrase": optional(TEXT),
    "attributes": optional(Field("a list of texts", list_of(TEXT.holds))),
    "z_order": optional(INTEGER),
    "placement": optional(_LIMITED),
    "area": _AREA,
    "segment_id": optional(TEXT),
    "visible_share": optional(NUMBER),
    "truncation": optional(NUMBER),
    "cut_off": optional(_FLAG),
}


def _has_flag(value: Any, key: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(key, False), bool | None)


def sidecar_line(
    index: int,
    seed: int,
    file_name: str,
    size: tuple[int, int],
    light: Any,
    objects: Sequence[Record],
    ignored: Sequence[Record],
) -> Record:
    """Encodes the line of an image.

    Args:
        index: Index of the image in the data set, from 0.
        seed: Seed of the data set.
        file_name: Its file in the folder ``images``.
        size: Height and width in pixels.
        light: The dataclass of its light, or None.
        objects: What `object_record` returns for each object, from back to front.
        ignored: What `region_record` returns for each ignore region.
    """
    return {
        "index": index,
        "seed": seed,
        "file_name": file_name,
        "canvas": list(size),
        "light": asdict(light) if light else None,
        "objects": objects,
        "ignored": ignored,
    }


def object_record(described: Any, category_id: int, masks: tuple[Record, Record] | None = None) -> Record:
    """Encodes an object.

    Args:
        described: An object of a scene; see `sos_mm.composition.scene.SceneObject` for its attributes.
        category_id: Its category in the data set.
        masks: Its modal and its amodal mask as RLE; left out if None.
    """
    record = {
        "segment_id": described.segment_id,
        "category": described.category,
        "category_id": category_id,
        "sub_category": described.sub_category,
        "phrase": described.phrase,
        "description": described.description,
        "attributes": list(described.attributes),
        "placement": dict(vars(described.placement)),
        "z_order": described.z_order,
        "box": list(described.box),
        "area": described.area,
        "amodal_box": list(described.amodal_box),
        "amodal_area": described.amodal_area,
        "visible_share": described.visible_share,
        "truncation": described.truncation,
    }
    if described.cut_off:
        record["cut_off"] = True
    return record | ({"modal": masks[0], "amodal": masks[1]} if masks else {})


def region_record(segment_id: str, category: str, box: Sequence[int], mask: Record | None = None) -> Record:
    """Encodes an ignore region; its mask, an RLE, is left out if None."""
    record = {"segment_id": segment_id, "category": category, "box": list(box)}
    return record | ({"modal": mask} if mask else {})


def read_objects(path: str | Path) -> Iterator[tuple[str, Record]]:
    """Yields the lines of ``objects.jsonl``, each with its name for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in record_lines(path, {}):
        check_objects(line, name)
        yield name, line


def check_objects(line: Any, name: str) -> None:
    """Raises ValueError unless a line of ``objects.jsonl`` has valid fields; ``name`` names the line in the error."""
    check_record(line, _IMAGE, f"{name} the line")
    for key, fields in (("objects", _OBJECT), ("ignored", _REGION)):
        for position, each in enumerate(line.get(key) or ()):
            check_record(each, fields, f"{name} `{key}` {position}")
