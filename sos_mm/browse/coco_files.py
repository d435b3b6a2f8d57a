"""Reads COCO-style annotation files (instances, LVIS, panoptic) for the page."""

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sos_mm.browse.dataset import AnnotatedImage, Annotation, DataSet
from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import four_numbers
from sos_mm.formats.coco import CocoFile, file_names, member
from sos_mm.formats.panoptic import map_folder, read_map
from sos_mm.formats.records import Record


def read_coco(path: Path, data: Mapping[str, Any], faults: ErrorCollector) -> DataSet:
    """Reads a COCO, LVIS or panoptic annotation file for the page; masks are not decoded.

    Args:
        path: The file.
        data: Its content.
        faults: Records annotations with an unknown image or category or without a box, and images without name or size.

    Raises:
        FileNotFoundError: If a panoptic file's folder of PNG files is not beside it.
        ValueError: If categories or images have no ids, names or sizes.
    """
    file = CocoFile(data, path)
    panoptic = file.is_panoptic
    listed: dict[Any, list[Annotation]] = defaultdict(list)
    maps: dict[Any, Path] = {}
    folder = map_folder(path) if panoptic else path.parent
    for position, entry in enumerate(file.annotations):
        try:
            file.image_of(entry)
            for part in entry["segments_info"] if panoptic else (entry,):
                listed[entry["image_id"]].append(_annotation(part, file, panoptic))
            if panoptic:
                maps[entry["image_id"]] = folder / member(entry, "file_name", f"annotation {position}")
        except (TypeError, ValueError) as error:
            faults.record(ValueError(f"Annotation {entry.get('id', position)} of {path}: {error}"))
    found = []
    for id, entry in file.images.items():
        try:
            found.append(_image(entry, tuple(listed[id]), maps.get(id)))
        except ValueError as error:
            faults.record(ValueError(f"Image {id} of {path}: {error}"))
    kind = "COCO panoptic" if panoptic else "LVIS" if file.is_lvis else "COCO instances"
    return DataSet(path, kind, tuple(found), tuple(each["name"] for each in file.categories.values()))


def _annotation(entry: Record, file: CocoFile, panoptic: bool) -> Annotation:
    category = file.category_of(entry)
    x, y, width, height = four_numbers(entry.get("bbox"))
    stuff = panoptic and not category.get("isthing", 1)
    return Annotation(
        category["name"],
        (x, y, x + width, y + height),
        "ignore" if entry.get("iscrowd") else "stuff" if stuff else "object",
        area=float(entry.get("area") or width * height),
        mask=entry["id"] if panoptic else entry.get("segmentation") or None,
    )


def _image(entry: Record, annotations: tuple[Annotation, ...], map_path: Path | None) -> AnnotatedImage:
    names = file_names(entry)
    size: Any = (entry.get("height"), entry.get("width"))
    reader = partial(read_map, map_path) if map_path else None
    return AnnotatedImage(names[0], size, annotations, tuple(dict.fromkeys((*names, Path(names[0]).name))), reader)
