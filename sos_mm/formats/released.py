"""The annotation files of the released composed sets, which differ from ODVG and COCO panoptic.

Their ODVG has boxes as xywh under the key ``bboxes``, where ODVG has xyxy under ``bbox``; spans that end at the last
character, where ODVG's are half-open; file names of the masks; and the box [0, 0, 0, 0] for occluded objects. Their
panoptic files have areas of 1, such boxes too, and categories without ``isthing``.
"""

from collections.abc import Iterator
from pathlib import Path

from sos_mm.formats.boxes import XYWHS, Box, xywh_to_xyxy
from sos_mm.formats.json_reader import check_holds_any, read_lists
from sos_mm.formats.odvg import read_grounding
from sos_mm.formats.panoptic import ANNOTATION
from sos_mm.formats.records import FILE, INTEGER, OBJECTS, TEXT, WORDS, Record, check_record

_REGION = {"phrase": TEXT, "bboxes": XYWHS}


def read_regions(path: str | Path) -> Iterator[tuple[Record, list[tuple[str, list[Box]]]]]:
    """Reads a grounding file: yields each line with its phrases and their xyxy boxes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not JSON or not of that kind; names the line.
    """
    for name, line in read_grounding(path, {"regions": OBJECTS}):
        regions = line["grounding"]["regions"]
        for region in regions:
            check_record(region, _REGION, f"{name} a region")
        yield line, [(region["phrase"], [xywh_to_xyxy(box) for box in region["bboxes"]]) for region in regions]


def read_panoptic(path: str | Path) -> Record:
    """Reads a panoptic file; returns its content, of which areas, boxes and ``isthing`` must not be used.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind, or lists no image or no annotation; names the line or the mask.
    """
    content = read_lists(path, images={"file_name": FILE}, annotations=ANNOTATION, categories={"name": WORDS})
    check_holds_any(content, path, "images", "annotations")
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            check_record(segment, {"id": INTEGER}, f"{path}, mask {annotation['file_name']}: a segment")
    return content
