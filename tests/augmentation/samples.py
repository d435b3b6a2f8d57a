"""What the tests of `SegmentPaste` share: samples with known masks, and the transform as they use it."""

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from sos_mm.augmentation import SegmentPaste
from sos_mm.engine.randomness import RunRandomness

SIZE = (90, 110)
CLASSES = ("dog", "cat", "apple")
LAYOUT = {
    "type": "StructuredLayout",
    "counts": (1, 5),
    "shares": {"large": 0.6, "medium": 0.4, "small": 0.0},
    "areas": {"large": (0.1, 0.4), "medium": (0.03, 0.1), "small": (0.01, 0.03)},
    "crowded": "fewer",
}


def build(bank_config, **options) -> SegmentPaste:
    """Builds the transform without effects, unless they are given: pasted pixels are then known."""
    given = {"classes": CLASSES, "prob": 1.0, "layout": LAYOUT, "effects": (), **options}
    paste = TRANSFORMS.build(dict(type="sos_mm.SegmentPaste", bank=bank_config, **given))
    paste.draws = RunRandomness(0)
    return paste


def random_sample(seed: int, number: int | None = None) -> dict:
    """An image with ellipses, and their true masks, boxes and labels."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    masks = np.zeros((rng.integers(0, 5) if number is None else number, *SIZE), np.uint8)
    for mask in masks:
        center, axes = rng.integers(10, min(SIZE) - 10, 2), rng.integers(2, 25, 2)
        cv2.ellipse(mask, center.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    boxes = np.array([tight(mask) for mask in masks], np.float32).reshape(-1, 4)
    return {
        "img": image,
        "img_path": f"folder/{seed}.jpg",
        "sample_idx": seed,
        "gt_bboxes": boxes,
        "gt_bboxes_labels": rng.integers(0, len(CLASSES), len(masks)),
        "gt_ignore_flags": rng.random(len(masks)) < 0.2,
        "masks": masks,
    }


def tight(mask) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def boxes_of(results: dict) -> np.ndarray:
    boxes = results["gt_bboxes"]
    return boxes if isinstance(boxes, np.ndarray) else boxes.tensor.numpy()
