"""Referring expressions in the format of MDETR: their type, reading and encoding.

- ``mdetr``: a COCO file with one entry of ``images`` an expression: ``caption`` is its text, its annotations are the
  targets. mmdet's `MDETRStyleRefCocoDataset`, `RefExpMetric` and `gRefCOCOMetric` read it. An expression without target
  has one annotation of category -1 with the box [0, 0, 0, 0]. (`gRefCOCOMetric` of mmdet 3.3 and 3.4 reads only the
  first target, so its ``F1_score`` is too low where expressions have several targets.)
- Intra-class referring, our extension: ``mdetr`` with ``distractors`` for each expression, the xywh boxes of the other
  objects of the target's category. `IntraClassReferringDataset` and `IntraClassReferringMetric` read it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYWH, Box, xywh_to_xyxy, xyxy_to_xywh
from sos_mm.formats.coco import IMAGE
from sos_mm.formats.json_reader import check_holds_any, read_lists
from sos_mm.formats.odvg import check_spans
from sos_mm.formats.records import (
    ID,
    INTEGER,
    TEXT,
    WORDS,
    Record,
    by_id,
    check_record,
    optional,
)

NO_TARGET = -1
# `dataset_name` of expressions for which a file names none: mmdet's `RefExpMetric` knows it.
UNNAMED = "refcoco"
_EXPRESSION = IMAGE | {"caption": WORDS, "original_id": optional(ID), "dataset_name": optional(TEXT)}


@dataclass(frozen=True)
class Target:
    """An object that an expression refers to.

    Attributes:
        box: Half-open xyxy.
        category_id: Its category.
        spans: Half-open character spans of the text that refer to it.
        id: Id of its annotation in the COCO instances file that it comes from; None if not known.
    """

    box: Box
    category_id: int
    spans: list[list[int]]
    id: int | None = None


@dataclass(frozen=True)
class Expression:
    """A referring expression of an image and its targets.

    Attributes:
        id: Number or name of the expression.
        text: The expression itself.
        image: ``file_name``, ``height`` and ``width``.
        image_id: The image's own id, shared by all its expressions; None if not known.
        dataset_name: Such as 'refcoco'.
        targets: The objects that it refers to; empty if the image shows none (a negative phrase).
        distractors: Half-open xyxy boxes of the other objects of the target's category; None if unknown.
    """

    id: int | str
    text: str
    image: Record
    image_id: int | str | None = None
    dataset_name: str = UNNAMED
    targets: list[Target] = field(default_factory=list)
    distractors: Sequence[Box] | None = None


def read_mdetr(path: str | Path) -> Iterator[Expression]:
    """Yields the expressions of an ``mdetr`` file, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind or lists no expression, two expressions have the same id, an annotation is
            of an unknown one, or an expression has no annotation (one without target has an annotation of category
            -1). Names the record.
    """
    content = read_lists(path, images=_EXPRESSION, annotations={"image_id": ID, "category_id": INTEGER})
    check_holds_any(content, path, "images")
    captions = {id: each["caption"] for id, each in by_id(content["images"], f"Images of {path}").items()}
    targets: dict[Any, list[Target | None]] = {id: [] for id in captions}
    for each in content["annotations"]:
        id, name = each["image_id"], f"{path}: an annotation of the image {each['image_id']!r}"
        if id not in captions:
            raise ValueError(f"{path} has an annotation of the image {id!r}, but no such image.")
        targets[id].append(None if each["category_id"] == NO_TARGET else _target(each, captions[id], name))
    for image in content["images"]:
        found = targets[image["id"]]
        check_none(found, f"{path}: the image {image['id']!r}", "an annotation of category -1")
        yield Expression(
            image["id"],
            image["caption"],
            {key: image[key] for key in ("file_name", "height", "width")},
            image.get("original_id"),
            image.get("dataset_name") or UNNAMED,
            [target for target in found if target is not None],
        )


def _target(annotation: Record, caption: str, name: str) -> Target:
    check_record(annotation, {"bbox": XYWH}, name)
    spans = [[0, len(caption)]] if annotation.get("tokens_positive") in (None, []) else annotation["tokens_positive"]
    check_spans(spans, caption, name)
    return Target(xywh_to_xyxy(annotation["bbox"]), annotation["category_id"], spans)


def check_none(targets: list[Any], name: str, mark: str) -> None:
    """Raises ValueError unless there are targets, or a single None, which stands for an expression without target."""
    if not targets or (None in targets and len(targets) > 1):
        found = "a target beside that mark" if targets else "neither"
        raise ValueError(f"{name} must have targets, or {mark} if it means nothing, but has {found}.")


def image_record(expression: Expression) -> Record:
    """Encodes an expression as an entry of ``images``."""
    image = {"id": expression.id, **expression.image, "caption": expression.text}
    image |= {"dataset_name": expression.dataset_name, "original_id": expression.image_id}
    image["tokens_negative"] = [[0, len(expression.text)]]
    if expression.distractors is not None:
        image["distractors"] = [xyxy_to_xywh(box) for box in expression.distractors]
    return image


def target_records(expression: Expression) -> list[Record]:
    """Encodes the targets of an expression as entries of ``annotations`` without their ids."""
    records = []
    for target in expression.targets or [Target([0, 0, 0, 0], NO_TARGET, [])]:
        box = xyxy_to_xywh(target.box)
        record = {"image_id": expression.id, "category_id": target.category_id, "bbox": box, "area": box[2] * box[3]}
        records.append(record | {"iscrowd": 0, "tokens_positive": target.spans})
    return records


def to_mdetr(expressions: Iterable[Expression], categories: Iterable[Record] = ()) -> Record:
    """Encodes expressions as the content of an ``mdetr`` file; annotations are numbered from 1.

    Args:
        expressions: The expressions; their ids must differ.
        categories: Entries of ``categories``; ids that are missing there are added, with the id as the name.

    Raises:
        ValueError: If two expressions have the same id.
    """
    images: list[Record] = []
    annotations: list[Record] = []
    seen = set()
    for each in expressions:
        if each.id in seen:
            raise ValueError(f"Expressions must have ids of their own, but two have the id {each.id!r}.")
        seen.add(each.id)
        images.append(image_record(each))
        annotations += target_records(each)
    annotations = [{"id": id, **each} for id, each in enumerate(annotations, 1)]
    known = {each["id"]: each for each in categories}
    used = {each["category_id"] for each in annotations} - {NO_TARGET}
    listed = [known.get(id, {"id": id, "name": str(id)}) for id in sorted(used | set(known))]
    return {"categories": listed, "images": images, "annotations": annotations}
