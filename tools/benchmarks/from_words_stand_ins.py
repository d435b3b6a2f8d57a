"""Writes the stand-ins of tools/benchmarks/from_words.sh into the current folder.

A random text-to-image pipeline and `draw.py` for it; `compose.py`, which adds the bundled sample to its drawings;
`detector.py`, which trains a small detector for a part of an epoch; labelled and test images, composed of held-out
objects.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from sos_mm import get_config
from sos_mm.synthesis import load_recipe, synthesize

DRAW = """
categories = ["apple", "book", "car", "dog"]
model = dict(source="pipeline", licence="none: random weights", dtype="float32")
sampling = dict(num_inference_steps=2, height=64, width=64)
prompts = dict(type="templates", per_category=2)
images_per_prompt = 1
batch_size = 8
cutter = dict(type="from_words_stand_ins.DiskCutter")
filters = dict(soft=1.0, duplicates=None)
"""
COMPOSE = """
_base_ = {base!r}
# Nine of ten objects are of the sample, so that there is something to learn.
segments = dict(
    _delete_=True,
    type="mix",
    weights=[1, 9],
    banks=[dict(type="index", path="data/drawn.arrow"), dict(type="sample", group="all", include={include!r})],
)
formats = ["coco", "objects"]
"""
DETECTOR = """
_base_ = {base!r}
train_dataloader = dict(batch_size=8, dataset=dict(data_root="data/round_1", indices=480))
val_dataloader = dict(dataset=dict(data_root="data/labelled"))
test_dataloader = dict(dataset=dict(data_root="data/test"))
val_evaluator = dict(ann_file="data/labelled/annotations/instances.json")
test_evaluator = dict(ann_file="data/test/annotations/instances.json")
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = [dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50)]
default_hooks = dict(checkpoint=dict(interval=1))
"""


class DiskCutter:
    """A cutter that takes a disk in the middle for the object."""

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Returns (H, W) uint8 alpha."""
        height, width = image.shape[:2]
        alpha = np.zeros((height, width), np.uint8)
        return cv2.circle(alpha, (width // 2, height // 2), min(height, width) * 2 // 5, 255, -1, cv2.LINE_AA)


def main() -> None:
    """Writes all of them."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.helpers.pipelines import save_stable_diffusion

    save_stable_diffusion(Path("pipeline"))
    ten, held_out = (get_config(f"synthesis/{name}.py") for name in ("sample_ten", "sample_ten_held_out"))
    include = load_recipe(ten).segments["include"]
    Path("draw.py").write_text(DRAW)
    Path("compose.py").write_text(COMPOSE.format(base=ten, include=include))
    Path("detector.py").write_text(DETECTOR.format(base=get_config("detection/sample_rtmdet_ins.py")))
    recipe = load_recipe(held_out, {"formats": ["coco", "objects"]})
    for seed, name in enumerate(("labelled", "test"), 1):
        synthesize(recipe, Path("data") / name, 60, seed=seed, progress=False)


if __name__ == "__main__":
    main()
