"""COCO instances: boxes and masks, as pycocotools and mmdet's `CocoDataset` read them."""

from sos_mm.composition.scene import Box
from sos_mm.formats.coco import annotation_record, category_records, image_record, json_head
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Record, Table, Totals

PATH = "annotations/instances.json"


def coco_format() -> Format:
    """Returns the format COCO instances, in ``annotations/instances.json``.

    ``segmentation`` is the modal mask in compressed run lengths, ``bbox`` its tight xywh box and ``area`` its number of
    pixels. Ignore regions are crowds (``iscrowd`` 1) of their category, which COCO's evaluation ignores.
    """
    table = Table(PATH, ("images", "annotations"), numbered=("annotations",), head=_head)
    return Format(_encode, (table,))


def _encode(entry: Entry) -> Encoded:
    objects = zip(entry.scene.objects, entry.category_ids, entry.modal_rles, strict=True)
    annotations = [_annotation(entry, category, each.box, each.area, mask) for each, category, mask in objects]
    regions = zip(entry.scene.ignored, entry.ignored_category_ids, entry.ignored_rles, strict=True)
    annotations += [
        _annotation(entry, category, each.box, int(each.mask.sum()), mask, crowd=True)
        for each, category, mask in regions
    ]
    image = image_record(entry.image_id, entry.file_name, entry.size)
    return Encoded(records={(PATH, "images"): [image], (PATH, "annotations"): annotations})


def _annotation(entry: Entry, category: int, box: Box, area: int, mask: Record, crowd: bool = False) -> Record:
    return annotation_record(entry.image_id, category, box, area, mask) | {"iscrowd": int(crowd)}


def _head(totals: Totals) -> Record:
    return json_head(category_records(totals.categories.names, totals.categories.details))
