"""The data of the study: large objects, which are salient, among small ones, which are not; and what needs no network.

Both kinds come from one bank. Small objects are pasted by `SegmentPaste` with `saliency=0`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.augmentation import SegmentPaste
from sos_mm.engine.randomness import RunRandomness
from sos_mm.images import read_image
from sos_mm.metrics import score_image, summarize
from sos_mm.saliency.data.datasets import SaliencyDataset
from sos_mm.saliency.evaluation.baselines import centre_prior
from sos_mm.synthesis import Recipe, load_recipe, synthesize
from sos_mm.synthesis.recipe import read_config

RECIPE = Path(__file__).resolve().parents[2] / "configs/synthesis/sample_study.py"
GROUPS = {"train": 0, "held_out": 1}  # With the seed of each.
DISTRACTORS = dict(
    type="StructuredLayout",
    counts=(2, 6),
    shares=dict(large=0.0, medium=0.0, small=1.0),
    areas=dict(large=(0.1, 0.4), medium=(0.1, 0.4), small=(0.02, 0.06)),
    aspect=(0.8, 1.25),
    crowded="fewer",
)


def recipe(group: str) -> Recipe:
    """Returns the recipe of images with salient objects only."""
    return load_recipe(RECIPE, {"group": group})


def recipes() -> dict[str, dict[str, Any]]:
    """Returns what the images of each group depend on, as `same_recipes` takes it."""
    return {
        group: dict(recipe=read_config(RECIPE, {"group": group}), distractors=DISTRACTORS, seed=seed)
        for group, seed in GROUPS.items()
    }


def distractor_paste(group: str, saliency: float = 0.0) -> SegmentPaste:
    """Returns a transform that pastes small objects of one group; the objects of an image do not
    depend on the value.
    """
    bank = dict(type="sample", group=group)
    paste = SegmentPaste(bank, prob=1.0, layout=DISTRACTORS, effects=(), saliency=saliency)
    paste.draws = RunRandomness(GROUPS[group])
    return paste


def compose_data(folder: Path, group: str, number: int) -> None:
    """Writes the data of one group of the bundled sample, unless it is there.

    Args:
        folder: Gets `images`, `masks`, and `pasted` with masks of every object, salient or not.
        group: 'train' or 'held_out': they share neither objects nor backgrounds.
        number: Images.
    """
    if (folder / "done").exists():
        return
    plain = folder / "without_distractors"
    synthesize(recipe(group), plain, number, seed=GROUPS[group])
    paste_among(plain, folder, {"masks": distractor_paste(group), "pasted": distractor_paste(group, 1.0)})


def paste_among(plain: Path, folder: Path, pastes: Mapping[str, SegmentPaste]) -> None:
    """Writes saliency data with objects pasted among those that are there.

    Args:
        plain: The data without them.
        folder: Gets `images`, a folder of masks for each paste, and the file `done`.
        pastes: The transforms, which must paste the same objects, by the name of their folder.
    """
    pipeline = [dict(type="LoadSaliencyImage"), dict(type="LoadSaliencyMask")]
    for kind in ("images", *pastes):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for results in SaliencyDataset(str(plain), pipeline=pipeline):
        name = f"{Path(results['img_path']).stem}.png"
        for kind, paste in pastes.items():
            pasted = paste(results)
            cv2.imwrite(str(folder / kind / name), (255 * pasted["gt_saliency"]).astype(np.uint8))
        cv2.imwrite(str(folder / "images" / name), pasted["img"])
    (folder / "done").touch()


def read_all(folder: Path) -> np.ndarray:
    """Reads all PNG files of a folder, (N, H, W, 3) uint8 RGB."""
    return np.stack([read_image(path, channels=3) for path in sorted(folder.glob("*.png"))])


def reference_scores(data: Path) -> dict[str, dict[str, float]]:
    """Computes the scores of references without a network: centre, saliency by colour, and every pasted object."""
    images, masks = (read_all(data / "held_out" / kind) for kind in ("images", "masks"))
    masks = masks[..., 0]
    centre = centre_prior(*masks.shape[1:])[0].numpy()
    shares = colour_shares(*(read_all(data / "train" / kind) for kind in ("images", "masks")))
    maps = {
        "centre prior": [centre] * len(masks),
        "colour alone": shares[binned(images)],
        "every object, distractors too": read_all(data / "held_out/pasted")[..., 0] / 255,
    }
    return {
        name: summarize([score_image(np.asarray(a, np.float32), b) for a, b in zip(found, masks, strict=True)])
        for name, found in maps.items()
    }


def binned(images: np.ndarray, levels: int = 16) -> np.ndarray:
    """Quantises each pixel's colour to one of ``levels`` cubed bins."""
    red, green, blue = np.moveaxis(images.astype(np.int64) * levels // 256, -1, 0)
    return (red * levels + green) * levels + blue


def colour_shares(images: np.ndarray, masks: np.ndarray, levels: int = 16) -> np.ndarray:
    """Computes the share of salient pixels of each colour bin, (levels^3,); 0.5 for bins without pixels."""
    colours = binned(images, levels).ravel()
    salient = np.bincount(colours, masks[..., 0].ravel() > 128, levels**3)
    return (salient + 0.5) / (np.bincount(colours, minlength=levels**3) + 1)
