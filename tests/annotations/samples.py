"""Small annotation files of every kind without any fault, and how to put one in."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np

from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.rle import encode_mask

MASK = encode_mask(np.ones((4, 6), bool), (3, 2), (60, 80))


def coco() -> dict:
    annotation = {"image_id": 1, "category_id": 1, "bbox": [3, 2, 6, 4], "area": 24, "iscrowd": 0}
    polygon = [[3, 2, 9, 2, 9, 6, 3, 6]]
    return {
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 60, "width": 80} for i in (1, 2)],
        "annotations": [
            {"id": 1, **annotation, "segmentation": deepcopy(MASK)},
            {"id": 2, **annotation, "segmentation": polygon},
            {"id": 3, **annotation, "image_id": 2, "category_id": 2},
        ],
    }


def lvis() -> dict:
    content = coco()
    for each in content["categories"]:
        each["frequency"] = "r"
    for each in content["images"]:
        each["coco_url"] = f"http://there/val2017/{each['id']}.jpg"
        each["neg_category_ids"], each["not_exhaustive_category_ids"] = [], []
    return content


def panoptic() -> dict:
    segment = {"category_id": 1, "bbox": [3, 2, 6, 4], "area": 24, "iscrowd": 0}
    segments = [{"id": 1, **segment}, {"id": 2, **segment}]
    annotations = [{"image_id": i, "file_name": f"{i}.png", "segments_info": deepcopy(segments)} for i in (1, 2)]
    content = coco() | {"annotations": annotations}
    for each in content["categories"]:
        each["isthing"] = 1
    return content


def mdetr() -> dict:
    size = {"height": 60, "width": 80, "dataset_name": "refcoco"}
    annotation = {"bbox": [3, 2, 6, 4], "area": 24, "iscrowd": 0, "category_id": 1}
    spans, nothing = {"tokens_positive": [[0, 7]]}, {"category_id": -1, "bbox": [0, 0, 0, 0], "area": 0}
    return {
        "images": [{"id": i, "file_name": "1.jpg", "caption": "the dog on grass", **size} for i in (1, 2)],
        "annotations": [{"id": 1, "image_id": 1, **annotation, **spans}, {"id": 2, "image_id": 2, **nothing}],
    }


def refs() -> list:
    sentences = [{"sent": "the dog", "sent_id": 5}]
    return [{"ref_id": i, "image_id": 1, "ann_id": [1], "sentences": [sentences[0] | {"sent_id": i}]} for i in (1, 2)]


def odvg() -> list:
    image = {"filename": "1.jpg", "height": 60, "width": 80}
    regions = [
        {"bbox": [3, 2, 9, 6], "phrase": "a dog", "tokens_positive": [[0, 5]]},
        {"bbox": [[3, 2, 9, 6], [0, 0, 80, 60]], "phrase": ["red", "cats"], "tokens_positive": [[7, 10], [15, 19]]},
    ]
    instance = {"bbox": [3, 2, 9, 6], "label": 0, "category": "dog"}
    return [
        image | {"grounding": {"caption": "a dog. red and cats", "regions": regions}},
        image | {"detection": {"instances": [instance, dict(instance)]}},
    ]


MAKERS = {"coco": coco, "lvis": lvis, "panoptic": panoptic, "mdetr": mdetr, "refs": refs, "odvg": odvg}


def write(folder: Path, kind: str, content) -> Path:
    """Writes each record in a line of its own."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{kind}.json"
    if kind == "odvg":
        write_json_lines(path, content)
    elif kind == "refs":
        path.write_text("[\n" + ",\n".join(map(json.dumps, content)) + "\n]\n")
    else:
        write_json_lists(path, content)
    return path


def mutate(content, keys: str, value) -> None:
    """Sets what stands under keys such as 'images 0 id'; deletes it for `...`."""
    *way, last = (int(key) if key.isdigit() else key for key in keys.split())
    for key in way:
        content = content[key]
    if value is ...:
        del content[last]
    else:
        content[last] = value
