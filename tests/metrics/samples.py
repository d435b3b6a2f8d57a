"""Saliency maps and masks, and their scores, that the tests of metrics share."""

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sos_mm.metrics import score_image, summarize

levels = st.sampled_from([0, 1, 51, 60, 127, 128, 129, 254, 255]) | st.integers(0, 255)
shapes = array_shapes(min_dims=2, max_dims=2, max_side=24)
maps = arrays(np.uint8, shapes)
pairs = shapes.flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=levels), arrays(np.uint8, shape, elements=st.sampled_from([0, 255]))
    )
)


def our_scores(prediction, target, **options):
    """The scores of a data set of one image."""
    return summarize([score_image(prediction, target, **options)])


def ellipse(rng, height, width):
    """A filled ellipse of any size and place, (height, width) uint8."""
    mask = np.zeros((height, width), np.uint8)
    center = (int(rng.integers(width)), int(rng.integers(height)))
    axes = (int(rng.integers(1, width + 1)) // 2, int(rng.integers(1, height + 1)) // 2)
    cv2.ellipse(mask, center, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    return mask


def one_pixel(height, width, row, column):
    """A mask of a single salient pixel."""
    mask = np.zeros((height, width), np.uint8)
    mask[row, column] = 255
    return mask


def noise(rng, shape):
    """An image of noise, uint8."""
    return rng.integers(0, 256, shape, dtype=np.uint8)


def random_pairs(rng):
    """Ellipses, and the same blurred, with noise."""
    for index in range(60):
        shape = tuple(rng.integers(5, 120, 2))
        target = ellipse(rng, *shape)
        blurred = cv2.GaussianBlur(target, (0, 0), rng.uniform(0.5, 8))
        prediction = np.clip(blurred + rng.normal(0, rng.uniform(0, 60), shape), 0, 255).astype(np.uint8)
        yield f"random {index}", prediction, target
