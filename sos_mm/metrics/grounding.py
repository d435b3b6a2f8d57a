"""Metrics of grounding: how well scores tell the object that words mean from others of its category.

Boxes are (N, 4) xyxy arrays, scores (N,). :func:`intra_class_scores` looks at one sample, :func:`mean_intra_class`
averages over samples.

Example:
    >>> boxes, scores = np.array([[0, 0, 4, 4], [6, 0, 10, 4]]), np.array([0.75, 0.5])
    >>> sample = intra_class_scores(boxes, scores, targets=boxes[:1], distractors=boxes[1:])
    >>> sample
    (0.75, 0.5)
    >>> mean_intra_class([sample])["average_gap"]
    25.0
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sos_mm.checks import check_choice, check_range

OVERLAPS = ("most", "any")


def box_ious(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Computes (N, M) float64 IoUs of (N, 4) and (M, 4) half-open xyxy boxes; 0 for empty boxes.

    Raises:
        ValueError: If boxes have another shape or are not finite.
    """
    first, second = _boxes("first", first)[:, None], _boxes("second", second)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    union = _areas(first) + _areas(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def intra_class_scores(
    boxes: ArrayLike,
    scores: ArrayLike,
    targets: ArrayLike,
    distractors: ArrayLike,
    iou_threshold: float = 0.5,
    overlap: str = "most",
) -> tuple[float | None, float | None]:
    """Computes the best score on the target, and the best score on another object of its category.

    A predicted box is assigned to the object that it overlaps most: to the target or to a distractor, never to both. If
    it overlaps both equally, it is assigned to the distractor, so that a box over two objects is not a success. With
    ``overlap`` 'any' it is assigned to both if it overlaps both enough, as in SOS's evaluation.

    Args:
        boxes: (N, 4), predictions.
        scores: (N,), their scores, in [0, 1].
        targets: (T, 4), the object that the expression refers to; several if it refers to several.
        distractors: (D, 4), the other objects of its category in the image.
        iou_threshold: Least IoU of a box with its assigned object.
        overlap: 'most' or 'any'.

    Returns:
        Two scores; None if no predicted box is assigned to the target, or to a distractor.

    Raises:
        ValueError: If a shape or ``overlap`` is wrong, scores are not in [0, 1], or a side has no box.
    """
    check_choice("overlap", overlap, OVERLAPS)
    check_range("iou_threshold", iou_threshold, 0, 1)
    boxes, scores = _boxes("boxes", boxes), np.asarray(scores, np.float64)
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"`scores` must be one for each of {len(boxes)} boxes, but have the shape {scores.shape}.")
    if not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError(f"`scores` must be in [0, 1], but go from {scores.min()} to {scores.max()}.")
    on_target, on_distractor = (
        box_ious(boxes, _present(name, sides)).max(axis=1)
        for name, sides in (("targets", targets), ("distractors", distractors))
    )
    if overlap == "any":
        return _best(scores[on_target >= iou_threshold]), _best(scores[on_distractor >= iou_threshold])
    is_target = on_target > on_distractor
    is_match = np.maximum(on_target, on_distractor) >= iou_threshold
    return _best(scores[is_match & is_target]), _best(scores[is_match & ~is_target])


def mean_intra_class(samples: Sequence[tuple[float | None, float | None]]) -> dict[str, float]:
    """Averages the scores of samples, in percent.

    Args:
        samples: Results of `intra_class_scores`.

    Returns:
        ``average_gap``, the mean of score on the target minus score on the distractor, where a miss counts as
        score 0; ``positive_gap_ratio``, the share of samples with a gap over 0; and ``target_missed``,
        ``distractor_missed`` and ``both_missed``, the shares of samples in which only the target, only the distractor,
        or both have no box.

    Raises:
        ValueError: If there are no samples.
    """
    if not samples:
        raise ValueError("`samples` must hold at least one, but is empty.")
    gaps = np.array([(target or 0.0) - (distractor or 0.0) for target, distractor in samples])
    missed = np.array([(target is None, distractor is None) for target, distractor in samples])
    return {
        "average_gap": 100 * float(gaps.mean()),
        "positive_gap_ratio": 100 * float(np.mean(gaps > 0)),
        "target_missed": 100 * float(np.mean(missed[:, 0] & ~missed[:, 1])),
        "distractor_missed": 100 * float(np.mean(~missed[:, 0] & missed[:, 1])),
        "both_missed": 100 * float(np.mean(missed.all(axis=1))),
    }


def _best(scores: np.ndarray) -> float | None:
    return float(scores.max()) if len(scores) else None


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def _boxes(name: str, boxes: ArrayLike) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"`{name}` must be finite xyxy boxes of shape (N, 4), but have the shape {boxes.shape}.")
    return boxes


def _present(name: str, boxes: ArrayLike) -> np.ndarray:
    boxes = _boxes(name, boxes)
    if not len(boxes):
        raise ValueError(f"`{name}` must hold at least one box, but is empty.")
    return boxes
