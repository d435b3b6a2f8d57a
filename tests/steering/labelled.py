"""Small labelled sets and results of a detector, at random and by hand."""

import json

import numpy as np

from sos_mm.formats.rle import encode_mask

SIZE = 64
NAMES = ("dog", "sports ball", "car")


def annotation(id, image, category, box, crowd=False):
    """An entry of COCO's annotations, whose mask fills its xywh box."""
    return {
        "id": id,
        "image_id": image,
        "category_id": category,
        "bbox": list(map(float, box)),
        "area": float(box[2] * box[3]),
        "iscrowd": int(crowd),
        "segmentation": mask(box),
    }


def detection(image, category, box, score):
    """An entry of COCO's results."""
    whole = {"image_id": image, "category_id": category, "score": float(score)}
    return whole | {"bbox": list(map(float, box)), "segmentation": mask(box)}


def mask(box):
    """The run lengths of an xywh box."""
    x, y, width, height = map(int, box)
    return encode_mask(np.ones((height, width), bool), (x, y), (SIZE, SIZE))


def labels(annotations, images):
    """The content of a COCO file."""
    return {
        "images": [{"id": id, "file_name": f"{id}.jpg", "height": SIZE, "width": SIZE} for id in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": id, "name": name} for id, name in enumerate(NAMES, 1)],
    }


def random_box(rng):
    """An xywh box inside the image."""
    x, y = rng.integers(0, SIZE - 24, 2)
    return [int(x), int(y), *map(int, rng.integers(6, 24, 2))]


def random_labels(rng, images):
    """Labels with crowds and overlapping objects."""
    found = []
    for image in range(1, images + 1):
        for _ in range(rng.integers(1, 7)):
            crowd = rng.random() < 0.15
            found.append(annotation(len(found) + 1, image, int(rng.integers(1, 4)), random_box(rng), crowd))
    return labels(found, images)


def random_results(rng, content):
    """Detections near the objects, some of another category or twice, and some elsewhere; all scores differ."""
    found = []
    for each in content["annotations"]:
        for _ in range(rng.integers(0, 3)):
            x, y, width, height = each["bbox"]
            x, y = np.clip(rng.integers(-3, 4, 2) + np.array([x, y]), 0, SIZE - 24)
            category = each["category_id"] if rng.random() < 0.7 else int(rng.integers(1, 4))
            found.append([each["image_id"], category, [x, y, width, height]])
        if rng.random() < 0.3:
            found.append([each["image_id"], int(rng.integers(1, 4)), random_box(rng)])
    scores = rng.permutation(np.linspace(0.05, 0.95, len(found)))
    return [detection(*each, score) for each, score in zip(found, scores, strict=True)]


def save(folder, content, results):
    """Writes labels and results; returns their paths."""
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "instances.json", folder / "results.json"
