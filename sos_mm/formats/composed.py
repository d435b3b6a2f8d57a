"""The folder of a composed data set: its state, what its backgrounds show, and its sidecar of objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYXY
from sos_mm.formats.json_reader import read_json_object, record_lines
from sos_mm.formats.records import (
    FILE,
    INTEGER,
    MOST_PIXELS,
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

# Written last: a data set with a manifest is complete.
MANIFEST = "manifest.json"
# Folder of the shards until all of them are written.
WORK = ".shards"
# Complete description of each object, one line for each image; the COCO files beside it are optional.
OBJECTS_FILE = "objects.jsonl"

# Types of backgrounds that are photographs; all others are computed and show no objects.
PHOTOGRAPHS = ("folder", "sample")

_SIZES = list_of(SIZE.holds)
_CANVAS = Field(
    "a height and a width, of at most 2**30 pixels together,",
    lambda value: _SIZES(value) and len(value) == 2 and value[0] * value[1] <= MOST_PIXELS,
)
_NUMBER = Field("a finite number", lambda value: are_finite([value]))
_AREA = Field("a finite number, at least 0,", lambda value: are_finite([value]) and value >= 0)
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
    "visible_share": optional(_NUMBER),
    "truncation": optional(_NUMBER),
}


def _has_flag(value: Any, key: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(key, False), bool | None)


def is_unfinished(out: Path) -> bool:
    """Returns whether a run has started a data set in a folder and not finished it."""
    return (out / WORK).is_dir() and not (out / MANIFEST).exists()


def read_objects(path: str | Path) -> Iterator[tuple[str, Record]]:
    """Reads the lines of ``objects.jsonl``, each with what an error names it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in record_lines(path, {}):
        check_objects(line, name)
        yield name, line


def check_objects(line: Any, name: str) -> None:
    """Raises ValueError unless a line describes the objects of an image; ``name`` names the line."""
    check_record(line, _IMAGE, f"{name} the line")
    for key, fields in (("objects", _OBJECT), ("ignored", _REGION)):
        for place, each in enumerate(line.get(key) or ()):
            check_record(each, fields, f"{name} `{key}` {place}")


@dataclass(frozen=True)
class BackgroundContent:
    """What the backgrounds of a composed data set show.

    Attributes:
        names: Categories that they may show; 'unknown' for any.
        is_empty: Whether they show no object at all, of the vocabulary or not.
    """

    names: str | Sequence[str] = "unknown"
    is_empty: bool = False


def _read_recipe(folder: Path) -> Record | None:
    """Reads the recipe of the manifest; returns None if there is no manifest."""
    if not (folder / MANIFEST).is_file():
        return None
    recipe = read_json_object(folder / MANIFEST, "The manifest").get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("backgrounds"), dict):
        raise ValueError(f"{folder / MANIFEST} must hold the recipe, but does not: make the data set again.")
    return recipe


def recipe_has(folder: Path, format: str) -> bool:
    """Tells whether the recipe of a data set has a format; a folder that is no composed data set has none.

    Raises:
        ValueError: If the manifest is not of that kind.
    """
    formats = (_read_recipe(folder) or {}).get("formats") or ()
    return format in [each.get("type") if isinstance(each, dict) else each for each in formats]


def background_content(folder: Path) -> BackgroundContent | None:
    """Reads what the backgrounds of a composed data set show from its manifest; None where there is none.

    Raises:
        ValueError: If the manifest is not of that kind.
    """
    recipe = _read_recipe(folder)
    if recipe is None:
        return None
    type = recipe["backgrounds"].get("type")
    shown = shown_by_backgrounds(recipe.get("background_categories"), type)
    return BackgroundContent(shown, type not in PHOTOGRAPHS)


def shown_by_backgrounds(names: str | Sequence[str] | None, type: str) -> str | Sequence[str]:
    """Completes ``background_categories`` of a recipe: 'unknown' for photographs, none for other backgrounds."""
    if names is not None:
        return names
    return "unknown" if type in PHOTOGRAPHS else []
