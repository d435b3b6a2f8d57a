"""Detections as COCO's results format: a JSON list, as mmdet's `CocoMetric` writes it with ``outfile_prefix``."""

from pathlib import Path

from sos_mm.formats.boxes import XYWH
from sos_mm.formats.json_reader import read_json
from sos_mm.formats.records import ID, INTEGER, NUMBER, OBJECT, Record, check_record, optional

_DETECTION = {
    "image_id": ID,
    "category_id": INTEGER,
    "score": NUMBER,
    "bbox": optional(XYWH),
    # Run lengths; mmdet writes them beside the box.
    "segmentation": optional(OBJECT),
}
# What a detection is located by -> the member that holds it.
LOCATIONS = {"bbox": "bbox", "segm": "segmentation"}


def read_detections(path: str | Path, kind: str = "bbox") -> list[Record]:
    """Reads detections, each with ``image_id``, ``category_id``, ``score`` and its location.

    Args:
        path: A file of COCO's results format.
        kind: What they must have: 'bbox' for an xywh box, 'segm' for a mask in run lengths.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind; names the entry.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} must be a JSON list of detections, but is a {type(content).__name__}.")
    needed = LOCATIONS[kind]
    for position, each in enumerate(content):
        check_record(each, _DETECTION, f"{path}: detection {position}")
        if each.get(needed) is None:
            raise ValueError(
                f"{path}: detection {position} must have `{needed}`, but has none: give the {kind} results."
            )
    return content
