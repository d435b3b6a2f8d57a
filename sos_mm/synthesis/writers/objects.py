"""The sidecar file: all metadata of each object, one line of JSON an image."""

from dataclasses import asdict
from functools import partial

from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Record, Table

PATH = "annotations/objects.jsonl"


def objects_format(masks: bool = True) -> Format:
    """Returns the format of the sidecar ``annotations/objects.jsonl``: line i describes all objects of image i.

    ``light`` is null without effects. Objects are listed from back to front; their boxes are half-open xyxy.
    ``placement`` is that of the layout; its ``segment`` is an index into the segments drawn for the image.

    Args:
        masks: Whether to write the masks ``modal`` and ``amodal`` of each object in COCO's compressed run lengths.

    Raises:
        ValueError: If ``masks`` is neither True nor False.
    """
    if not isinstance(masks, bool):
        raise ValueError(f"`masks` must be True or False, but got {masks!r}.")
    return Format(partial(_encode, masks), (Table(PATH),))


def _encode(masks: bool, entry: Entry) -> Encoded:
    scene = entry.scene
    record = {
        "index": entry.index,
        "seed": entry.seed,
        "file_name": entry.file_name,
        "canvas": list(entry.size),
        "light": asdict(scene.light) if scene.light else None,
        "objects": [_object(entry, index, masks) for index in range(len(scene.objects))],
        "ignored": [_ignored(entry, index, masks) for index in range(len(scene.ignored))],
    }
    return Encoded(records={(PATH, ""): [record]})


def _object(entry: Entry, index: int, masks: bool) -> Record:
    each = entry.scene.objects[index]
    record = {
        "segment_id": each.segment_id,
        "category": each.category,
        "category_id": entry.category_ids[index],
        "sub_category": each.sub_category,
        "phrase": each.phrase,
        "description": each.description,
        "attributes": list(each.attributes),
        "placement": dict(vars(each.placement)),
        "z_order": each.z_order,
        "box": list(each.box),
        "area": each.area,
        "amodal_box": list(each.amodal_box),
        "amodal_area": each.amodal_area,
        "visible_share": each.visible_share,
        "truncation": each.truncation,
    }
    return record | ({"modal": entry.modal_rles[index], "amodal": entry.amodal_rles[index]} if masks else {})


def _ignored(entry: Entry, index: int, masks: bool) -> Record:
    each = entry.scene.ignored[index]
    record = {"segment_id": each.segment_id, "category": each.category, "box": list(each.box)}
    return record | ({"modal": entry.ignored_rles[index]} if masks else {})
