"""The sidecar file: all metadata of each object, one line of JSON an image."""

from functools import partial

from sos_mm.formats.objects import OBJECTS_FILE, object_record, region_record, sidecar_line
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Table

PATH = f"annotations/{OBJECTS_FILE}"


def objects_format(masks: bool = True) -> Format:
    """Returns the format of the sidecar ``annotations/objects.jsonl``: line i describes all objects of image i.

    See `sos_mm.formats.objects` for its fields.

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
    objects = [
        object_record(each, category, (entry.modal_rles[index], entry.amodal_rles[index]) if masks else None)
        for index, (each, category) in enumerate(zip(scene.objects, entry.category_ids, strict=True))
    ]
    ignored = [
        region_record(each.segment_id, each.category, each.box, entry.ignored_rles[index] if masks else None)
        for index, each in enumerate(scene.ignored)
    ]
    line = sidecar_line(entry.index, entry.seed, entry.file_name, entry.size, scene.light, objects, ignored)
    return Encoded(records={(PATH, ""): [line]})
