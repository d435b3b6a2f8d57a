"""Intra-class referring: expressions that refer to one of several objects of a category.

Two forms of a benchmark file are read. Ours is in the style of MDETR's RefCOCO files (see `sos_mm.formats.mdetr`): each
image, that is each expression, has ``distractors``, the xywh boxes of the other objects of its target's category, and
its annotation is the target. SOS's own, called grouped, has no annotations: each image has ``category_id`` and
``boxes``, xywh, of which the first is the target's and the others are the distractors'.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sos_mm.formats.boxes import XYWH, XYWHS, Box, xywh_to_xyxy
from sos_mm.formats.json_reader import check_lists, read_json
from sos_mm.formats.records import FILE, ID, INTEGER, SIZE, TEXT, WORDS, Record, check_record, optional

_IMAGE = {"id": ID, "file_name": FILE, "height": SIZE, "width": SIZE, "caption": WORDS}
_IMAGE |= {"dataset_name": optional(TEXT)}


@dataclass(frozen=True)
class IntraClassSample:
    """An expression with its target and its distractors.

    Attributes:
        id: Id of the expression.
        text: The expression itself.
        image: ``file_name``, ``height`` and ``width``.
        category_id: Category of the target and the distractors.
        targets: Half-open xyxy boxes of its targets, at least one.
        distractors: Half-open xyxy boxes of the other objects of the category, at least one.
        dataset_name: Such as 'refcoco'.
    """

    id: int | str
    text: str
    image: Record
    category_id: int
    targets: list[Box]
    distractors: list[Box]
    dataset_name: str = "intra_class"


def read_intra_class(path: str | Path) -> Iterator[IntraClassSample]:
    """Yields the expressions of a file in either format.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of neither form, holds no expression, or one has no target or no distractor; names it.
    """
    content = read_json(path)
    check_lists(content, path, images=_IMAGE)
    if not content["images"]:
        raise ValueError(
            f"{path} must hold expressions, but its list 'images' is empty: only images with several objects of a "
            "category give any."
        )
    grouped = "boxes" in content["images"][0] and not content.get("annotations")
    yield from _read_grouped(content, path) if grouped else _read_ours(content, path)


def _read_grouped(content: Record, path: str | Path) -> Iterator[IntraClassSample]:
    for image in content["images"]:
        name = f"{path}, expression {image['id']!r}: it"
        check_record(image, {"boxes": XYWHS, "category_id": INTEGER}, name)
        boxes = [xywh_to_xyxy(box) for box in image["boxes"]]
        _check_boxes(image["id"], path, boxes[:1], boxes[1:], "second box in `boxes`")
        yield _sample(image, image["category_id"], boxes[:1], boxes[1:])


def _read_ours(content: Record, path: str | Path) -> Iterator[IntraClassSample]:
    check_lists(content, path, annotations={"image_id": ID, "bbox": XYWH})
    targets: dict[Any, list[Record]] = {}
    for annotation in content["annotations"]:
        targets.setdefault(annotation["image_id"], []).append(annotation)
    for image in content["images"]:
        check_record(image, {"distractors": optional(XYWHS)}, f"{path}, expression {image['id']!r}: it")
        own = targets.get(image["id"], [])
        meant = [xywh_to_xyxy(each["bbox"]) for each in own]
        others = [xywh_to_xyxy(box) for box in image.get("distractors") or ()]
        _check_boxes(image["id"], path, meant, others, "`distractors`")
        yield _sample(image, own[0].get("category_id", 0), meant, others)


def _check_boxes(id: Any, path: str | Path, targets: Sequence, distractors: Sequence, remedy: str) -> None:
    if not targets or not distractors:
        missing = "annotation" if distractors else remedy
        raise ValueError(f"{path} must give each expression a target and distractors; {id!r} has no {missing}.")


def _sample(image: Record, category: int, targets: list[Box], distractors: list[Box]) -> IntraClassSample:
    kept = {key: image[key] for key in ("file_name", "height", "width")}
    belongs = image.get("dataset_name") or "intra_class"
    return IntraClassSample(image["id"], image["caption"], kept, category, targets, distractors, belongs)
