"""The assignment of boxes to segments that keeps their enlargement small."""

import numpy as np

from sos_mm.segments.enlargement import enlargements


def assign_boxes(rng: np.random.Generator, boxes: np.ndarray, sizes: np.ndarray, limit: float) -> np.ndarray:
    """Assigns to each box a segment that can fill it, as far as there are such segments.

    Boxes choose in turn, the largest first, from the remaining segments in random order: the first one that is not
    enlarged beyond the limit, or else the one that is enlarged least. If every segment can fill every box, the
    assignment is uniform over all permutations.

    Args:
        rng: Source of the random order.
        boxes: (M, 2) heights and widths in pixels, M <= N.
        sizes: (N, 2) heights and widths of segments.
        limit: Largest enlargement.

    Returns:
        (M,) int64, the index of each box's segment, all different.
    """
    left = rng.permutation(len(sizes))
    factors = enlargements(boxes[:, None], sizes[None])
    if factors.max(initial=0) <= limit:
        return left[: len(boxes)]
    # Lists: most images have few objects, and small arrays are slow to create.
    chosen, remaining = np.empty(len(boxes), np.int64), left.tolist()
    for box in np.argsort(-boxes.prod(axis=1), kind="stable").tolist():
        of_segment = factors[box].tolist()
        fits = (segment for segment in remaining if of_segment[segment] <= limit)
        segment = next(fits, -1)
        if segment < 0:
            segment = min(remaining, key=of_segment.__getitem__)
        chosen[box] = segment
        remaining.remove(segment)
    return chosen
