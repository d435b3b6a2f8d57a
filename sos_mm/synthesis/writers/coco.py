"""COCO instances: boxes and masks, as pycocotools and mmdet's `CocoDataset` read them."""

from collections.abc import Sequence

from sos_mm.composition.scene import Box
from sos_mm.synthesis.writers.format import Categories, Encoded, Entry, Format, Record, Table, Totals

PATH = "annotations/instances.json"


def coco_format() -> Format:
    """COCO instances in ``annotations/instances.json``.

    ``segmentation`` is the visible mask in compressed run lengths, ``bbox`` its tight xywh box and ``area`` its
    pixels. Regions to ignore are crowds (``iscrowd`` 1) of their category, which evaluation neither counts nor blames.
    """
    table = Table(PATH, ("images", "annotations"), numbered=("annotations",), head=_head)
    return Format(_encode, (table,))


def image_record(entry: Entry) -> Record:
    """An entry of COCO's ``images``."""
    height, width = entry.size
    return {"id": entry.image_id, "file_name": entry.file_name, "height": height, "width": width}


def xywh(box: Box) -> list[int]:
    """A box as COCO writes it."""
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _encode(entry: Entry) -> Encoded:
    objects = zip(entry.scene.objects, entry.category_ids, entry.modal_rles, strict=True)
    annotations = [_annotation(entry, category, each.box, each.area, mask) for each, category, mask in objects]
    regions = zip(entry.scene.ignored, entry.ignored_category_ids, entry.ignored_rles, strict=True)
    annotations += [
        _annotation(entry, category, each.box, int(each.mask.sum()), mask, crowd=True)
        for each, category, mask in regions
    ]
    return Encoded(records={(PATH, "images"): [image_record(entry)], (PATH, "annotations"): annotations})


def _annotation(entry: Entry, category: int, box: Box, area: int, mask: Record, crowd: bool = False) -> Record:
    return {
        "image_id": entry.image_id,
        "category_id": category,
        "bbox": xywh(box),
        "area": area,
        "segmentation": mask,
        "iscrowd": int(crowd),
    }


def category_records(categories: Categories) -> list[Record]:
    """Entries of COCO's ``categories``; where the vocabulary has no ``supercategory``, it is the name itself."""
    details = categories.details
    return [
        {"id": id, "name": name, "supercategory": details.get(id, {}).get("supercategory", name)}
        for id, name in categories.names.items()
    ]


def json_head(categories: Sequence[Record]) -> Record:
    """What COCO's files and those like it have in front of the lists of images and annotations."""
    return {"info": {"description": "Composed by sos_mm"}, "licenses": [], "categories": list(categories)}


def _head(totals: Totals) -> Record:
    return json_head(category_records(totals.categories))
