"""Referring expressions between the styles of RefCOCO and gRefCOCO, and ODVG.

- ``mdetr``: a COCO file with one "image" an expression, ``caption`` its words, its annotations the targets. mmdet's
  `MDETRStyleRefCocoDataset`, `RefExpMetric` and `gRefCOCOMetric` read it. An expression without target has one
  annotation of category -1 with the box [0, 0, 0, 0]. (`gRefCOCOMetric` of mmdet 3.3 and 3.4 looks at the first target
  only, so its ``F1_score`` is too low where expressions mean several.)
- ``refs``: the list of the authors of gRefCOCO (``grefs(unc).json``; RefCOCO's, once its pickle is saved as JSON): an
  entry of several sentences names annotations of a COCO instances file. ``ann_id`` [-1] means none.
- ODVG: a line an expression, so that expressions of an image never are each other's negatives by mistake. mmdet's own
  `refcoco2odvg.py` makes the same of the four ``mdetr`` files that it knows by name; it leaves out expressions without
  target. Here they keep a line without regions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.annotations.boxes import Box, clip, xywh_to_xyxy, xyxy_to_xywh
from sos_mm.annotations.reading import AnnotationFileError, json_lines, read_json, read_lists, read_text

Record = dict[str, Any]
NO_TARGET = -1


@dataclass(frozen=True)
class Target:
    """An object that an expression means.

    Attributes:
        box: Half-open xyxy.
        category_id: Its category.
        spans: Half-open spans of characters that mean it.
    """

    box: Box
    category_id: int
    spans: list[list[int]]


@dataclass(frozen=True)
class Expression:
    """Words, and what they mean in an image.

    Attributes:
        id: Its number or name.
        text: The words.
        image: ``file_name``, ``height`` and ``width``.
        image_id: The image's own id, shared by all its expressions; None if not known.
        dataset_name: Such as 'refcoco'.
        targets: What it means; nothing if the image does not show it.
    """

    id: int | str
    text: str
    image: Record
    image_id: int | str | None = None
    dataset_name: str = "refcoco"
    targets: list[Target] = field(default_factory=list)


def read_mdetr(path: str | Path) -> Iterator[Expression]:
    """The expressions of an ``mdetr`` file, in its order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind; names line and column of what is not JSON.
    """
    content = read_lists(path, "images", "annotations")
    targets: dict[Any, list[Target]] = {}
    captions = {image["id"]: image.get("caption") for image in content["images"]}
    if None in captions.values():
        raise ValueError(f"{path} must have a `caption` for each image, but some have none.")
    for each in content["annotations"]:
        if each["category_id"] != NO_TARGET:
            spans = each.get("tokens_positive") or [[0, len(captions[each["image_id"]])]]
            target = Target(xywh_to_xyxy(each["bbox"]), each["category_id"], spans)
            targets.setdefault(each["image_id"], []).append(target)
    for image in content["images"]:
        yield Expression(
            image["id"],
            image["caption"],
            {key: image[key] for key in ("file_name", "height", "width")},
            image.get("original_id"),
            image.get("dataset_name", "refcoco"),
            targets.get(image["id"], []),
        )


def read_refs(
    path: str | Path, instances: str | Path, split: str | None = None, dataset_name: str = "refcoco"
) -> Iterator[Expression]:
    """The sentences of a ``refs`` file.

    Args:
        path: The list, as JSON.
        instances: The COCO instances file whose annotations it names.
        split: Only those of this split, such as 'train' or 'testA'.
        dataset_name: What they are said to belong to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind, names an unknown image or annotation, or has nothing of the split.
    """
    refs, content = read_json(path), read_lists(instances, "images", "annotations")
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and "sentences" in ref for ref in refs):
        raise ValueError(f"{path} must be a list of entries with `sentences`, but is not.")
    images = {image["id"]: image for image in content["images"]}
    annotations = {each["id"]: each for each in content["annotations"]}
    kept = [ref for ref in refs if split is None or ref.get("split") == split]
    if not kept:
        splits = ", ".join(sorted({str(ref.get("split")) for ref in refs}))
        raise ValueError(f"`split` must be one of those of {path} ({splits}), but got {split!r}.")
    for ref in kept:
        ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        ids = [] if ref.get("no_target") else [id for id in ids if id != NO_TARGET]
        unknown = [id for id in ids if id not in annotations]
        if unknown or ref["image_id"] not in images:
            what = f"the annotation {unknown[0]}" if unknown else f"the image {ref['image_id']}"
            raise ValueError(f"{path} names {what} (ref_id {ref.get('ref_id')}), but {instances} has none such.")
        image = {key: images[ref["image_id"]][key] for key in ("file_name", "height", "width")}
        for sentence in ref["sentences"]:
            text = sentence["sent"]
            targets = [
                Target(xywh_to_xyxy(annotations[id]["bbox"]), annotations[id]["category_id"], [[0, len(text)]])
                for id in ids
            ]
            yield Expression(sentence["sent_id"], text, image, ref["image_id"], dataset_name, targets)


def to_odvg(expressions: Iterable[Expression], left_out: Counter | None = None) -> Iterator[Record]:
    """ODVG lines, one an expression.

    What ODVG has no place for stands in members that mmdet passes over: ``expression_id``, ``image_id``,
    ``dataset_name``, and ``category_ids`` of a region's boxes.

    Args:
        expressions: The expressions.
        left_out: Counts expressions that are left out, since a target has no box of a pixel or more inside the image.
    """
    for each in expressions:
        boxes = [clip(target.box, each.image["width"], each.image["height"]) for target in each.targets]
        if None in boxes:
            if left_out is not None:
                left_out["expression with a target that has no box of a pixel or more inside the image"] += 1
            continue
        regions: dict[tuple, Record] = {}
        for target, box in zip(each.targets, boxes, strict=True):
            region = regions.setdefault(_key(target.spans), _region(each.text, target.spans))
            region["bbox"].append(box)
            region["category_ids"].append(target.category_id)
        for region in regions.values():
            region["bbox"] = region["bbox"] if len(region["bbox"]) > 1 else region["bbox"][0]
        yield {
            "filename": each.image["file_name"],
            "height": each.image["height"],
            "width": each.image["width"],
            "expression_id": each.id,
            "image_id": each.image_id,
            "dataset_name": each.dataset_name,
            "grounding": {"caption": each.text, "regions": list(regions.values())},
        }


def read_odvg(path: str | Path, dataset_name: str = "refcoco") -> Iterator[Expression]:
    """The expressions of ODVG lines for grounding.

    A line that `to_odvg` wrote gives back its expression. Of any other, each region is an expression: its phrase.

    Args:
        path: The JSON lines.
        dataset_name: What expressions belong to that do not say so.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not of that kind; names the line.
    """
    found = 0
    for number, line in json_lines(read_text(path), path):
        try:
            image = {"file_name": line["filename"], "height": line["height"], "width": line["width"]}
            caption, regions = line["grounding"]["caption"], line["grounding"]["regions"]
            if "expression_id" in line:
                targets = [target for region in regions for target in _targets(region, region["tokens_positive"])]
                name = line.get("dataset_name", dataset_name)
                yield Expression(line["expression_id"], caption, image, line.get("image_id"), name, targets)
                continue
            for region in regions:
                found += 1
                phrase = region["phrase"] if isinstance(region["phrase"], str) else " ".join(region["phrase"])
                targets = _targets(region, [[0, len(phrase)]])
                yield Expression(found, phrase, image, line.get("image_id"), dataset_name, targets)
        except (KeyError, TypeError) as error:
            raise AnnotationFileError(path, number, 1, f"not a line of ODVG for grounding: {error!r}") from error


def to_mdetr(expressions: Iterable[Expression], categories: Iterable[Record] = ()) -> Record:
    """The content of an ``mdetr`` file; annotations are numbered from 1.

    Args:
        expressions: The expressions; their ids must differ.
        categories: Entries of ``categories``; those of unknown name are added.

    Raises:
        ValueError: If two expressions have the same id.
    """
    images, annotations, seen = [], [], set()
    for each in expressions:
        if each.id in seen:
            raise ValueError(f"Expressions must have ids of their own, but two have the id {each.id!r}.")
        seen.add(each.id)
        image = {"id": each.id, **each.image, "caption": each.text, "dataset_name": each.dataset_name}
        images.append(image | {"original_id": each.image_id, "tokens_negative": [[0, len(each.text)]]})
        for target in each.targets or [Target([0, 0, 0, 0], NO_TARGET, [])]:
            box = xyxy_to_xywh(target.box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": each.id,
                    "category_id": target.category_id,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "tokens_positive": target.spans,
                }
            )
    known = {each["id"]: each for each in categories}
    used = {each["category_id"] for each in annotations} - {NO_TARGET}
    listed = [known.get(id, {"id": id, "name": str(id)}) for id in sorted(used | set(known))]
    return {"categories": listed, "images": images, "annotations": annotations}


def _key(spans: list[list[int]]) -> tuple:
    return tuple(tuple(span) for span in spans)


def _region(text: str, spans: list[list[int]]) -> Record:
    phrases = [text[start:end] for start, end in spans]
    phrase = phrases[0] if len(phrases) == 1 else phrases
    return {"bbox": [], "phrase": phrase, "tokens_positive": spans, "category_ids": []}


def _targets(region: Record, spans: list[list[int]]) -> list[Target]:
    boxes = region["bbox"] if not region["bbox"] or isinstance(region["bbox"][0], list) else [region["bbox"]]
    categories = region.get("category_ids", [1] * len(boxes))
    return [Target(box, category, spans) for box, category in zip(boxes, categories, strict=True)]
