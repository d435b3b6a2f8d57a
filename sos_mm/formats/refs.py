"""Referring expressions in the format of the authors of RefCOCO and gRefCOCO, called ``refs``.

It is a list (``grefs(unc).json``; RefCOCO's pickle saved as JSON has the same form) beside a COCO instances file. An
entry has the sentences that mean one set of annotations, and the ids of these; ``ann_id`` [-1] means no target.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sos_mm.formats.boxes import XYWH, xywh_to_xyxy
from sos_mm.formats.coco import IMAGE
from sos_mm.formats.json_reader import read_json, read_lists
from sos_mm.formats.mdetr import NO_TARGET, Expression, Target, check_none
from sos_mm.formats.records import ID, INTEGER, INTEGERS, OBJECTS, WORDS, Field, Record, as_list, by_id, check_record

_IDS = Field("an integer, or a list of them", lambda value: INTEGERS.holds(as_list(value)))


def read_refs(
    path: str | Path, instances: str | Path, split: str | None = None, dataset_name: str = "refcoco"
) -> Iterator[Expression]:
    """Yields the expressions of a ``refs`` file, one for each sentence.

    Args:
        path: The list, as JSON.
        instances: The COCO instances file whose annotations it names.
        split: Read only the expressions of this split, such as 'train' or 'testA'.
        dataset_name: The ``dataset_name`` that the expressions get.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind, names an unknown image or annotation, or one of another image, has two
            sentences of the same id, or nothing of the split. Names the record.
    """
    refs, fields = read_json(path), {"id": INTEGER, "image_id": ID, "category_id": INTEGER, "bbox": XYWH}
    content = read_lists(instances, images=IMAGE, annotations=fields)
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and "sentences" in ref for ref in refs):
        raise ValueError(f"{path} must be a list of entries with `sentences`, but is not: give another file.")
    if not refs:
        raise ValueError(f"{path} must be a list of entries with `sentences`, but is empty: give another file.")
    images = by_id(content["images"], f"Images of {instances}")
    annotations = by_id(content["annotations"], f"Annotations of {instances}")
    kept = [ref for ref in refs if split is None or ref.get("split") == split]
    if not kept:
        splits = ", ".join(sorted({str(ref.get("split")) for ref in refs}))
        raise ValueError(f"`split` must be one of those of {path} ({splits}), but got {split!r}.")
    seen: set[int | str] = set()
    for ref in kept:
        name = f"{path}, ref_id {ref.get('ref_id')!r}:"
        check_record(ref, {"image_id": ID, "ann_id": _IDS, "sentences": OBJECTS}, f"{name} the entry")
        if ref["image_id"] not in images:
            raise ValueError(f"{name} it names the image {ref['image_id']!r}, but {instances} has none such.")
        image = {key: images[ref["image_id"]][key] for key in ("file_name", "height", "width")}
        meant = _meant(ref, annotations, name, instances)
        for sentence in ref["sentences"]:
            check_record(sentence, {"sent": WORDS, "sent_id": ID}, f"{name} a sentence")
            text, id = sentence["sent"], sentence["sent_id"]
            if id in seen:
                raise ValueError(f"{name} sentences must have ids of their own, but two have the `sent_id` {id!r}.")
            seen.add(id)
            spans = [[0, len(text)]]
            targets = [Target(xywh_to_xyxy(each["bbox"]), each["category_id"], spans, each["id"]) for each in meant]
            yield Expression(id, text, image, ref["image_id"], dataset_name, targets)


def _meant(ref: Record, annotations: dict[int, Record], name: str, instances: str | Path) -> list[Record]:
    """Returns the annotations that an entry refers to; none for an expression without target."""
    ids = [None if id == NO_TARGET else id for id in as_list(ref["ann_id"])]
    if ref.get("no_target") and None not in ids:
        ids.append(None)
    check_none(ids, f"{name} the entry", "`ann_id` [-1]")
    for id in ids:
        if id is not None and id not in annotations:
            raise ValueError(f"{name} it names the annotation {id!r}, but {instances} has none such.")
        if id is not None and annotations[id]["image_id"] != ref["image_id"]:
            other = annotations[id]["image_id"]
            raise ValueError(
                f"{name} it is of the image {ref['image_id']!r}, but names the annotation {id!r}, which is of "
                f"{other!r}."
            )
    return [annotations[id] for id in ids if id is not None]


def ref_records(expressions: Iterable[Expression], split: str) -> Iterator[Record]:
    """Encodes the expressions of one image; expressions with the same targets become one entry.

    ``ref_id`` is the id of an entry's first sentence, since expressions have integers as ids.

    Args:
        expressions: Expressions of one image; their targets must have ids.
        split: Name of the split, such as 'train' or 'val'.

    Raises:
        ValueError: If a target has no id that is an integer.
    """
    entries: dict[tuple[int, ...], list[Expression]] = {}
    for each in expressions:
        known = tuple(target.id for target in each.targets)
        ids = tuple(id for id in known if isinstance(id, int))
        if len(ids) < len(known):
            raise ValueError(
                f"The form `refs` names annotations by integers, but the expression {each.id!r} means {known!r}: "
                "write it for COCO, LVIS or composed images."
            )
        entries.setdefault(ids, []).append(each)
    for ids, same in entries.items():
        yield _entry(ids, same, split)


def _entry(ids: tuple[int, ...], same: list[Expression], split: str) -> Record:
    first = same[0]
    return {
        "ref_id": first.id,
        "image_id": first.image_id,
        "file_name": first.image["file_name"],
        "split": split,
        "ann_id": list(ids) or [NO_TARGET],
        "category_id": [target.category_id for target in first.targets] or [NO_TARGET],
        "no_target": not ids,
        "sent_ids": [each.id for each in same],
        "sentences": [_sentence(each) for each in same],
    }


def _sentence(expression: Expression) -> Record:
    text = expression.text
    return {"sent_id": expression.id, "sent": text, "raw": text, "tokens": text.lower().split()}
