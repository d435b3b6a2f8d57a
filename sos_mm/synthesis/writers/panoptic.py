"""COCO panoptic: the segment of each pixel, as panopticapi and mmdet's `CocoPanopticDataset` read it."""

from functools import partial

import cv2
import numpy as np

from sos_mm.formats.boxes import xyxy_to_xywh
from sos_mm.formats.coco import category_records, image_record, json_head
from sos_mm.formats.panoptic import annotation_record, encode_map, segment_record
from sos_mm.formats.phrases import category_key
from sos_mm.synthesis.writers.format import Categories, Encoded, Entry, Format, Record, Table, Totals

PATH = "annotations/panoptic.json"
FOLDER = "panoptic"


def panoptic_format(background: str | None = None) -> Format:
    """Returns the format COCO panoptic: ``annotations/panoptic.json`` and ``panoptic/NAME.png``.

    A pixel's segment id is R + 256 G + 65536 B: k + 1 for the k-th object from the back, unique in its image as in
    COCO. All objects are things. Ignore regions are void (0). A segment's ``phrase`` is the phrase of its object, if
    there is one; COCO's readers ignore it.

    Args:
        background: Name of the stuff category of all other pixels, the last of the file's categories: a category of
            the vocabulary that no segment has, or a new name, which gets the next free id. None makes those
            pixels void.

    Raises:
        ValueError: When an image is encoded, if segments have the category ``background``.
    """
    if background is not None and (not isinstance(background, str) or not background.strip()):
        raise ValueError(f"`background` must be the name of a category or None, but got {background!r}.")
    table = Table(PATH, ("images", "annotations"), head=partial(_head, background))
    return Format(partial(_encode, background), (table,))


def _encode(background: str | None, entry: Entry) -> Encoded:
    scene, ids = entry.scene, entry.scene.small_owner()
    segments = []
    for id, (each, category) in enumerate(zip(scene.objects, entry.category_ids, strict=True), 1):
        segment = segment_record(id, category, xyxy_to_xywh(each.box), each.area)
        segments.append(segment | ({"phrase": each.phrase} if each.phrase else {}))
    if background is not None:
        behind = _behind(entry, ids)
        if behind.any():
            ids = np.where(behind, len(segments) + 1, ids)
            category, box = _background_id(background, entry.categories), cv2.boundingRect(behind.view(np.uint8))
            segments.append(segment_record(len(segments) + 1, category, box, int(np.count_nonzero(behind))))
    record = annotation_record(entry.image_id, f"{entry.name}.png", segments)
    image = image_record(entry.image_id, entry.file_name, entry.size)
    return Encoded(
        {f"{FOLDER}/{entry.name}.png": encode_map(ids)},
        {(PATH, "images"): [image], (PATH, "annotations"): [record]},
    )


def _behind(entry: Entry, owner: np.ndarray) -> np.ndarray:
    """Returns (H, W) bool: pixels without an object or an ignore region."""
    behind = owner == 0
    for region in entry.scene.ignored:
        x0, y0, x1, y1 = region.box
        behind[y0:y1, x0:x1] &= ~region.mask
    return behind


def _background_id(background: str, categories: Categories) -> int:
    id = categories.id_of_key.get(category_key(background), max(categories.names) + 1)
    if id in categories.ids.values():
        raise ValueError(f"`background` must be a category that no segment has, but {background!r} is theirs.")
    return id


def _head(background: str | None, totals: Totals) -> Record:
    categories = category_records(totals.categories.names, totals.categories.details)
    records = {each["id"]: each | {"isthing": 1} for each in categories}
    if background is not None:
        id = _background_id(background, totals.categories)
        # Moved to the end: mmdet numbers its labels in this order and expects all things first.
        stuff = records.pop(id, {"id": id, "name": background, "supercategory": background})
        records[id] = stuff | {"isthing": 0}
    return json_head(list(records.values()))
