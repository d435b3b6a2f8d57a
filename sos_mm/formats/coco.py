"""COCO instances: boxes and masks of objects, as pycocotools and mmdet's `CocoDataset` read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.formats.boxes import xyxy_to_xywh
from sos_mm.formats.json_reader import members, read_json_object, read_text
from sos_mm.formats.lvis import url_name
from sos_mm.formats.records import ID, INTEGER, SIZE, WORDS, Record, check_below, check_record

LISTS = ("images", "annotations", "categories")
# Fields that a record must have to be converted to another format.
IMAGE = {"id": ID, "file_name": WORDS, "height": SIZE, "width": SIZE}
CATEGORY = {"id": INTEGER, "name": WORDS}


def image_record(id: int, file_name: str, size: tuple[int, int]) -> Record:
    """Encodes an entry of ``images``; ``size`` is height and width."""
    return {"id": id, "file_name": file_name, "height": size[0], "width": size[1]}


def annotation_record(image_id: int, category_id: int, box: Sequence[int], area: int, mask: Record) -> Record:
    """Encodes an entry of ``annotations`` without its id; the box is half-open xyxy, the mask an RLE."""
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": xyxy_to_xywh(box),
        "area": area,
        "segmentation": mask,
    }


def category_records(names: Mapping[int, str], details: Mapping[int, Record]) -> list[Record]:
    """Encodes ``categories`` from names and details by id; ``supercategory`` defaults to the name."""
    return [
        {"id": id, "name": name, "supercategory": details.get(id, {}).get("supercategory", name)}
        for id, name in names.items()
    ]


def json_head(categories: Sequence[Record]) -> Record:
    """Encodes the header fields of a COCO-style file: everything before the lists of images and annotations."""
    return {"info": {"description": "Composed by sos_mm"}, "licenses": [], "categories": list(categories)}


def is_coco(content: Any) -> bool:
    """Returns whether the content of a JSON file is that of a COCO, LVIS or panoptic annotation file."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in LISTS)


class CocoFile:
    """The content of a COCO, LVIS or panoptic annotation file, with images and categories by their ids.

    Args:
        content: The parsed JSON file.
        path: The file, for errors.
        lists: The lists that the file must have; other lists may be missing and count as empty.

    Attributes:
        images: Entries by id, in the order of the file.
        categories: Entries by id, in the order of the file.
        annotations: Entries, in the order of the file.

    Raises:
        ValueError: If a list is missing, an entry is no object, or ids are missing or not unique.
    """

    def __init__(self, content: Any, path: str | Path, lists: Sequence[str] = LISTS):
        missing = [key for key in lists if not isinstance(content, dict) or not isinstance(content.get(key), list)]
        if missing:
            raise ValueError(f"{path} must be a COCO or LVIS annotation file, but has no list {missing[0]!r}.")
        images, self.annotations, categories = (content.get(key) or [] for key in LISTS)
        self.path = Path(path)
        self.images: dict[Any, Record] = {member(each, "id", path): each for each in images}
        self.categories: dict[Any, Record] = {member(each, "id", path): each for each in categories}
        for each in categories:
            member(each, "name", path)
        if len(self.images) < len(images) or len(self.categories) < len(categories):
            raise ValueError(f"{path} must give each image and category an id of its own, but does not.")
        for position, each in enumerate(self.annotations):
            if not isinstance(each, dict):
                raise ValueError(f"Annotation {position} of {path} must be a JSON object, but is {str(each)[:80]}.")

    @property
    def is_panoptic(self) -> bool:
        """Whether the annotations are panoptic: one for each image, with the list of its segments."""
        return any("segments_info" in each for each in self.annotations)

    @property
    def is_lvis(self) -> bool:
        """Whether the images list the categories that are verified to be absent, as LVIS does."""
        return any("neg_category_ids" in each for each in self.images.values())

    def image_of(self, annotation: Record) -> Record:
        """Finds the image of an annotation; raises ValueError if it has none."""
        id = annotation.get("image_id")
        if id not in self.images:
            raise ValueError(f"`image_id` must be that of an image of the file, but got {id}.")
        return self.images[id]

    def category_of(self, annotation: Record) -> Record:
        """Finds the category of an annotation or a segment; raises ValueError if it has none."""
        id = annotation.get("category_id")
        if id not in self.categories:
            raise ValueError(f"`category_id` must be that of a category of the file, but got {id}.")
        return self.categories[id]


def member(entry: Any, key: str, where: Any) -> Any:
    """Returns a member that an entry must have.

    Raises ValueError if the entry lacks it; the message begins with ``where``.
    """
    if not isinstance(entry, dict) or key not in entry:
        raise ValueError(f"{where} must give each entry a `{key}`, but one has none: {str(entry)[:80]}.")
    return entry[key]


def file_names(image: Record) -> tuple[str, ...]:
    """Returns the paths, relative to the folder of images, at which the file of an image may be.

    That is its ``file_name``. LVIS gives a URL instead: then it is the last two parts of the URL, or only the last.

    Raises:
        ValueError: If the entry has neither, or the path leads out of the folder.
    """
    if image.get("file_name"):
        return (check_below(image["file_name"], f"`file_name` of image {image.get('id')}"),)
    name = check_below(url_name(image.get("coco_url")), f"`file_name` of image {image.get('id')}")
    return tuple(dict.fromkeys((name, PurePosixPath(name).name)))


def read_categories(path: str | Path, what: str) -> list[Record]:
    """Reads the categories of an annotation file, each with ``id`` and ``name``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it names no categories; ``what`` says what the file is.
    """
    return _categories(read_json_object(path, what), path)


def read_leading_categories(path: str | Path) -> dict[str, int]:
    """Reads the ids of the categories by name from a file whose categories come first, and parses no more of it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file; names it.
    """
    found: dict[str, int] = {}
    for member in members(read_text(path), path):
        if member.section == "categories":
            check_record(member.value, CATEGORY, f"{path}: a category")
            found[member.value["name"]] = member.value["id"]
        elif found:
            break
    return found


def _categories(content: Record, path: str | Path) -> list[Record]:
    entries = content.get("categories")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and {"id", "name"} <= set(e) for e in entries):
        raise ValueError(f"{path} must hold a list `categories` with `id` and `name`, but does not.")
    return entries


def read_image_counts(path: str | Path) -> tuple[dict[str, int], int]:
    """Reads from an LVIS file the number of images of each category, by name, and the number of all images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a category has no ``image_count``.
    """
    content = read_json_object(path, "The `annotations`")
    entries = _categories(content, path)
    if not all("image_count" in entry for entry in entries):
        raise ValueError(f"{path} must say the `image_count` of each category, as LVIS does, but does not.")
    return {entry["name"]: entry["image_count"] for entry in entries}, len(content.get("images", ()))
