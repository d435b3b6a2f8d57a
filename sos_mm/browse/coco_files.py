"""Reads COCO-style annotation files (instances, LVIS, panoptic) for the page."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sos_mm.browse.dataset import AnnotatedImage, Annotation, DataSet
from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import xywh_to_xyxy
from sos_mm.formats.coco import ANNOTATION, CocoFile, file_names
from sos_mm.formats.panoptic import ANNOTATION as PANOPTIC_ANNOTATION
from sos_mm.formats.panoptic import SEGMENT, SEGMENT_ID, map_folder, read_map, thing_ids
from sos_mm.formats.records import Field, Record, are_finite, check_record, check_size, optional

_AREA = {"area": optional(Field("a finite number, at least 0,", lambda value: are_finite([value]) and value >= 0))}
# The page shows no ids of annotations, so they may be missing.
_OBJECT = {key: field for key, field in ANNOTATION.items() if key != "id"} | _AREA
_PART = SEGMENT | {"id": SEGMENT_ID} | _AREA


def read_coco(path: Path, data: Mapping[str, Any], faults: ErrorCollector) -> DataSet:
    """Reads a COCO, LVIS or panoptic annotation file for the page; masks are not decoded.

    Args:
        path: The file.
        data: Its content.
        faults: Records annotations with an unknown image or category or without a box, and images without name or size.

    Raises:
        FileNotFoundError: If a panoptic file's folder of PNG files is not beside it.
        ValueError: If there are no images, or categories or images have no ids, names or sizes.
    """
    file = CocoFile(data, path)
    file.check_holds_any("images")
    panoptic = file.is_panoptic
    listed: dict[Any, list[Annotation]] = defaultdict(list)
    maps: dict[Any, Path] = {}
    folder = map_folder(path) if panoptic else path.parent
    things = thing_ids(file.categories.values(), path) if panoptic else set(file.categories)
    for position, entry in enumerate(file.annotations):
        try:
            file.image_of(entry)
            if panoptic:
                check_record(entry, PANOPTIC_ANNOTATION, "it")
                maps[entry["image_id"]] = folder / entry["file_name"]
            parts = entry["segments_info"] if panoptic else (entry,)
            listed[entry["image_id"]] += _annotations(parts, file, things, panoptic)
        except ValueError as error:
            faults.record(ValueError(f"Annotation {entry.get('id', position)!r} of {path}: {error}"))
    found = []
    for id, entry in file.images.items():
        try:
            found.append(_image(entry, tuple(listed[id]), maps.get(id)))
        except ValueError as error:
            faults.record(ValueError(f"Image {id!r} of {path}: {error}"))
    kind = "COCO panoptic" if panoptic else "LVIS" if file.is_lvis else "COCO instances"
    return DataSet(path, kind, tuple(found), tuple(each["name"] for each in file.categories.values()))


def _annotations(parts: Iterable[Record], file: CocoFile, things: set[int], panoptic: bool) -> list[Annotation]:
    """Converts an annotation, or the segments of a panoptic one, of which no two may have one id."""
    found = []
    for part in parts:
        check_record(part, _PART if panoptic else _OBJECT, "a segment" if panoptic else "it")
        found.append(_annotation(part, file, things, panoptic))
    if panoptic and len({each.mask for each in found}) < len(found):
        raise ValueError("segments must have ids of their own, but two have the same.")
    return found


def _annotation(entry: Record, file: CocoFile, things: set[int], panoptic: bool) -> Annotation:
    x0, y0, x1, y1 = xywh_to_xyxy(entry["bbox"])
    category = file.category_of(entry)
    return Annotation(
        category["name"],
        (x0, y0, x1, y1),
        "ignore" if entry.get("iscrowd") else "object" if category["id"] in things else "stuff",
        area=float(entry.get("area") or (x1 - x0) * (y1 - y0)),
        mask=entry["id"] if panoptic else entry.get("segmentation") or None,
    )


def _image(entry: Record, annotations: tuple[Annotation, ...], map_path: Path | None) -> AnnotatedImage:
    check_size(entry, "it")
    names, size = file_names(entry), (entry["height"], entry["width"])
    reader = partial(read_map, map_path) if map_path else None
    return AnnotatedImage(names[0], size, annotations, tuple(dict.fromkeys((*names, Path(names[0]).name))), reader)
