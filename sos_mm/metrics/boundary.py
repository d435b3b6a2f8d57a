"""Boundary IoU: overlap of saliency map and mask within a strip along their outlines.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021.
"""

import numpy as np

from sos_mm.checks import check_range
from sos_mm.metrics.pairs import SaliencyPair


def boundary_iou(pair: SaliencyPair, width: float = 0.02) -> float:
    """Computes the Boundary IoU of the map, thresholded at 0.5, and the mask; 1 is best, 0 is worst.

    Section 4: the IoU of the two strips, each of the salient pixels within a distance of their own outline. The
    distance is the Chebyshev distance, and the image's border counts as outline, as in the authors' code. If both
    are empty, the score is 1.

    Args:
        pair: The map and its mask.
        width: Distance as a share of the image's diagonal, in [0, 1]; one pixel at least.

    Raises:
        ValueError: If ``width`` is out of range.
    """
    check_range("width", width, 0, 1)
    pixels = max(1, round(width * float(np.hypot(*pair.gt.shape))))
    ours, theirs = (_inner_strip(mask, pixels) for mask in ((pair.values >= 0.5)[pair.levels], pair.gt))
    union = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / union if union else 1.0


def _inner_strip(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Returns the salient pixels within a Chebyshev distance of ``pixels`` of a pixel that is not salient."""
    import cv2

    padded = np.pad(mask, 1).view(np.uint8)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=pixels)[1:-1, 1:-1]
    return mask & (eroded == 0)
