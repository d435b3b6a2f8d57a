"""F-measure, E-measure, precision and recall: metrics of a saliency map at thresholds.

All of them are computed from two numbers for each threshold, the salient and the other pixels at or above it, and so
from the histograms of 256 levels on and off the object. Only these histograms are kept of an image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sos_mm.metrics.pairs import EPS, SaliencyPair

BETA_SQUARED = 0.3
# Number of images whose curves are computed at once.
_CHUNK = 256


class Curves(NamedTuple):
    """Metrics at the thresholds 0, 1/255, ..., 1, each (..., 256) float64 in [0, 1].

    The E-measure exceeds 1 by the published definition, whose sum over N pixels is divided by N - 1.
    """

    precision: np.ndarray
    recall: np.ndarray
    f_measure: np.ndarray
    e_measure: np.ndarray


def level_counts(pair: SaliencyPair) -> np.ndarray:
    """Counts the pixels off and on the object at each of 256 levels, (2, 256) uint32.

    The levels are those of the stretched map, ``floor(255 * value)``, as in the published implementations.
    """
    levels = (pair.values * 255).astype(np.uint8)
    # The counts are below 2 ** 53, so sums of floats are exact.
    return np.stack([np.bincount(levels, side, minlength=256) for side in pair.counts]).astype(np.uint32)


def threshold_curves(counts: np.ndarray) -> Curves:
    """Computes precision, recall, F- and E-measure of one or more images at each threshold.

    Args:
        counts: (..., 2, 256), from :func:`level_counts`.
    """
    above = counts[..., ::-1].cumsum(axis=-1, dtype=np.float64)[..., ::-1]
    false, true = above[..., 0, :], above[..., 1, :]
    pixels, salient = (above[..., 0, :1] + above[..., 1, :1]), above[..., 1, :1]
    return Curves(
        precision=true / np.maximum(true + false, 1),
        recall=true / np.maximum(salient, 1),
        f_measure=f_measure(true, false, salient),
        e_measure=e_measure(true, false, salient, pixels),
    )


def mean_curves(counts: Sequence[np.ndarray]) -> Curves:
    """Averages the curves over images, given their counts from :func:`level_counts`.

    Raises:
        ValueError: If there are no images.
    """
    if not len(counts):
        raise ValueError("`counts` must be those of at least one image, but got none.")
    chunks = (np.stack(counts[start : start + _CHUNK]) for start in range(0, len(counts), _CHUNK))
    sums = [[curve.sum(axis=0) for curve in threshold_curves(chunk)] for chunk in chunks]
    return Curves(*(sum(parts) / len(counts) for parts in zip(*sums, strict=True)))


def adaptive_scores(pair: SaliencyPair) -> tuple[float, float]:
    """Computes F-measure and E-measure at the adaptive threshold: twice the map's mean, at most 1 (Achanta et al.)."""
    mean = (pair.counts.sum(axis=0) * pair.values).sum() / pair.gt.size
    if np.abs(pair.values - 2 * mean).min() < 1e-9:
        # For a value equal to the threshold rounding decides; published figures are computed with numpy's mean.
        mean = pair.pred.mean()
    above = pair.values >= min(2 * mean, 1)
    false, true = pair.counts[:, above].sum(axis=1).astype(np.float64)
    return (
        float(f_measure(true, false, pair.salient)),
        float(e_measure(true, false, pair.salient, pair.gt.size)),
    )


def f_measure(true: np.ndarray, false: np.ndarray, salient: np.ndarray | int) -> np.ndarray:
    """Computes the F-measure of binary maps, 0 to 1, with ``beta^2 = 0.3``.

    Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009, in numbers of pixels:
    ``(1 + beta^2) TP / (beta^2 (TP + FN) + TP + FP)``; 0 if there is no true positive.

    Args:
        true: Number of true positives, float64; the shapes of all arguments must broadcast.
        false: Number of false positives.
        salient: Number of salient pixels.
    """
    return (1 + BETA_SQUARED) * true / np.maximum(BETA_SQUARED * salient + true + false, EPS)


def e_measure(true: np.ndarray, false: np.ndarray, salient: np.ndarray | int, pixels: np.ndarray | int) -> np.ndarray:
    """Computes the E-measure (enhanced alignment) of binary maps, 0 to about 1.

    Fan et al., "Enhanced-alignment Measure for Binary Foreground Map Evaluation", IJCAI 2018: the mean over pixels of
    ``(1 + 2 a b / (a^2 + b^2))^2 / 4``, where a and b are map and mask minus their means. For a mask without salient
    pixels it is the share of negative pixels, for a mask of salient pixels only the share of positive ones. The sum is
    divided by N - 1 as in the published implementations, except for images of one pixel, where these divide by eps.

    Args:
        true: Number of true positives, float64; the shapes of all arguments must broadcast.
        false: Number of false positives.
        salient: Number of salient pixels.
        pixels: Number of pixels.
    """
    found = true + false
    map_on, mask_on = 1 - found / pixels, 1 - salient / pixels
    parts = [
        (true, map_on, mask_on),
        (false, map_on, mask_on - 1),
        (salient - true, map_on - 1, mask_on),
        (pixels - salient - false, map_on - 1, mask_on - 1),
    ]
    aligned = sum(number * (1 + 2 * a * b / (a * a + b * b + EPS)) ** 2 for number, a, b in parts) / 4
    aligned = np.where(salient == 0, pixels - found, np.where(salient == pixels, found, aligned))
    return aligned / np.maximum(pixels - 1, 1)
