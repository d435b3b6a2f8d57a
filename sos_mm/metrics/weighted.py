"""Weighted F-measure: errors near the object's edge have less weight than errors far from it.

Margolin et al., "How to Evaluate Foreground Maps?", CVPR 2014.
"""

import numpy as np

from sos_mm.metrics.pairs import EPS, SaliencyPair

# The Gaussian that spreads errors within the object: 7x7 pixels, sigma 5.
_REACH = 3
_KERNEL = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / 50)
_KERNEL /= _KERNEL.sum()
# The weight of an error outside the object is 1 at the edge and tends to 2, half of the way at 5 pixels.
_DECAY = np.log(0.5) / 5

# Offsets from a pixel to all pixels within the Gaussian's radius, the nearest first. Of equally near ones the leftmost,
# then the topmost comes first, as in scipy's distance transform and so in PySODMetrics.
_FURTHEST = 2 * _REACH**2
_MARGIN = int(_FURTHEST**0.5)
_NEAREST_FIRST = sorted(
    (dy * dy + dx * dx, dx, dy)
    for dy in range(-_MARGIN, _MARGIN + 1)
    for dx in range(-_MARGIN, _MARGIN + 1)
    if 0 < dy * dy + dx * dx <= _FURTHEST
)


def weighted_f_measure(pair: SaliencyPair, beta_squared: float = 1.0) -> float:
    """Computes the weighted F-measure; 1 is best, 0 is worst. It is 0 for a mask without salient pixels.

    Args:
        pair: The map and its mask.
        beta_squared: Weight of recall relative to precision.
    """
    import cv2

    if pair.salient == 0:
        return 0.0
    outside = ~pair.gt
    error = np.abs(pair.pred - pair.gt)
    distance = cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[outside]
    # OpenCV's distance is float32, whose last bit depends on the memory alignment. Its square is an integer.
    weights = 2 - np.exp(_DECAY * np.sqrt(np.rint(np.square(distance, dtype=np.float64))))
    false = float((error[outside] * weights).sum())
    missed = _missed(error, pair.gt)
    true = pair.salient - missed
    recall, precision = 1 - missed / pair.salient, true / (true + false + EPS)
    return (1 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPS)


def _missed(error: np.ndarray, gt: np.ndarray) -> float:
    """Sums the errors on the object, each replaced by the Gaussian mean around it if that is smaller."""
    import cv2

    column, row, width, height = cv2.boundingRect(gt.view(np.uint8))
    # Pixels further from the object than the Gaussian's radius have no influence.
    rows, columns = (slice(max(at - _REACH, 0), at + size + _REACH) for at, size in ((row, height), (column, width)))
    error, gt = error[rows, columns], gt[rows, columns]
    smooth = cv2.sepFilter2D(_spread(error, gt), cv2.CV_64F, _KERNEL, _KERNEL, borderType=cv2.BORDER_CONSTANT)
    return float(np.minimum(error, smooth)[gt].sum())


def _spread(error: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Replaces errors outside the object, within the Gaussian's radius, by those of the nearest salient pixel."""
    import cv2

    near = cv2.dilate(gt.view(np.uint8), np.ones((2 * _REACH + 1,) * 2, np.uint8)).view(bool) & ~gt
    gt_padded = np.pad(gt, _MARGIN)
    spread_padded = np.pad(error, _MARGIN)
    stride = gt_padded.shape[1]
    salient, spread = gt_padded.ravel(), spread_padded.ravel()
    pending = np.flatnonzero(np.pad(near, _MARGIN))
    for _, dx, dy in _NEAREST_FIRST:
        if not pending.size:
            break
        source = pending + (dy * stride + dx)
        found = salient[source]
        spread[pending[found]] = spread[source[found]]
        pending = pending[~found]
    return spread_padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
