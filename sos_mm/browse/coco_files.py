"""COCO's annotation files: instances, LVIS and panoptic."""

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.browse.dataset import AnnotatedImage, Annotation, Box, DataSet
from sos_mm.checks import check_folder
from sos_mm.formats.panoptic import read_map
from sos_mm.segments.faults import Faults

_LISTS = ("images", "annotations", "categories")


def is_coco(data: Any) -> bool:
    """Whether a JSON file's content is that of a COCO, LVIS or panoptic annotation file."""
    return isinstance(data, dict) and all(isinstance(data.get(key), list) for key in _LISTS)


def read_coco(path: Path, data: Mapping[str, Any], faults: Faults) -> DataSet:
    """What a COCO, LVIS or panoptic annotation file holds; masks stay as they are.

    Args:
        path: The file.
        data: Its content.
        faults: Meets annotations of no known image or category, or without a box, and images without name or size.

    Raises:
        FileNotFoundError: If a panoptic file's folder of maps is not beside it.
        ValueError: If categories or images have no ids, names or sizes.
    """
    categories = {_get(each, "id", path): each for each in data["categories"]}
    names = {id: _get(each, "name", path) for id, each in categories.items()}
    images = {_get(each, "id", path): each for each in data["images"]}
    if len(images) < len(data["images"]) or len(categories) < len(data["categories"]):
        raise ValueError(f"{path} must give each image and category an id of its own, but does not.")
    panoptic = any("segments_info" in each for each in data["annotations"])
    listed: dict[Any, list[Annotation]] = defaultdict(list)
    maps: dict[Any, Path] = {}
    folder = _map_folder(path) if panoptic else path.parent
    for place, entry in enumerate(data["annotations"]):
        try:
            if _get(entry, "image_id", f"annotation {place}") not in images:
                raise ValueError(f"`image_id` must be that of an image of the file, but got {entry['image_id']}.")
            for part in entry["segments_info"] if panoptic else (entry,):
                listed[entry["image_id"]].append(_annotation(part, names, categories, panoptic))
            if panoptic:
                maps[entry["image_id"]] = folder / _get(entry, "file_name", f"annotation {place}")
        except (TypeError, ValueError) as error:
            faults.meet(ValueError(f"Annotation {entry.get('id', place)} of {path}: {error}"))
    found = []
    for id, entry in images.items():
        try:
            found.append(_image(entry, tuple(listed[id]), maps.get(id)))
        except ValueError as error:
            faults.meet(ValueError(f"Image {id} of {path}: {error}"))
    return DataSet(path, _kind(data, panoptic), tuple(found), tuple(names.values()))


def four_numbers(box: Any) -> Box:
    """A box as it stands in a file.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, int | float) for value in box):
        raise ValueError(f"`bbox` must be four numbers, but got {box!r}.")
    return tuple(box)


def below(name: Any, what: str) -> str:
    """A file's name, which must lead to a place below its folder.

    Raises:
        ValueError: If it does not.
    """
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if not path.parts or ".." in path.parts or path.is_absolute():
        raise ValueError(f"{what} must lead to a file below the folder of images, but is {name!r}.")
    return name


def _kind(data: Mapping[str, Any], panoptic: bool) -> str:
    if panoptic:
        return "COCO panoptic"
    lvis = any("neg_category_ids" in each for each in data["images"][:1])
    return "LVIS" if lvis else "COCO instances"


def _get(entry: Any, key: str, where: Any) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise ValueError(f"{where} must give each entry a `{key}`, but one has none: {str(entry)[:80]}.")
    return entry[key]


def _annotation(entry: Mapping[str, Any], names: Mapping, categories: Mapping, panoptic: bool) -> Annotation:
    id = entry.get("category_id")
    if id not in names:
        raise ValueError(f"`category_id` must be that of a category of the file, but got {id}.")
    x, y, width, height = four_numbers(entry.get("bbox"))
    stuff = panoptic and not categories[id].get("isthing", 1)
    return Annotation(
        names[id],
        (x, y, x + width, y + height),
        "ignore" if entry.get("iscrowd") else "stuff" if stuff else "object",
        area=float(entry.get("area") or width * height),
        mask=entry["id"] if panoptic else entry.get("segmentation") or None,
    )


def _image(entry: Mapping[str, Any], annotations: tuple[Annotation, ...], map_path: Path | None) -> AnnotatedImage:
    # LVIS gives an address instead of a name: images lie in a folder of its last part, or in none.
    name = entry.get("file_name") or "/".join(PurePosixPath(entry.get("coco_url", "").split("://")[-1]).parts[-2:])
    name = below(name, "`file_name`")
    size = (entry.get("height"), entry.get("width"))
    last = PurePosixPath(name).name
    reader = partial(read_map, map_path) if map_path else None
    return AnnotatedImage(name, size, annotations, tuple(dict.fromkeys((name, last))), reader)


def _map_folder(path: Path) -> Path:
    """The maps of ``panoptic_val2017.json`` are in ``panoptic_val2017``; those of ours, a folder up."""
    choices = (path.with_suffix(""), path.parent.parent / path.stem)
    return next((each for each in choices if each.is_dir()), None) or check_folder(choices[0], "The panoptic maps")
