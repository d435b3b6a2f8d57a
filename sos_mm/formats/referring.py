"""Referring expressions and their targets, one JSON line for each image.

``{"index": 0, "file_name": "1.jpg", "height": 480, "width": 640, "image_id": 1, "expressions": [{"text": ...}, ...]}``

An expression names its targets by at least one of ``targets``, indices into the image's instances, ``ids``, ids of the
source's annotations, and ``boxes``, half-open xyxy in pixels; empty lists mean that it has no target. Lines of other
programs need no other members; ours have all fields of `ReferringExpression`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYXYS
from sos_mm.formats.json_reader import record_lines
from sos_mm.formats.mdetr import Expression, Target
from sos_mm.formats.odvg import joined_record
from sos_mm.formats.phrases import clean_phrase
from sos_mm.formats.records import (
    FILE,
    ID,
    INTEGER,
    INTEGERS,
    OBJECTS,
    SIZE,
    WORDS,
    Field,
    Record,
    check_record,
    list_of,
    optional,
)

# Expressions of an image are numbered from a thousand times its index on, so that ids need no other image.
MOST_EXPRESSIONS = 1000
NAMED_BY = ("targets", "ids", "boxes")
_LINE = {"index": optional(INTEGER), "file_name": optional(FILE), "image_id": optional(ID), "expressions": OBJECTS}
_IDS = Field("a list of integers or texts", list_of(ID.holds))
_TARGETS = {"targets": optional(INTEGERS), "ids": optional(_IDS), "boxes": optional(XYXYS)}
_FULL = {"id": ID, "boxes": XYXYS, "category_ids": INTEGERS}
# mmdet's `RefExpMetric` groups expressions by these names. RefCOCO+ has no expressions of location, and RefCOCOg has
# the longest expressions.
DATASET_NAMES = {"category": "refcoco+", "attribute": "refcoco+", "spatial": "refcoco", "mixed": "refcocog"}


def line_record(index: int, file_name: str, size: tuple[int, int], image_id: Any, expressions: list[Record]) -> Record:
    """Encodes the line of an image.

    Args:
        index: Position of the image in the data set, from 0.
        file_name: Its file.
        size: Height and width.
        image_id: Its id in the source; None if it has none.
        expressions: Records of its expressions.
    """
    image = {"index": index, "file_name": file_name, "height": size[0], "width": size[1], "image_id": image_id}
    return image | {"expressions": expressions}


def expression_id(index: int, position: int) -> int:
    """Returns the id of an expression, from 1.

    Raises:
        ValueError: If it is not among the first thousand of its image.
    """
    if position >= MOST_EXPRESSIONS:
        raise ValueError(f"An image may have {MOST_EXPRESSIONS} expressions, but image {index} has more.")
    return index * MOST_EXPRESSIONS + position + 1


def read_expression_lines(path: str | Path) -> Iterator[tuple[str, Record]]:
    """Yields the lines of a file, each with a name for error messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in record_lines(path, _LINE):
        if line.get("file_name") is None and line.get("image_id") is None:
            raise ValueError(f"{name} the line must have a `file_name` or an `image_id`, but has neither.")
        for position, each in enumerate(line["expressions"]):
            check_record(each, {"text": WORDS, **_TARGETS}, f"{name} expression {position}")
            if all(each.get(key) is None for key in NAMED_BY):
                raise ValueError(f"{name} expression {position} must have one of {', '.join(NAMED_BY)}, but has none.")
        yield name, line


def expressions_of(line: Record, name: str, dataset_name: str | None = None) -> list[Expression]:
    """Converts the expressions of a line with all members.

    Args:
        line: The line, as `line_record` encodes it.
        name: Name of the line in error messages.
        dataset_name: Data set name of the expressions; `DATASET_NAMES` by their kind if None.

    Raises:
        ValueError: If a member is missing.
    """
    check_record(line, {"file_name": FILE, "height": SIZE, "width": SIZE}, f"{name} the line")
    for position, each in enumerate(line["expressions"]):
        check_record(each, _FULL, f"{name} expression {position}")
    return unchecked_expressions(line, dataset_name)


def unchecked_expressions(line: Record, dataset_name: str | None = None) -> list[Expression]:
    """Converts as `expressions_of` a line that certainly has all members, such as one that was just made."""
    image = {key: line[key] for key in ("file_name", "height", "width")}
    found = []
    for each in line["expressions"]:
        text, ids = each["text"], each.get("ids") or [None] * len(each["boxes"])
        parts = zip(each["boxes"], each["category_ids"], ids, strict=True)
        targets = [Target(box, category, [[0, len(text)]], id) for box, category, id in parts]
        belongs = dataset_name or DATASET_NAMES.get(each.get("kind"), "refcoco")
        found.append(Expression(each["id"], text, image, line.get("image_id"), belongs, targets))
    return found


def grounding_part(expressions: list[Record]) -> Record:
    """Encodes expressions of an image as one caption of ODVG for grounding; see `joined_record`."""
    return joined_record(
        [(clean_phrase(each["text"]), dict(zip(each["targets"], each["boxes"], strict=True))) for each in expressions]
    )
