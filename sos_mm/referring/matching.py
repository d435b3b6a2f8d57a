"""Reads expressions from files, and matches their targets with the instances of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.formats.json_reader import is_json_lines, read_text
from sos_mm.formats.mdetr import Expression, read_mdetr
from sos_mm.formats.referring import read_expression_lines
from sos_mm.formats.refs import read_refs
from sos_mm.metrics.grounding import box_ious
from sos_mm.referring.annotated_image import AnnotatedImage

# Least intersection over union for a target's box to match an instance.
LEAST_IOU = 0.7


@dataclass(frozen=True)
class Claim:
    """An expression and its targets, in the form in which its file gives them.

    Attributes:
        id: Id of the expression in its file.
        text: The expression.
        file_name: The image's file; empty if not given.
        image_id: The image's id in the data set; None if not given.
        positions: Indices of the targets among the image's instances; None if not given.
        ids: Ids of the targets' annotations; None if not given.
        boxes: Half-open xyxy boxes of the targets in pixels; None if not given.
        language: Language of the expression, as an ISO 639-1 code; empty if not given.
    """

    id: Any
    text: str
    file_name: str = ""
    image_id: Any = None
    positions: tuple[int, ...] | None = None
    ids: tuple[Any, ...] | None = None
    boxes: tuple[Sequence[float], ...] | None = None
    language: str = ""


def read_claims(path: str | Path, instances: str | Path | None = None, split: str | None = None) -> Iterator[Claim]:
    """Reads the expressions of a file: our lines, RefCOCO's and gRefCOCO's in MDETR's style, or their authors' lists.

    Args:
        path: The file.
        instances: The COCO instances to which an authors' list refers.
        split: The split to read from an authors' list; None for all.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has none of these formats; names the record.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        if instances is None:
            raise ValueError(f"{path} names annotations of COCO instances: give that file as the data set.")
        yield from map(_claim_by_ids, read_refs(path, instances, split))
    elif is_json_lines(text) or '"expressions"' in text[:4096]:
        for name, line in read_expression_lines(path):
            for position, each in enumerate(line["expressions"]):
                yield _claim_of_line(line, each, f"{name} expression {position}")
    else:
        yield from map(_claim_by_boxes, read_mdetr(path))


def _claim_by_ids(expression: Expression) -> Claim:
    ids = tuple(target.id for target in expression.targets)
    return Claim(expression.id, expression.text, expression.image["file_name"], expression.image_id, ids=ids)


def _claim_by_boxes(expression: Expression) -> Claim:
    boxes = tuple(target.box for target in expression.targets)
    return Claim(expression.id, expression.text, expression.image["file_name"], expression.image_id, boxes=boxes)


def _claim_of_line(line: dict, each: dict, name: str) -> Claim:
    positions, ids, boxes = (None if each.get(key) is None else tuple(each[key]) for key in ("targets", "ids", "boxes"))
    id = name if each.get("id") is None else each["id"]
    file_name, language = line.get("file_name") or "", each.get("language") or ""
    return Claim(id, each["text"], file_name, line.get("image_id"), positions, ids, boxes, language)


class ClaimsByImage:
    """Expressions by their image, which has the same file name or, without one, the same id.

    Args:
        claims: The expressions.

    Attributes:
        number: Number of expressions.
    """

    def __init__(self, claims: Iterator[Claim]):
        self._by_name: dict[str, list[Claim]] = {}
        self._by_id: dict[Any, list[Claim]] = {}
        self.number = 0
        for each in claims:
            self.number += 1
            if each.file_name:
                self._by_name.setdefault(PurePosixPath(each.file_name).name, []).append(each)
            else:
                self._by_id.setdefault(each.image_id, []).append(each)

    def take(self, image: AnnotatedImage) -> list[Claim]:
        """Removes the expressions of an image, and returns them."""
        named = self._by_name.pop(PurePosixPath(image.file_name).name, [])
        return named + (self._by_id.pop(image.image_id, []) if image.image_id is not None else [])

    @property
    def left(self) -> list[Claim]:
        """The expressions that were not taken."""
        return [each for claims in (*self._by_name.values(), *self._by_id.values()) for each in claims]


def targets_of(claim: Claim, image: AnnotatedImage) -> tuple[int, ...] | None:
    """Finds the indices of an expression's targets among the instances; None if one is not found.

    Ids take precedence over boxes, and boxes over indices, which depend on how the data set was read.
    """
    if claim.ids is not None:
        positions = {each.id: position for position, each in enumerate(image.instances)}
        found = [positions.get(id) for id in claim.ids]
    elif claim.boxes is not None:
        found = _by_boxes(claim.boxes, image)
    else:
        found = [position if 0 <= position < len(image.instances) else None for position in claim.positions or ()]
    known = {position for position in found if position is not None}
    return None if None in found else tuple(sorted(known))


def _by_boxes(boxes: Sequence[Sequence[float]], image: AnnotatedImage) -> list[int | None]:
    if not boxes:
        return []
    if not image.instances:
        return [None] * len(boxes)
    overlaps = box_ious(boxes, [each.box for each in image.instances])
    best = overlaps.argmax(axis=1)
    return [int(position) if row[position] >= LEAST_IOU else None for position, row in zip(best, overlaps, strict=True)]
