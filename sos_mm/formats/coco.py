"""COCO instances: boxes and masks of objects, as pycocotools and mmdet's `CocoDataset` read them."""

from collections.abc import Mapping, Sequence

from sos_mm.formats.boxes import xyxy_to_xywh
from sos_mm.formats.records import ID, SIZE, WHOLE, WORDS, Record

# What records must have that are turned into others.
IMAGE = {"id": ID, "file_name": WORDS, "height": SIZE, "width": SIZE}
CATEGORY = {"id": WHOLE, "name": WORDS}


def image_record(id: int, file_name: str, size: tuple[int, int]) -> Record:
    """Encodes an entry of ``images``; the size is height and width."""
    return {"id": id, "file_name": file_name, "height": size[0], "width": size[1]}


def annotation_record(image_id: int, category_id: int, box: Sequence[int], area: int, mask: Record) -> Record:
    """Encodes an entry of ``annotations`` without its id; the box is half-open xyxy, the mask run lengths."""
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": xyxy_to_xywh(box),
        "area": area,
        "segmentation": mask,
    }


def category_records(names: Mapping[int, str], details: Mapping[int, Record]) -> list[Record]:
    """Encodes ``categories``, from names and details by id; without a ``supercategory``, it is the name itself."""
    return [
        {"id": id, "name": name, "supercategory": details.get(id, {}).get("supercategory", name)}
        for id, name in names.items()
    ]


def json_head(categories: Sequence[Record]) -> Record:
    """Encodes what COCO's files and those like it have in front of the lists of images and annotations."""
    return {"info": {"description": "Composed by sos_mm"}, "licenses": [], "categories": list(categories)}
