"""All metrics of salient object detection, with the conventions of PySODMetrics, whose figures papers report.

:func:`score_image` scores one image, :func:`summarize` combines the scores of a data set, and :class:`SaliencyScores`
does both in a loop. For each image a few numbers and a histogram are kept, 2 KB of counts, but not its maps.

The scores, by their usual names; 1 is best, except for MAE:

- ``MAE``, ``Smeasure``, ``wFmeasure`` (weighted F) and ``BIoU`` (boundary IoU): means over images.
- ``adpFm``, ``adpEm``: F- and E-measure at each image's adaptive threshold; means over images.
- ``meanFm``, ``meanEm``: means over images and over the 256 thresholds.
- ``maxFm``, ``maxEm``: the largest value of the curve averaged over images, one threshold for all: the figures that
  papers report.
- ``maxFm_per_image``, ``maxEm_per_image``: means over images of each image's own largest value, which are higher.

Example:
    >>> target = np.zeros((4, 4), np.uint8)
    >>> target[1:3, 1:3] = 255
    >>> scores = SaliencyScores()
    >>> scores.update(target, target).scores["MAE"]
    0.0
    >>> scores.update(255 - target, target).scores["MAE"]
    1.0
    >>> scores.compute()["MAE"]
    0.5
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from sos_mm.metrics.boundary import boundary_iou
from sos_mm.metrics.pairs import SaliencyPair, prepare
from sos_mm.metrics.structure import s_measure
from sos_mm.metrics.thresholds import Curves, adaptive_scores, level_counts, mean_curves, threshold_curves
from sos_mm.metrics.weighted import weighted_f_measure


@dataclass(frozen=True)
class ImageScores:
    """The results of one image.

    Attributes:
        scores: Its scores, by name.
        counts: (2, 256) uint32, from which the curves follow (:func:`~sos_mm.metrics.thresholds.level_counts`).
    """

    scores: dict[str, float]
    counts: np.ndarray


def mean_absolute_error(pair: SaliencyPair) -> float:
    """Computes the mean absolute error; 0 is best, 1 is worst.

    Perazzi et al., "Saliency Filters", CVPR 2012: ``sum |S - GT| / (W H)``.
    """
    off, on = pair.counts
    return float((off * pair.values + on * (1 - pair.values)).sum()) / pair.gt.size


def score_image(
    prediction: np.ndarray,
    target: np.ndarray,
    *,
    round_to_uint8: bool = True,
    weighted: bool = True,
    boundary: bool = False,
) -> ImageScores:
    """Computes all metrics of one image.

    Args:
        prediction: As in :func:`~sos_mm.metrics.pairs.prepare`.
        target: As in `prepare`.
        round_to_uint8: As in `prepare`.
        weighted: Whether to compute the weighted F-measure, which takes most of the time.
        boundary: Whether to compute the boundary IoU.

    Raises:
        ValueError: From :func:`~sos_mm.metrics.pairs.prepare`.
    """
    pair = prepare(prediction, target, round_to_uint8=round_to_uint8)
    scores = {"MAE": mean_absolute_error(pair), "Smeasure": s_measure(pair)}
    if weighted:
        scores["wFmeasure"] = weighted_f_measure(pair)
    if boundary:
        scores["BIoU"] = boundary_iou(pair)
    counts = level_counts(pair)
    curves = threshold_curves(counts)
    for name, adaptive, curve in zip("FE", adaptive_scores(pair), curves[2:], strict=True):
        scores[f"adp{name}m"] = adaptive
        scores[f"mean{name}m"] = float(curve.mean())
        scores[f"max{name}m_per_image"] = float(curve.max())
    return ImageScores(scores, counts)


def score_best(predictions: Sequence[np.ndarray], target: np.ndarray, **options) -> ImageScores:
    """Computes all metrics of that one of several predictions that is nearest to the truth, by its mean absolute error.

    An upper bound, not a score of a model: the truth chooses.

    Args:
        predictions: Each as in `score_image`, at least one; of equally near ones the first counts.
        target: As in `score_image`.
        **options: As in `score_image`.
    """
    rounding = options.get("round_to_uint8", True)
    errors = [mean_absolute_error(prepare(each, target, round_to_uint8=rounding)) for each in predictions]
    return score_image(predictions[errors.index(min(errors))], target, **options)


def summarize(images: Sequence[ImageScores]) -> dict[str, float]:
    """Computes the scores of a data set; sums are exact, so that the order of images does not matter.

    Raises:
        ValueError: If there are no images.
    """
    if not images:
        raise ValueError("`images` must be at least one, but got none.")
    scores = {name: fsum(image.scores[name] for image in images) / len(images) for name in images[0].scores}
    curves = average_curves(images)
    largest = {"maxFm_per_image": curves.f_measure, "maxEm_per_image": curves.e_measure}
    summary = {}
    for name, score in scores.items():
        if name in largest:
            summary[name.removesuffix("_per_image")] = float(largest[name].max())
        summary[name] = score
    return summary


def average_curves(images: Sequence[ImageScores]) -> Curves:
    """Averages precision, recall, F- and E-measure at each threshold over images; raises
    ValueError if there are none.
    """
    return mean_curves([image.counts for image in images])


class SaliencyScores:
    """Accumulates the scores of images: ``update`` with each pair, then ``compute`` the results of all.

    Args:
        options: ``round_to_uint8``, ``weighted`` and ``boundary``, as in :func:`score_image`.
    """

    def __init__(self, **options: bool):
        self._options = options
        self._images: list[ImageScores] = []

    def update(self, prediction: np.ndarray, target: np.ndarray) -> ImageScores:
        """Adds one image (arguments and errors of :func:`score_image`) and returns its results."""
        image = score_image(prediction, target, **self._options)
        self._images.append(image)
        return image

    def compute(self) -> dict[str, float]:
        """Computes the scores of the images so far; raises ValueError if there were none."""
        return summarize(self._images)

    def curves(self) -> Curves:
        """Computes the curves of the images so far; raises ValueError if there were none."""
        return average_curves(self._images)
