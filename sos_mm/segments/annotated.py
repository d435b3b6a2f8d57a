"""The reader of COCO and LVIS annotation files: each object is a segment to be cut out of its photograph."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.checks import FaultyInputError, check_folder, check_range
from sos_mm.segments.faults import Faults
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.sources import few, read_json_object, without_duplicates
from sos_mm.segments.vocabulary import category_key


def read_annotated(
    annotations: str | Path,
    images: str | Path,
    *,
    include: Collection[str] | None = None,
    crowd: bool = False,
    truncated: bool = False,
    soften: float = 0.0,
    faults: Faults | None = None,
) -> list[SegmentRecord]:
    """Lists the objects of a COCO or LVIS annotation file.

    Args:
        annotations: The JSON file; polygons, and run lengths as lists or compressed.
        images: Folder of the photographs, found by ``file_name`` or by the end of ``coco_url``.
        include: Names of the categories to list; all if None.
        crowd: Whether to list groups, ``iscrowd``.
        truncated: Whether to list objects whose box comes within a pixel of the photograph's border.
        soften: Standard deviation of the softened edge, in pixels.
        faults: Meets objects without a photograph, category, box or outline, and ids that are there twice;
            raises them if None.

    Returns:
        Records in the order of the file; ``source_id`` is ``"<stem of the file>/<annotation id>"``.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the file is not of that kind, a category of ``include`` is not in it, or no object is
            left.
    """
    check_range("soften", soften, 0, 16)
    faults, images = faults or Faults(), check_folder(images, "The photographs' `images`")
    data = read_json_object(annotations, "The `annotations`")
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(data.get(key), list)]
    if missing:
        raise ValueError(f"{annotations} must be a COCO or LVIS annotation file, but has no list {missing[0]!r}.")
    categories = _categories(data["categories"], include, annotations)
    photographs = {image["id"]: image for image in data["images"]}
    all_categories = {entry["id"] for entry in data["categories"]}
    paths: dict[Any, Path] = {}
    records = []
    for entry in data["annotations"]:
        try:
            image = _photograph(entry, photographs, all_categories)
            unwanted = entry["category_id"] not in categories or (entry.get("iscrowd") and not crowd)
            if unwanted or (_is_truncated(entry, image) and not truncated):
                continue
            if image["id"] not in paths:
                paths[image["id"]] = _path(images, image)
            category, path = categories[entry["category_id"]], paths[image["id"]]
            record = _record(entry, category, path, Path(annotations).stem, soften)
            records.append(replace(record, source_size=(image["height"], image["width"])))
        except (FileNotFoundError, ValueError) as error:
            text = f"Annotation {entry.get('id')} of {annotations}: {error}"
            missing = isinstance(error, FileNotFoundError)
            faults.meet(FileNotFoundError(text) if missing else FaultyInputError("faulty annotation", text))
    if not records:
        raise ValueError(f"{annotations} must hold objects to cut out, but none is left: are the options too strict?")
    return without_duplicates(records, faults)


def _categories(entries: list[dict], include: Collection[str] | None, annotations: str | Path) -> dict[int, dict]:
    if include is None:
        return {entry["id"]: entry for entry in entries}
    wanted = {category_key(name): name for name in include}
    found = {category_key(entry["name"]): entry for entry in entries}
    if set(wanted) - set(found):
        absent = [wanted[key] for key in set(wanted) - set(found)]
        raise ValueError(f"`include` names {few(absent)}, but {annotations} has no categories of that name.")
    return {found[key]["id"]: found[key] for key in wanted}


def _photograph(entry: Mapping[str, Any], photographs: Mapping, categories: Collection[int]) -> dict[str, Any]:
    for key in ("id", "image_id", "category_id", "bbox", "segmentation"):
        if not entry.get(key) and entry.get(key) != 0:
            raise ValueError(f"`{key}` must be there, but is missing or empty.")
    if entry["category_id"] not in categories:
        raise ValueError(f"`category_id` must be that of a category of the file, but got {entry['category_id']}.")
    if entry["image_id"] not in photographs:
        raise ValueError(f"`image_id` must be that of an image of the file, but got {entry['image_id']}.")
    image = photographs[entry["image_id"]]
    for side in ("height", "width"):
        if not isinstance(image.get(side), int) or image[side] < 1:
            raise ValueError(f"`{side}` of image {image['id']} must be its pixels, but got {image.get(side)!r}.")
    return image


def _is_truncated(entry: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    x, y, width, height = entry["bbox"]
    return min(x, y) < 1 or x + width > image["width"] - 1 or y + height > image["height"] - 1


def _path(images: Path, image: Mapping[str, Any]) -> Path:
    name = image.get("file_name") or image.get("coco_url", "").split("://")[-1]
    parts = PurePosixPath(name).parts
    if ".." in parts or not parts or PurePosixPath(name).is_absolute():
        raise ValueError(f"`file_name` of image {image['id']} must lead to a file below {images}, but is {name!r}.")
    choices = [images / name] if image.get("file_name") else [images.joinpath(*parts[-2:]), images / parts[-1]]
    for path in choices:
        if path.is_file():
            return path
    raise FileNotFoundError(f"the photograph {choices[-1]} does not exist.")


def _record(
    entry: Mapping[str, Any], category: Mapping[str, Any], path: Path, stem: str, soften: float
) -> SegmentRecord:
    return SegmentRecord(
        file=str(path),
        category=category["name"],
        sub_category="",
        phrase=category["name"].replace("_", " "),
        description=category.get("def", ""),
        attributes=(),
        source_id=f"{stem}/{entry['id']}",
        outline=json.dumps(entry["segmentation"], separators=(",", ":")),
        soften=soften,
    )
