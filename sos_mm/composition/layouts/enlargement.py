"""Which segment gets which box so that none is enlarged further than need be."""

import numpy as np

from sos_mm.segments.enlargement import enlargements


def assign_boxes(rng: np.random.Generator, boxes: np.ndarray, sizes: np.ndarray, limit: float) -> np.ndarray:
    """Gives each segment a box that it can fill, as far as there are such segments.

    Boxes choose in turn, from the largest, among the segments that are left, in random order: the first that is not
    enlarged further than the limit, or else the one that is enlarged least. Where every segment can fill every box the
    assignment is uniform over all of them.

    Args:
        rng: Where the random order comes from.
        boxes: (M, 2) heights and widths in pixels, M <= N.
        sizes: (N, 2) heights and widths of segments.
        limit: Largest enlargement.

    Returns:
        (M,) int64, the segment of each box, all different.
    """
    left = rng.permutation(len(sizes))
    factors = enlargements(boxes[:, None], sizes[None])
    if factors.max(initial=0) <= limit:
        return left[: len(boxes)]
    chosen = np.empty(len(boxes), np.int64)
    for box in np.argsort(-boxes.prod(axis=1), kind="stable"):
        fits = factors[box, left] <= limit
        place = int(fits.argmax() if fits.any() else factors[box, left].argmin())
        chosen[box] = left[place]
        left = np.delete(left, place)
    return chosen
