"""Weighted F-measure: errors near the object's edge have less weight than errors far from it.

Margolin et al., "How to Evaluate Foreground Maps?", CVPR 2014.
"""

import numpy as np

from sos_mm.compiled import loops
from sos_mm.images import bands
from sos_mm.metrics.pairs import EPS, SaliencyPair, box_of

# The Gaussian that spreads errors within the object: 7x7 pixels, sigma 5.
_REACH = 3
_KERNEL = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / 50)
_KERNEL /= _KERNEL.sum()

# Weights of errors by squared distance from the object, an integer: 1 at the edge, half of the way to 2 at 5 pixels,
# and in 64 bits equal to 2 from `_FAR` pixels on. On the object itself this weight is 0.
_FAR = 270
_WEIGHTS = 2 - np.exp(np.log(0.5) / 5 * np.sqrt(np.arange(_FAR**2 + 1)))
_WEIGHTS[0] = 0

# The nearest salient pixel of a pixel within the Gaussian's radius is at most so many rows and columns from it.
_MARGIN = int((2 * _REACH**2) ** 0.5)
_OFFSETS = range(-_MARGIN, _MARGIN + 1)
# The salient pixels of a column, from `_MARGIN` above a pixel to `_MARGIN` below it, are the bits of a number.
_BITS = 2.0 ** np.arange(len(_OFFSETS))[:, None]


def _nearest_of_column(dx: int, code: int) -> int:
    """Returns the nearest salient pixel of a column as one number, whose order is nearest, leftmost, topmost first.

    Args:
        dx: Offset of the column.
        code: Its salient pixels.
    """
    rows = [dy for bit, dy in enumerate(_OFFSETS) if code >> bit & 1] or [2 * _MARGIN]
    return min((dx**2 + dy**2) << 8 | (dx + _MARGIN) << 4 | (dy + _MARGIN) for dy in rows)


_NEAREST = np.array([[_nearest_of_column(dx, code) for code in range(2 ** len(_OFFSETS))] for dx in _OFFSETS], np.int32)


def weighted_f_measure(pair: SaliencyPair, beta_squared: float = 1.0) -> float:
    """Computes the weighted F-measure; 1 is best, 0 is worst. It is 0 for a mask without salient pixels.

    Args:
        pair: The map and its mask.
        beta_squared: Weight of recall relative to precision.
    """
    if pair.salient == 0:
        return 0.0
    false = _false(pair)
    missed = _missed(pair)
    true = pair.salient - missed
    recall, precision = 1 - missed / pair.salient, true / (true + false + EPS)
    return (1 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPS)


def _false(pair: SaliencyPair) -> float:
    """Sums the weighted errors outside the object, where the error is the map itself."""
    # Neither error nor the nearest salient pixel is outside this box.
    box = box_of((pair.levels >= int(np.searchsorted(pair.values, 0, side="right"))) | pair.gt)
    gt, levels, fast = pair.gt[box], pair.levels[box], loops("sos_mm.metrics.loops")
    distance = fast.column_distances(gt, _FAR) if fast else _distance(~gt)
    total = 0.0
    for rows in bands(gt.shape):
        if fast:
            weighted = fast.weigh(distance[rows], _FAR, levels[rows], pair.values, _WEIGHTS)
        else:
            weighted = _weights_at(distance[rows])
            weighted *= pair.values_of(levels[rows])
        total += weighted.sum()
    return float(total)


def _weights_at(distance: np.ndarray) -> np.ndarray:
    """Returns the weights of errors at distances from `_distance`."""
    # The last bit of OpenCV's float32 distances depends on the memory alignment: squares are rounded.
    squared = np.square(distance)
    return _WEIGHTS.take(np.rint(squared, out=squared).astype(np.intp), mode="clip")


def _distance(outside: np.ndarray) -> np.ndarray:
    """Computes the distance of each pixel from the object, float32, where ``outside`` (H, W) bool is False."""
    import cv2

    # OpenCV's own transform takes a quarter less time than that of Intel's library. The switch is the thread's own.
    was_used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    finally:
        cv2.ipp.setUseIPP(was_used)


def _missed(pair: SaliencyPair) -> float:
    """Sums the errors on the object, each replaced by the Gaussian mean around it if that is smaller."""
    import cv2

    # Pixels further from the object than the Gaussian's radius have no influence.
    box = tuple(slice(max(part.start - _REACH, 0), part.stop + _REACH) for part in pair.box)
    gt = pair.gt[box]
    error = np.abs(pair.pred_in(box) - gt)
    smooth = cv2.sepFilter2D(_spread(error, gt), cv2.CV_64F, _KERNEL, _KERNEL, borderType=cv2.BORDER_CONSTANT)
    np.minimum(error, smooth, out=smooth)
    return float(np.multiply(smooth, gt, out=smooth).sum())


def _spread(error: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Replaces errors outside the object, within the Gaussian's radius, by those of the nearest salient pixel.

    Of equally near ones the leftmost, then the topmost counts, as in scipy's distance transform and so in PySODMetrics.
    """
    import cv2

    fast = loops("sos_mm.metrics.loops")
    if fast:
        return fast.spread(error, gt, _REACH, _MARGIN)
    salient, stride = _padded(gt.view(np.uint8)), gt.shape[1] + 2 * _MARGIN
    near = cv2.dilate(salient, np.ones((2 * _REACH + 1,) * 2, np.uint8)) > salient
    near[:_MARGIN] = near[-_MARGIN:] = near[:, :_MARGIN] = near[:, -_MARGIN:] = False
    codes = cv2.filter2D(salient, cv2.CV_16S, _BITS, borderType=cv2.BORDER_CONSTANT).ravel()
    indices, columns = np.flatnonzero(near), np.arange(len(_OFFSETS))[:, None]
    nearest = _NEAREST.take(codes.take(indices + columns - _MARGIN) + columns * _NEAREST.shape[1]).min(axis=0)
    spread = _padded(error)
    sources = indices + ((nearest >> 4 & 15) - _MARGIN) + ((nearest & 15) - _MARGIN) * stride
    spread.ravel()[indices] = spread.ravel().take(sources)
    return spread[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _padded(image: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.copyMakeBorder(image, *(_MARGIN,) * 4, cv2.BORDER_CONSTANT, value=0)
