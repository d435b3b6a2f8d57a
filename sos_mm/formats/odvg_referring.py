"""Referring expressions as ODVG lines for grounding.

In ODVG each line is one expression, so that expressions of an image are never each other's negatives by mistake.
mmdet's `refcoco2odvg.py` does the same for the four ``mdetr`` files that it knows by name; it leaves out expressions
without target, which here keep a line without regions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sos_mm.formats.boxes import Box, clip
from sos_mm.formats.mdetr import UNNAMED, Expression, Target
from sos_mm.formats.odvg import REGION, check_spans, image_part, read_grounding, region_boxes, region_record
from sos_mm.formats.records import INTEGERS, Record, check_record, optional


def to_odvg(expressions: Iterable[Expression], left_out: Counter | None = None) -> Iterator[Record]:
    """Encodes expressions as ODVG lines, one each.

    Fields that ODVG lacks are written as members that mmdet ignores: ``expression_id``, ``image_id``, ``dataset_name``,
    and ``category_ids`` of a region's boxes. Category names are not written: `to_mdetr` takes them as an argument.

    Args:
        expressions: The expressions.
        left_out: Counts expressions that are left out because a target has no box of at least a pixel inside the image.
    """
    for each in expressions:
        boxes = [clip(target.box, each.image["width"], each.image["height"]) for target in each.targets]
        if None in boxes:
            if left_out is not None:
                left_out["expression with a target that has no box of a pixel or more inside the image"] += 1
            continue
        meant: dict[tuple, list[tuple[Box | None, int]]] = {}
        for target, box in zip(each.targets, boxes, strict=True):
            meant.setdefault(tuple(map(tuple, target.spans)), []).append((box, target.category_id))
        yield image_part(each.image["file_name"], (each.image["height"], each.image["width"])) | {
            "expression_id": each.id,
            "image_id": each.image_id,
            "dataset_name": each.dataset_name,
            "grounding": {"caption": each.text, "regions": [_region(each.text, *pair) for pair in meant.items()]},
        }


def read_odvg(path: str | Path) -> Iterator[Expression]:
    """Reads the expressions of ODVG lines for grounding.

    A line that `to_odvg` wrote yields its expression. In other lines each region is an expression: its phrase.

    Args:
        path: The JSON lines.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    found = 0
    for name, line in read_grounding(path):
        image = {"file_name": line["filename"], "height": line["height"], "width": line["width"]}
        caption, regions = line["grounding"]["caption"], line["grounding"]["regions"]
        if line.get("expression_id") is not None:
            targets = []
            for region in regions:
                check_spans(region.get("tokens_positive"), caption, f"{name} a region")
                targets += _targets(region, region["tokens_positive"], f"{name} a region")
            belongs = line.get("dataset_name") or UNNAMED
            yield Expression(line["expression_id"], caption, image, line.get("image_id"), belongs, targets)
            continue
        for region in regions:
            found += 1
            check_record(region, REGION, f"{name} a region")
            phrase = region["phrase"] if isinstance(region["phrase"], str) else " ".join(region["phrase"])
            targets = _targets(region, [[0, len(phrase)]], f"{name} a region")
            yield Expression(found, phrase, image, line.get("image_id"), UNNAMED, targets)


def _region(text: str, spans: tuple, meant: Sequence[tuple[Box | None, int]]) -> Record:
    """Encodes the boxes that some spans mean, with the category of each."""
    boxes, categories = map(list, zip(*meant, strict=True))
    return region_record(text, spans, boxes) | {"category_ids": categories}


def _targets(region: Record, spans: list[list[int]], name: str) -> list[Target]:
    check_record(region, {"bbox": REGION["bbox"], "category_ids": optional(INTEGERS)}, name)
    boxes = region_boxes(region)
    categories = region.get("category_ids") or [1] * len(boxes)
    if len(categories) != len(boxes):
        raise ValueError(f"{name} must have a category for each box, but has {len(categories)} of {len(boxes)}.")
    return [Target(box, category, spans) for box, category in zip(boxes, categories, strict=True)]
