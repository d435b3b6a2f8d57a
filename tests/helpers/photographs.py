"""A few small photographs with annotations, in the layout that the studies on photographs read."""

import json
from pathlib import Path

import cv2
import numpy as np

SIDE = 64
# Boxes of the objects of each photograph: x, y, width, height.
BOXES = {
    "train": {
        "1": [(10, 10, 30, 30)],
        "2": [(4, 4, 24, 24), (34, 30, 24, 28)],
        "3": [(5, 5, 25, 25), (35, 8, 25, 50)],
        "4": [(30, 30, 8, 8)],
    },
    "val": {"7": [(20, 8, 30, 30), (2, 50, 10, 10)], "8": [(2, 2, 12, 12)]},
}


def write_photographs(folder: Path) -> Path:
    """Noise with brighter rectangles, and their annotations."""
    rng = np.random.default_rng(0)
    for part, photographs in BOXES.items():
        labels = dict(images=[], annotations=[], categories=[dict(id=1, name="cat", supercategory="animal")])
        for name, boxes in photographs.items():
            image = rng.integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8)
            labels["images"].append(dict(id=int(name), file_name=f"{name}.png", width=SIDE, height=SIDE))
            for x, y, width, height in boxes:
                image[y : y + height, x : x + width] += 150
                corners = [x, y, x + width, y, x + width, y + height, x, y + height]
                entry = dict(id=len(labels["annotations"]) + 1, image_id=int(name), category_id=1, iscrowd=0)
                entry |= dict(bbox=[x, y, width, height], area=width * height, segmentation=[corners])
                labels["annotations"].append(entry)
            (folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / part / f"{name}.png"), image)
        (folder / f"instances_{part}.json").write_text(json.dumps(labels))
    (folder / "train_unlabelled").mkdir()
    cv2.imwrite(str(folder / "train_unlabelled/9.png"), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
    return folder
