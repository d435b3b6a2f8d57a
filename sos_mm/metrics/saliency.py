"""Metrics of salient object detection, with the conventions of PySODMetrics, whose figures papers report.

Each metric is a function of one prepared pair: ``pred`` (H, W) float64 in [0, 1] and ``gt`` (H, W) bool, as
:func:`prepare` makes them. :func:`saliency_scores` computes all of them for one image, :func:`mean_scores`
averages over images, and :class:`SaliencyScores` is the two in a loop.

Example:
    >>> target = np.zeros((4, 4), np.uint8)
    >>> target[1:3, 1:3] = 255
    >>> scores = SaliencyScores()
    >>> scores.update(target, target)["MAE"]
    0.0
    >>> scores.update(255 - target, target)["MAE"]
    1.0
    >>> scores.compute()["MAE"]
    0.5
"""

from collections.abc import Sequence
from math import fsum

import numpy as np

# MATLAB's eps, which the published implementations add to denominators.
_EPS = np.spacing(1.0)


def prepare(
    prediction: np.ndarray, target: np.ndarray, *, round_to_uint8: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Brings a saliency map and its mask into the form that the metrics take.

    A map of another size is resized to the mask's (:func:`resize_prediction`), and then stretched so that its
    smallest value becomes 0 and its largest 1, unless it is constant.

    Args:
        prediction: Saliency map, (h, w), uint8 or float in [0, 1].
        target: Mask, (H, W), bool or uint8; a uint8 pixel is salient above 128.
        round_to_uint8: Round a float map to 256 levels first. Published figures are computed from maps saved as
            8-bit PNGs; with False the map is used as it is, and a figure must say so.

    Returns:
        ``pred``, (H, W) float64 in [0, 1], and ``gt``, (H, W) bool.

    Raises:
        ValueError: If an input has another shape or type, is empty, or holds values out of range.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    _check_plane("prediction", prediction)
    _check_plane("target", target)
    if target.dtype not in (np.bool_, np.uint8):
        raise ValueError(f"`target` must be bool or uint8, but got {target.dtype}.")
    if prediction.dtype != np.uint8:
        _check_unit_range("prediction", prediction)
        prediction = prediction.astype(np.float64)
    if prediction.shape != target.shape:
        prediction = resize_prediction(prediction, target.shape)
    if round_to_uint8 and prediction.dtype != np.uint8:
        prediction = np.rint(prediction * 255).astype(np.uint8)
    gt = target if target.dtype == np.bool_ else target > 128
    return _stretch(prediction), gt


def resize_prediction(prediction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a saliency map bilinearly, as ``cv2.resize`` does (centres of pixels aligned, no smoothing).

    An 8-bit map stays 8-bit: evaluations of published PNGs resize these, and round there.

    Args:
        prediction: (h, w), uint8, float32 or float64 in [0, 1].
        size: Height and width to resize to.

    Returns:
        (height, width) array of the same dtype.
    """
    import cv2

    height, width = size
    resized = cv2.resize(prediction, (width, height), interpolation=cv2.INTER_LINEAR)
    # The two weights of a float map add up to 1 only within rounding.
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 1)


def mean_absolute_error(pred: np.ndarray, gt: np.ndarray) -> float:
    """Mean absolute error of a prepared pair; 0 is best, 1 is worst.

    Perazzi et al., "Saliency Filters", CVPR 2012: ``sum |S - GT| / (W H)``.

    Args:
        pred: (H, W) float in [0, 1].
        gt: (H, W) bool.

    Raises:
        ValueError: If the pair is not a prepared one.
    """
    _check_prepared(pred, gt)
    error = pred - gt
    return float(np.abs(error, out=error).mean())


def s_measure(pred: np.ndarray, gt: np.ndarray, alpha: float = 0.5) -> float:
    """Structure measure of a prepared pair; 1 is best, 0 is worst.

    Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps", ICCV 2017, section 3.3:
    ``S = alpha * S_o + (1 - alpha) * S_r``, cut off at 0. Of a mask without any salient pixel the score is
    1 minus the map's mean, of a mask of nothing else the map's mean.

    Where the mask's centroid lies in the last row or column, PySODMetrics takes the mean of an empty block and
    answers NaN; here an empty block has weight 0.

    Args:
        pred: (H, W) float in [0, 1].
        gt: (H, W) bool.
        alpha: Weight of the object-aware part, in [0, 1].

    Raises:
        ValueError: If the pair is not a prepared one, or ``alpha`` is out of range.
    """
    _check_prepared(pred, gt)
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must be in [0, 1], but got {alpha}.")
    salient = np.count_nonzero(gt)
    if salient == 0:
        return float(1 - pred.mean())
    if salient == gt.size:
        return float(pred.mean())
    score = alpha * _object_similarity(pred, gt) + (1 - alpha) * _region_similarity(pred, gt)
    return max(0.0, float(score))


def saliency_scores(prediction: np.ndarray, target: np.ndarray, *, round_to_uint8: bool = True) -> dict[str, float]:
    """All metrics of one image: ``MAE`` and ``Smeasure``.

    Args and errors are those of :func:`prepare`.
    """
    pred, gt = prepare(prediction, target, round_to_uint8=round_to_uint8)
    return {"MAE": mean_absolute_error(pred, gt), "Smeasure": s_measure(pred, gt)}


def mean_scores(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Averages the scores of images; the sum is exact, so their order does not matter.

    Raises:
        ValueError: If there are no images.
    """
    if not scores:
        raise ValueError("`scores` must be those of at least one image, but got none.")
    return {name: fsum(score[name] for score in scores) / len(scores) for name in scores[0]}


class SaliencyScores:
    """Collects the scores of image after image: ``update`` with each pair, then ``compute`` the means.

    It keeps a few numbers of each image, never its maps.

    Args:
        round_to_uint8: As in :func:`prepare`.
    """

    def __init__(self, *, round_to_uint8: bool = True):
        self._round_to_uint8 = round_to_uint8
        self._scores: list[dict[str, float]] = []

    def update(self, prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
        """Adds one image (arguments and errors of :func:`prepare`) and returns its scores."""
        scores = saliency_scores(prediction, target, round_to_uint8=self._round_to_uint8)
        self._scores.append(scores)
        return scores

    def compute(self) -> dict[str, float]:
        """The means over the images so far; ValueError if there were none."""
        return mean_scores(self._scores)


def _stretch(prediction: np.ndarray) -> np.ndarray:
    # The extremes are taken before the division, where 8-bit maps are eight times smaller; same values either way.
    scale = 255 if prediction.dtype == np.uint8 else 1
    low, high = prediction.min() / scale, prediction.max() / scale
    pred = prediction / scale
    if low != high:
        pred -= low
        pred /= high - low
    return pred


def _object_similarity(pred: np.ndarray, gt: np.ndarray) -> float:
    """S_o (section 3.2): foreground and background should each be uniform, and far from the other."""
    share = np.count_nonzero(gt) / gt.size
    return share * _uniformity(pred[gt]) + (1 - share) * _uniformity(1 - pred[~gt])


def _uniformity(values: np.ndarray) -> float:
    """O_FG or O_BG (section 3.2), with lambda 0.5."""
    mean = values.mean()
    centered = values - mean
    deviation = np.sqrt(_inner(centered, centered) / (values.size - 1)) if values.size > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation + _EPS)


def _region_similarity(pred: np.ndarray, gt: np.ndarray) -> float:
    """S_r (section 3.1): the similarity of four blocks that meet at the mask's centroid, weighted by area."""
    row, column = _split_point(gt)
    score = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            block = pred[rows, columns]
            if block.size:
                score += block.size / pred.size * _structural_similarity(block, gt[rows, columns])
    return score


def _split_point(gt: np.ndarray) -> tuple[int, int]:
    """First row and column after the mask's centroid, whose own belong to the blocks before (as MATLAB's 1:x)."""
    salient = np.count_nonzero(gt)
    row = gt.sum(axis=1) @ np.arange(gt.shape[0]) / salient
    column = gt.sum(axis=0) @ np.arange(gt.shape[1]) / salient
    return int(np.round(row)) + 1, int(np.round(column)) + 1


def _structural_similarity(pred: np.ndarray, gt: np.ndarray) -> float:
    """SSIM of one block, without its two constants (section 3.1)."""
    pixels, salient = pred.size, np.count_nonzero(gt)
    # A map that is constant over a constant mask scores 1, but 0 if its computed mean is off by a rounding error.
    # Papers' figures hang on that, so the mean must be numpy's, over this very block.
    mean_pred, mean_gt = pred.mean(), salient / pixels
    centered = pred - mean_pred
    freedom = pixels - 1 + _EPS
    variance_pred = _inner(centered, centered) / freedom
    # Of zeros and ones the variance is known, and the centred map needs no centred mask beside it.
    variance_gt = salient * (pixels - salient) / pixels / freedom
    covariance = _inner(centered, gt) / freedom if 0 < salient < pixels else 0.0
    agreement = 4 * mean_pred * mean_gt * covariance
    spread = (mean_pred**2 + mean_gt**2) * (variance_pred + variance_gt)
    if agreement != 0:
        return agreement / (spread + _EPS)
    return 1.0 if spread == 0 else 0.0


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    # Not `@`: BLAS would start threads for each block, which cost more than they save beside a loader's workers.
    return np.einsum("i,i->", a.ravel(), b.ravel())


def _check_plane(name: str, array: np.ndarray) -> None:
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"`{name}` must be a non-empty array of shape (H, W), but got shape {array.shape}.")


def _check_unit_range(name: str, array: np.ndarray) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"`{name}` must be uint8, or float in [0, 1], but got {array.dtype}.")
    low, high = array.min(), array.max()
    # Written so that NaN fails.
    if not (low >= 0 and high <= 1):
        raise ValueError(f"`{name}` must hold values in [0, 1], but got values from {low} to {high}.")


def _check_prepared(pred: np.ndarray, gt: np.ndarray) -> None:
    _check_plane("pred", pred)
    if gt.dtype != np.bool_:
        raise ValueError(f"`gt` must be bool, but got {gt.dtype}: use `prepare`.")
    if pred.shape != gt.shape:
        raise ValueError(f"`pred` must be of the shape of `gt`, {gt.shape}, but got {pred.shape}: use `prepare`.")
    if not np.issubdtype(pred.dtype, np.floating):
        raise ValueError(f"`pred` must be float in [0, 1], but got {pred.dtype}: use `prepare`.")
    _check_unit_range("pred", pred)
