"""The source of every random draw: a generator keyed by (run seed; purpose, image, visit).

The same key gives the same numbers on any machine, with any number of workers and after any restart, because no draw
depends on previous draws.
"""

import hashlib
from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purposes of generators. Their numbers affect the bytes of every data set: add, never change or reuse."""

    LAYOUT = 1
    SEGMENTS = 2
    BACKGROUND = 3
    PLACEMENT = 4
    LIGHT = 5
    TRAINING_NOISE = 16
    TRAINING_TIMESTEP = 17
    TRAINING_AUGMENTATION = 18
    SAMPLING_NOISE = 19
    PASTE = 20
    SOURCE_ORDER = 21
    SUBSET = 22
    NEGATIVES = 32
    CAPTION = 33
    REPORT = 64
    REFERRING = 65
    REFERRING_CAPTION = 66
    DRAWING_PROMPT = 80
    DRAWING_NOISE = 81
    RELIGHTING = 96


def generator(run_seed: int, purpose: Purpose, image_index: int, visit: int = 0) -> np.random.Generator:
    """Returns the generator of one purpose for one image.

    Args:
        run_seed: The seed of the run, at least 0.
        purpose: Purpose of the draws; different purposes give independent streams.
        image_index: Index of the image in the run, at least 0.
        visit: Number of the pass over that image: 0 for offline synthesis, the epoch in training, the ensemble
            member in inference.

    Raises:
        ValueError: If a number is negative.

    >>> [int(generator(0, Purpose.LAYOUT, 3).integers(100)) for _ in range(2)]
    [14, 14]
    """
    key = (int(purpose), int(image_index), int(visit))
    if run_seed < 0:
        raise ValueError(f"`seed` must be at least 0, but got {run_seed}.")
    if min(key) < 0:
        raise ValueError(f"`image_index` and `visit` must be at least 0, but got {image_index} and {visit}.")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy=run_seed, spawn_key=key)))


def image_id(name: str) -> int:
    """Hashes an image's name to an integer in [0, 2**32), independent of its position in a data set."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
