"""A folder of small inputs without any fault, of every kind that the tools read."""

import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.formats.rle import encode_mask

# Height and width of the photographs.
SIZE = (90, 120)
# Boxes of the objects, xyxy, of photograph 1 and of photograph 2; none touches another or the frame.
BOXES = {1: [(10, 10, 40, 40), (60, 20, 100, 70)], 2: [(20, 20, 50, 60), (70, 10, 110, 50)]}
PHRASES = ("a brown dog", "a grey cat")
NAMES = ("dog", "cat")


def mask_of(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def xywh(box: tuple[int, int, int, int]) -> list[int]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def area(box: tuple[int, int, int, int]) -> int:
    return xywh(box)[2] * xywh(box)[3]


def _run_lengths(box: tuple[int, int, int, int]) -> dict[str, Any]:
    flat = mask_of(box).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.view(np.int8), [flat[-1]]])))
    return {"size": list(SIZE), "counts": np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()}


def _outlines() -> list[Any]:
    """Returns the masks of the four objects: two polygons, compressed run lengths, and a list of them."""
    polygons = [[[x0, y0, x1, y0, x1, y1, x0, y1]] for x0, y0, x1, y1 in BOXES[1]]
    return [*polygons, encode_mask(mask_of(BOXES[2][0]), (0, 0), SIZE), _run_lengths(BOXES[2][1])]


def coco() -> dict[str, Any]:
    boxes = [(image, place, box) for image in BOXES for place, box in enumerate(BOXES[image])]
    return {
        "info": {},
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "images": [{"id": id, "file_name": f"{id}.jpg", "height": SIZE[0], "width": SIZE[1]} for id in BOXES],
        "annotations": [
            {
                "id": id,
                "image_id": image,
                "category_id": place + 1,
                "bbox": xywh(box),
                "area": area(box),
                "iscrowd": 0,
                "segmentation": outline,
            }
            for id, ((image, place, box), outline) in enumerate(zip(boxes, _outlines(), strict=True), 1)
        ],
    }


def lvis() -> dict[str, Any]:
    content = coco()
    for each in content["categories"]:
        each |= {"frequency": "r", "image_count": 2, "instance_count": 2, "synset": "", "synonyms": [], "def": ""}
    for each in content["images"]:
        each["coco_url"] = f"http://there/photos/{each['id']}.jpg"
        each |= {"neg_category_ids": [], "not_exhaustive_category_ids": [1]}
    for each in content["annotations"]:
        del each["iscrowd"]
    return content


def panoptic() -> dict[str, Any]:
    content = coco()
    for each in content["categories"]:
        each |= {"isthing": 1, "supercategory": each["name"]}
    content["annotations"] = [
        {
            "image_id": image,
            "file_name": f"{image}.png",
            "segments_info": [
                {
                    "id": place + 1,
                    "category_id": place + 1,
                    "bbox": xywh(box),
                    "area": area(box),
                    "iscrowd": 0,
                    "phrase": PHRASES[place],
                }
                for place, box in enumerate(boxes)
            ],
        }
        for image, boxes in BOXES.items()
    ]
    return content


def mdetr() -> dict[str, Any]:
    images, annotations = [], []
    for number, (image, place) in enumerate([(1, 0), (1, 1), (2, 0)], 1):
        images.append(
            {
                "id": number,
                "original_id": image,
                "file_name": f"{image}.jpg",
                "height": SIZE[0],
                "width": SIZE[1],
                "caption": PHRASES[place],
                "dataset_name": "refcoco",
            }
        )
        box = BOXES[image][place]
        found = {"id": number, "image_id": number, "category_id": place + 1, "bbox": xywh(box), "area": area(box)}
        annotations.append(found | {"iscrowd": 0, "tokens_positive": [[0, len(PHRASES[place])]]})
    return {"categories": coco()["categories"], "images": images, "annotations": annotations}


def refs() -> list[dict[str, Any]]:
    return [
        {
            "ref_id": number,
            "image_id": image,
            "ann_id": [number],
            "split": "val",
            "sentences": [{"sent_id": number, "sent": PHRASES[place], "raw": PHRASES[place], "tokens": ["a"]}],
        }
        for number, (image, place) in enumerate([(1, 0), (1, 1), (2, 0)], 1)
    ]


def _line(image: int) -> dict[str, Any]:
    return {"filename": f"{image}.jpg", "height": SIZE[0], "width": SIZE[1]}


def detection() -> list[dict[str, Any]]:
    return [
        _line(image)
        | {
            "detection": {
                "instances": [
                    {"bbox": list(box), "label": place, "category": NAMES[place]} for place, box in enumerate(boxes)
                ]
            }
        }
        for image, boxes in BOXES.items()
    ]


def grounding() -> list[dict[str, Any]]:
    caption, start = ". ".join(PHRASES) + ".", len(PHRASES[0]) + 2
    spans = ([0, len(PHRASES[0])], [start, start + len(PHRASES[1])])
    return [
        _line(image)
        | {
            "grounding": {
                "caption": caption,
                "regions": [
                    {"bbox": list(box), "phrase": PHRASES[place], "tokens_positive": [spans[place]]}
                    for place, box in enumerate(boxes)
                ],
            }
        }
        for image, boxes in BOXES.items()
    ]


