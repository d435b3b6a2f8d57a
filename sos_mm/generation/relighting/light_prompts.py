"""Illumination prompts: read from a file, and drawn for each image with a light direction and a seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.checks import check_choice, check_range

DEFAULT_PROMPTS = Path(__file__).with_name("light_prompts.txt")
DIRECTIONS = ("none", "left", "right", "top", "bottom")
# As in the released code of SOS: half of the images without a direction, an eighth with each of the four.
DEFAULT_DIRECTIONS = {"none": 4.0, "left": 1.0, "right": 1.0, "top": 1.0, "bottom": 1.0}
# Integers up to this one are exact in every reader of JSON.
_SEEDS = 2**53


def read_light_prompts(path: str | Path | None = None) -> tuple[str, ...]:
    """Reads illumination prompts, one a line; blank lines and lines that begin with ``#`` are skipped.

    Args:
        path: A text file in UTF-8; None for the prompts of this package.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, or holds no prompt.
    """
    path = DEFAULT_PROMPTS if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`prompts` must be a text file with one prompt a line, but {path} does not exist.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"`prompts` must be a text file in UTF-8, but {path} is not ({error.reason}).") from None
    prompts = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not prompts:
        raise ValueError(f"`prompts` must hold one prompt a line, but {path} holds none: leave it out for our own.")
    return prompts


def check_directions(weights: Mapping[str, float]) -> None:
    """Checks weights of light directions.

    Raises:
        ValueError: If a name is not in `DIRECTIONS`, or a weight is negative, or all are 0.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"`directions` must be weights by direction, but got {weights!r}.")
    for name, weight in weights.items():
        check_choice("directions", name, DIRECTIONS)
        check_range(f"directions[{name!r}]", weight, 0, 1e6)
    if not sum(weights.values()):
        raise ValueError(f"`directions` must have a weight over 0, but got {dict(weights)}.")


def draw_light(rng: np.random.Generator, prompts: Sequence[str], directions: Mapping[str, float]) -> dict[str, Any]:
    """Draws the prompt, the light direction and the seed of the noise of one image.

    Args:
        rng: Source of the draws.
        prompts: The prompts, drawn uniformly.
        directions: Weights by direction; see `check_directions`.

    Returns:
        ``prompt``, ``direction`` and ``seed``, an integer in [0, 2**53).
    """
    prompt = prompts[int(rng.integers(len(prompts)))]
    weights = np.array([directions.get(name, 0.0) for name in DIRECTIONS])
    direction = DIRECTIONS[int(rng.choice(len(DIRECTIONS), p=weights / weights.sum()))]
    return {"prompt": prompt, "direction": direction, "seed": int(rng.integers(_SEEDS))}
