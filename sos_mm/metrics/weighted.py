"""Weighted F-measure: errors count less beside the object's edge than far from it.

Margolin et al., "How to Evaluate Foreground Maps?", CVPR 2014.
"""

import numpy as np

from sos_mm.metrics.pairs import EPS, SaliencyPair

# The Gaussian that spreads errors within the object: 7x7 pixels, sigma 5.
_REACH = 3
_KERNEL = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / 50)
_KERNEL /= _KERNEL.sum()
# The error of a pixel outside weighs 1 at the edge and tends to 2, half of the way in 5 pixels.
_DECAY = np.log(0.5) / 5

# From a pixel within the Gaussian's reach to all pixels that may be the nearest salient one, the nearest first. Of
# equally near ones it is the leftmost, then the topmost, as in scipy's distance transform and so in PySODMetrics.
_FURTHEST = 2 * _REACH**2
_MARGIN = int(_FURTHEST**0.5)
_NEAREST_FIRST = sorted(
    (dy * dy + dx * dx, dx, dy)
    for dy in range(-_MARGIN, _MARGIN + 1)
    for dx in range(-_MARGIN, _MARGIN + 1)
    if 0 < dy * dy + dx * dx <= _FURTHEST
)


def weighted_f_measure(pair: SaliencyPair, beta_squared: float = 1.0) -> float:
    """Returns weighted F-measure; 1 is best, 0 is worst, and what a mask without salient pixels gets.

    Args:
        pair: The map and its mask.
        beta_squared: Weight of precision against recall.
    """
    import cv2

    if pair.salient == 0:
        return 0.0
    outside = ~pair.gt
    error = np.abs(pair.pred - pair.gt)
    distance = cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[outside]
    # It comes in 32 bits, whose last hangs on where in memory the map lies. Its square is an integer.
    weights = 2 - np.exp(_DECAY * np.sqrt(np.rint(np.square(distance, dtype=np.float64))))
    false = float((error[outside] * weights).sum())
    missed = _missed(error, pair.gt)
    true = pair.salient - missed
    recall, precision = 1 - missed / pair.salient, true / (true + false + EPS)
    return (1 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPS)


def _missed(error: np.ndarray, gt: np.ndarray) -> float:
    """Sum of the errors on the object, each replaced by the Gaussian mean about it where that is less."""
    import cv2

    column, row, width, height = cv2.boundingRect(gt.view(np.uint8))
    # What is further from the object than the Gaussian reaches has no say.
    rows, columns = (slice(max(at - _REACH, 0), at + size + _REACH) for at, size in ((row, height), (column, width)))
    error, gt = error[rows, columns], gt[rows, columns]
    smooth = cv2.sepFilter2D(_spread(error, gt), cv2.CV_64F, _KERNEL, _KERNEL, borderType=cv2.BORDER_CONSTANT)
    return float(np.minimum(error, smooth)[gt].sum())


def _spread(error: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Returns the errors, those outside the object within the Gaussian's reach replaced by the
    nearest salient pixel's.
    """
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
