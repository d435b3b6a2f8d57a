"""A small data set in every format, with what makes formats stumble: rings, parts, odd words, ignored regions."""

import json
from pathlib import Path

import cv2
import numpy as np

from sos_mm.composition.scene import Scene
from sos_mm.synthesis import Recipe, SceneMaker, synthesize
from tests.conftest import write_rgba

SEED = 7
# Category -> phrases of its segments: substrings of each other, stops, letters of many scripts, none.
WORDS = {
    "apple": ["a red apple", "a red apple."],
    "red apple": ["apple", ""],
    "Käse_№5": ["ein Stück Käse, ca. 3.5 kg", "Mr. İnce's  cheese"],
    "bat_(animal)": ["", "a fruit bat 🦇 at rest"],
    "ring": ["a ring", "a ring"],
}
VOCABULARY = {"ring": 90, "red_apple": 2, "apple": 5, "Käse №5": 300, "bat (animal)": 7, "unseen thing": 12}


def _draw(rng: np.random.Generator, category: str) -> np.ndarray:
    height, width = rng.integers(40, 90, 2).tolist()
    alpha = np.zeros((height, width), np.uint8)
    center, axes = (width // 2, height // 2), (width // 2 - 3, height // 2 - 3)
    cv2.ellipse(alpha, center, axes, 0, 0, 360, 255, -1)
    if category == "ring":
        cv2.ellipse(alpha, center, (axes[0] // 2, axes[1] // 2), 0, 0, 360, 0, -1)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 0)
    color = rng.integers(0, 256, 3) + rng.integers(-20, 21, (height, width, 3))
    return np.dstack([np.clip(color, 0, 255).astype(np.uint8), alpha])


def recipe_dict(folder: Path, **changes) -> dict:
    """A recipe over a bank that is made in the folder."""
    rng, words = np.random.default_rng(1), {}
    for category, phrases in WORDS.items():
        for index, phrase in enumerate(phrases):
            write_rgba(folder / "segments" / category / str(index) / "0.png", _draw(rng, category))
            words[f"{category}_{index}"] = {"description": "Ein Ding.", "short_phrase": phrase, "features": ["ein"]}
    (folder / "metadata.json").write_text(json.dumps(words), encoding="utf-8")
    return {
        "canvas": (120, 150),
        "segments": {
            "type": "release",
            "root": str(folder / "segments"),
            "metadata": str(folder / "metadata.json"),
        },
        "backgrounds": {"type": "gradient"},
        "layout": {
            "type": "StructuredLayout",
            "counts": (4, 9),
            "shares": {"large": 0.5, "medium": 0.5, "small": 0.0},
            "areas": {"large": (0.1, 0.3), "medium": (0.02, 0.1), "small": (0.01, 0.02)},
            "min_visible": 0.0,
            "min_mean_visible": 0.0,
            "crowded": "fewer",
        },
        "min_visible_share": 0.4,
        "keep_ignored": True,
        "vocabulary": VOCABULARY,
        "formats": ["coco", "lvis", "objects", "odvg", {"type": "panoptic", "background": "Wand"}, "saliency", "yolo"],
        **changes,
    }


class Composed:
    """A data set on disk, and the scenes that it should hold."""

    def __init__(self, folder: Path, num: int = 12, **changes):
        self.recipe, self.out = Recipe.from_dict(recipe_dict(folder, **changes)), folder / "out"
        synthesize(self.recipe, self.out, num, seed=SEED, shard_size=5, progress=False)
        maker = SceneMaker(self.recipe, SEED)
        self.scenes = [maker.make(index) for index in range(num)]

    def path(self, name: str) -> str:
        """Path of one of its files."""
        return str(self.out / name)

    def json(self, name: str):
        """Content of one of its JSON files."""
        return json.loads((self.out / name).read_text(encoding="utf-8"))

    def lines(self, name: str) -> list:
        """Content of one of its files of JSON lines."""
        return [json.loads(line) for line in (self.out / name).read_text(encoding="utf-8").splitlines()]


def category_id(name: str) -> int:
    """The id of a segment's category."""
    return {key.lower().replace("_", " "): id for key, id in VOCABULARY.items()}[name.lower().replace("_", " ")]


def tight_box(mask: np.ndarray) -> list[int]:
    """Half-open xyxy box of a mask, found the plain way."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def xyxy(box: list[int]) -> list[int]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def check_object(scene: Scene, index: int, mask: np.ndarray, box: list[int], area: int) -> None:
    """A modal mask that was read, with its half-open xyxy box and its area."""
    truth = scene.modal_mask(index)
    np.testing.assert_array_equal(mask.astype(bool), truth)
    assert box == tight_box(truth)
    assert area == truth.sum()