def objects() -> list[dict[str, Any]]:
    return [
        {
            "file_name": f"{image}.jpg",
            "canvas": list(SIZE),
            "objects": [
                {
                    "category": NAMES[place],
                    "category_id": place + 1,
                    "box": list(box),
                    "area": area(box),
                    "modal": encode_mask(mask_of(box), (0, 0), SIZE),
                    "phrase": PHRASES[place],
                    "attributes": [],
                    "z_order": place,
                    "placement": {"depth": None, "limited": False},
                    "visible_share": 1.0,
                    "truncation": 0.0,
                    "segment_id": f"{NAMES[place]}/0",
                }
                for place, box in enumerate(boxes)
            ],
            "ignored": [],
        }
        for image, boxes in BOXES.items()
    ]


MAKERS = {
    "coco": coco,
    "lvis": lvis,
    "panoptic": panoptic,
    "mdetr": mdetr,
    "refs": refs,
    "detection": detection,
    "grounding": grounding,
    "objects": objects,
}
OF_LINES = ("detection", "grounding", "objects")


def recipe() -> dict[str, Any]:
    """Returns a recipe whose sources are in the folder; ``{folder}`` stands for its path."""
    return {
        "canvas": (64, 80),
        "segments": {"type": "folder", "root": "{folder}/segments"},
        "backgrounds": {"type": "plain"},
        "layout": {"type": "RandomLayout", "counts": (1, 2)},
        "formats": ["coco", "lvis", "yolo", "objects"],
        "background_categories": [],
    }


def write_json(path: Path, content: Any, kind: str = "") -> Path:
    """Writes an annotation file, one record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(each) + "\n" for each in content] if kind in OF_LINES else [json.dumps(content)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def file_of(folder: Path, kind: str) -> Path:
    return folder / (f"{kind}.jsonl" if kind in OF_LINES else f"{kind}.json")


def write_recipe(folder: Path, content: dict[str, Any]) -> Path:
    """Writes a recipe as a config file, with the folder's path in place of ``{folder}``."""
    path = folder / "recipe.py"
    lines = [f"{key} = {value!r}\n" for key, value in content.items()]
    path.write_text("".join(lines).replace("{folder}", str(folder)), encoding="utf-8")
    return path


def photograph(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Returns (H, W, 3) uint8, a gradient with the objects of photograph 1 on it, in BGR."""
    image = np.linspace(90, 160, size[1], dtype=np.uint8)[None, :, None].repeat(size[0], 0).repeat(3, 2)
    for (x0, y0, x1, y1), color in zip(BOXES[1], ((40, 70, 130), (128, 128, 128)), strict=True):
        image[y0:y1, x0:x1] = color
    return image


def cut_out(height: int = 24, width: int = 30) -> np.ndarray:
    """Returns (H, W, 4) uint8 BGRA, an opaque ellipse."""
    rgba = np.zeros((height, width, 4), np.uint8)
    cv2.ellipse(rgba, (width // 2, height // 2), (width // 2 - 3, height // 2 - 3), 0, 0, 360, (30, 60, 200, 255), -1)
    return rgba


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def network(path: Path, **changes) -> None:
    """Writes an ONNX file: the mean of an image's channels, as a map.

    Args:
        path: The file.
        changes: ``kind``, 'float', 'float16' or 'int64'; ``shape`` of the input; ``nan``; ``inputs``; ``metadata``;
            ``pooled``, whether it gives one number.
    """
    from onnx import TensorProto, helper, save

    kinds = {"float": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64}
    kind, shape = kinds[changes.get("kind", "float")], changes.get("shape", [1, 3, 16, 16])
    inputs = [helper.make_tensor_value_info(f"x{n}", kind, shape) for n in range(changes.get("inputs", 1))]
    axes = [1, 2, 3] if changes.get("pooled") else [1]
    nodes = [
        helper.make_node("Cast", ["x0"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["y"], ["z"], axes=axes, keepdims=1),
        helper.make_node(
            "Div" if changes.get("nan") else "Identity", ["z", "w"] if changes.get("nan") else ["z"], ["out"]
        ),
    ]
    if changes.get("nan"):
        nodes.insert(2, helper.make_node("Sub", ["z", "z"], ["w"]))
        nodes[3].input[0] = "w"
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "mean", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if "metadata" in changes:
        helper.set_model_props(model, {"sos_mm": changes["metadata"]})
    save(model, str(path))


def build(folder: Path) -> Path:
    """Writes all inputs into a folder."""
    for kind, make in MAKERS.items():
        write_json(file_of(folder, kind), make(), kind)
    write_json(folder / "label_map.json", {"0": "dog", "1": "cat"})
    for image, boxes in BOXES.items():
        save(folder / f"photos/{image}.jpg", photograph())
        ids = np.zeros((*SIZE, 3), np.uint8)
        for place, (x0, y0, x1, y1) in enumerate(boxes, 1):
            ids[y0:y1, x0:x1, 2] = place
        save(folder / f"panoptic/{image}.png", ids)
        save(folder / f"saliency/images/{image}.jpg", photograph())
        save(folder / f"saliency/masks/{image}.png", mask_of(boxes[0]).astype(np.uint8) * 255)
    for category in ("ball", "box"):
        save(folder / f"segments/{category}/0.png", cut_out())
        save(folder / f"release/{category}/red_{category}/0.png", cut_out())
    words = {"description": "It is red.", "short_phrase": "a red thing", "features": ["red"]}
    write_json(folder / "metadata.json", {f"{each}_red_{each}": words for each in ("ball", "box")})
    with tarfile.open(folder / "segments-0.tar", "w") as shard:
        shard.add(folder / "segments/ball/0.png", "ball/0.png")
    write_recipe(folder, recipe())
    network(folder / "net.onnx")
    return folder
