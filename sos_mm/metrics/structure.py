"""S-measure: structural similarity of a saliency map and its mask, as regions and as objects.

Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps", ICCV 2017. Both parts are computed from number,
mean and spread of the map's values in eight parts of the image: four blocks, each off and on the object.
"""

from typing import NamedTuple

import numpy as np

from sos_mm.checks import check_range
from sos_mm.metrics.pairs import EPS, SaliencyPair


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of the values in each of several parts; arrays of one shape."""

    number: np.ndarray
    mean: np.ndarray
    deviations: np.ndarray

    def merged(self, axis: int | tuple[int, ...]) -> "Moments":
        """Merges the moments of the parts along ``axis`` (Chan et al., 1979)."""
        number = self.number.sum(axis=axis, keepdims=True)
        mean = (self.number * self.mean).sum(axis=axis, keepdims=True) / np.maximum(number, 1)
        between = self.number * (self.mean - mean) ** 2
        deviations = (self.deviations + between).sum(axis=axis, keepdims=True)
        return Moments(*(np.squeeze(moment, axis) for moment in (number, mean, deviations)))


def s_measure(pair: SaliencyPair, alpha: float = 0.5) -> float:
    """Computes the structure measure; 1 is best, 0 is worst.

    Section 3.3: ``S = alpha * S_o + (1 - alpha) * S_r``, clipped at 0. For a mask without salient pixels the score
    is 1 minus the map's mean; for a mask of salient pixels only, the map's mean.

    If the mask's centroid is in the last row or column, PySODMetrics computes the mean of an empty block and returns
    NaN; here an empty block has weight 0.

    Args:
        pair: The map and its mask.
        alpha: Weight of the object-aware part, in [0, 1].

    Raises:
        ValueError: If ``alpha`` is out of range.
    """
    check_range("alpha", alpha, 0, 1)
    moments = _moments(pair.block_counts, pair.values)
    if pair.salient in (0, pair.gt.size):
        mean = float(moments.merged((0, 1, 2)).mean)
        return mean if pair.salient else 1 - mean
    regions, objects = _region_similarity(pair, moments), _object_similarity(moments.merged((0, 1)))
    return max(0.0, float(alpha * objects + (1 - alpha) * regions))


def _moments(counts: np.ndarray, values: np.ndarray) -> Moments:
    """Computes the moments of values that occur ``counts`` (..., K) times."""
    # Sums rather than matrix products, whose last bit depends on the memory alignment of the arrays.
    number = counts.sum(axis=-1)
    mean = (counts * values).sum(axis=-1) / np.maximum(number, 1)
    deviations = (counts * (values - mean[..., None]) ** 2).sum(axis=-1)
    return Moments(number, mean, deviations)


def _object_similarity(sides: Moments) -> float:
    """Computes S_o (section 3.2): foreground and background should each be uniform, and far from the other."""
    mean = np.array([1 - sides.mean[0], sides.mean[1]])
    deviation = np.sqrt(sides.deviations / np.maximum(sides.number - 1, 1))
    # Section 3.2's O_FG and O_BG, with lambda 0.5.
    uniformity = 2 * mean / (mean * mean + 1 + deviation + EPS)
    return (sides.number * uniformity).sum() / sides.number.sum()


def _region_similarity(pair: SaliencyPair, moments: Moments) -> float:
    """Computes S_r (section 3.1): the similarity of four blocks that meet at the mask's centroid, weighted by area.

    The similarity is SSIM without its two constants. It is undefined if map and mask are both constant. It is then 1,
    but 0 if numpy's mean of the constant has a rounding error: published figures are computed in this way.
    """
    blocks = moments.merged(2)
    background, salient = np.moveaxis(moments.number, 2, 0)
    freedom = np.maximum(blocks.number - 1, 0) + EPS
    mean_gt = salient / np.maximum(blocks.number, 1)
    variance_gt = mean_gt * background / freedom
    covariance = mean_gt * background * (moments.mean[..., 1] - moments.mean[..., 0]) / freedom
    agreement = 4 * blocks.mean * mean_gt * covariance
    spread = (blocks.mean**2 + mean_gt**2) * (blocks.deviations / freedom + variance_gt)
    similarity = agreement / (spread + EPS)
    for block in np.argwhere((blocks.number > 0) & (salient * background == 0)):
        similarity[tuple(block)] = _is_exactly_constant(pair, tuple(block))
    return (blocks.number * similarity).sum() / pair.gt.size


def _is_exactly_constant(pair: SaliencyPair, block: tuple[int, int]) -> bool:
    """Returns whether the map is constant in a block and numpy's mean of the block equals that constant."""
    levels = np.flatnonzero(pair.block_counts[block].any(axis=0))
    if levels.size != 1:
        return False
    value = pair.values[levels[0]]
    if value in (0, 1):
        return True
    parts = (slice(at, None) if after else slice(at) for at, after in zip(pair.split, block, strict=True))
    return bool(np.full(pair.gt.shape, value)[tuple(parts)].mean() == value)
