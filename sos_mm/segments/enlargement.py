"""How far a box enlarges the segment that is scaled to fit into it, its aspect kept."""

from collections.abc import Sequence

import numpy as np


def enlargement(box: Sequence[float], size: Sequence[float]) -> float:
    """Computes the factor by which a segment is scaled to fit into a box.

    As `enlargements`, of one pair and without the cost of arrays.

    Args:
        box: Height and width of the box in pixels.
        size: Height and width of the segment in pixels.

    >>> enlargement((50, 100), (25, 20))
    2.0
    """
    return min(box[0] / size[0], box[1] / size[1])


def enlargements(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Computes the factors by which segments are scaled to fit into boxes.

    Args:
        boxes: (..., 2) heights and widths of boxes in pixels.
        sizes: (..., 2) heights and widths of segments in pixels, broadcast against ``boxes``.

    Returns:
        (...) float64; above 1 where a segment is enlarged.

    >>> enlargements(np.array([[50, 100], [0, 0]]), np.array([25, 20])).tolist()
    [2.0, 0.0]
    """
    return (np.asarray(boxes) / np.asarray(sizes)).min(axis=-1)
