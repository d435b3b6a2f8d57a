"""COCO instances: boxes and masks of objects, as pycocotools and mmdet's `CocoDataset` read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.formats.boxes import XYWH, xyxy_to_xywh
from sos_mm.formats.json_reader import check_holds_any, check_lists, members, read_json_object, read_text
from sos_mm.formats.lvis import NEGATIVE, url_name
from sos_mm.formats.records import (
    FILE,
    FLAG,
    ID,
    INTEGER,
    SIZE,
    WORDS,
    Field,
    Record,
    by_id,
    check_below,
    check_record,
    optional,
)

LISTS = ("images", "annotations", "categories")
# Areas in pixels that separate small, medium and large objects in COCO's evaluation.
SIZE_LIMITS = (32**2, 96**2)
# Fields that a record must have to be converted to another format.
IMAGE = {"id": ID, "file_name": FILE, "height": SIZE, "width": SIZE}
CATEGORY = {"id": INTEGER, "name": WORDS}
# An empty list stands for an object without an outline.
OUTLINE = Field("polygons or run lengths", lambda value: isinstance(value, list | dict) and value != {})
# Fields of an annotation, and what all readers check of them. Numbers of an outline are checked where it is decoded.
ANNOTATION = {"id": ID, "image_id": ID, "category_id": INTEGER, "bbox": XYWH}
ANNOTATION |= {"iscrowd": optional(FLAG), "ignore": optional(FLAG), "segmentation": optional(OUTLINE)}
_OF_IMAGE, _OF_CATEGORY = {"image_id": ID}, {"category_id": INTEGER}
_NEEDED = {"images": {"id": ID}, "annotations": {}, "categories": CATEGORY}


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
    """Returns whether the content of a JSON file is meant as a COCO, LVIS or panoptic annotation file.

    It is if it has two of the three lists: `CocoFile` then names the one that is missing.
    """
    return isinstance(content, dict) and sum(key in content for key in LISTS) > 1


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
        ValueError: If a list is missing, an entry is no object, an id or a category's name is missing or there twice,
            or some ids are integers and others texts. Names the line.
    """

    def __init__(self, content: Any, path: str | Path, lists: Sequence[str] = LISTS):
        there = [key for key in LISTS if key in lists or (isinstance(content, dict) and content.get(key) is not None)]
        check_lists(content, path, **{key: _NEEDED[key] for key in there})
        images, self.annotations, categories = (content.get(key) or [] for key in LISTS)
        self.path = Path(path)
        self.images: dict[Any, Record] = by_id(images, f"Images of {path}")
        self.categories: dict[Any, Record] = by_id(categories, f"Categories of {path}")
        named: dict[str, int] = {}
        for id, each in self.categories.items():
            if named.setdefault(each["name"], id) != id:
                raise ValueError(
                    f"Categories of {path} must have names of their own, but {named[each['name']]} and {id} are both "
                    f"called {each['name']!r}: rename one."
                )

    def check_holds_any(self, *names: str) -> None:
        """Raises ValueError if one of the named lists is empty, such as 'images', so that nothing can be made of it."""
        check_holds_any({name: getattr(self, name) for name in names}, self.path, *names)

    @property
    def is_panoptic(self) -> bool:
        """Whether the annotations are panoptic: one for each image, with the list of its segments."""
        return any("segments_info" in each for each in self.annotations)

    @property
    def is_lvis(self) -> bool:
        """Whether the images list the categories that are verified to be absent, as LVIS does."""
        return any(NEGATIVE in each for each in self.images.values())

    def image_of(self, annotation: Record) -> Record:
        """Finds the image of an annotation; raises ValueError if it has none."""
        check_record(annotation, _OF_IMAGE, "it")
        id = annotation["image_id"]
        if id not in self.images:
            raise ValueError(f"`image_id` must be that of an image of the file, but got {id!r}.")
        return self.images[id]

    def category_of(self, annotation: Record) -> Record:
        """Finds the category of an annotation or a segment; raises ValueError if it has none."""
        check_record(annotation, _OF_CATEGORY, "it")
        id = annotation["category_id"]
        if id not in self.categories:
            raise ValueError(f"`category_id` must be that of a category of the file, but got {id!r}.")
        return self.categories[id]


def file_names(image: Record) -> tuple[str, ...]:
    """Returns the paths, relative to the folder of images, at which the file of an image may be.

    That is its ``file_name``. LVIS gives a URL instead: then it is the last two parts of the URL, or only the last.

    Raises:
        ValueError: If the entry has neither, or the path leads out of the folder.
    """
    if image.get("file_name"):
        return (check_below(image["file_name"], f"`file_name` of image {image.get('id')!r}"),)
    name = check_below(url_name(image.get("coco_url")), f"`file_name` of image {image.get('id')!r}")
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


def _categories(content: Record, path: str | Path, **further: Field) -> list[Record]:
    check_lists(content, path, categories=CATEGORY | further)
    return content["categories"]


def read_image_counts(path: str | Path) -> tuple[dict[str, int], int]:
    """Reads from an LVIS file the number of images of each category, by name, and the number of all images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a category has no ``image_count``.
    """
    content = read_json_object(path, "The `annotations`")
    check_lists(content, path, images={})
    entries = _categories(content, path, image_count=INTEGER)
    return {entry["name"]: entry["image_count"] for entry in entries}, len(content["images"])
