"""Matches detections of an image to its labelled objects, as COCO's evaluation does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

# COCO's evaluation accepts an overlap this much below the limit, for rounding errors.
_ROUNDING = 1e-10


def overlaps(detections: Sequence[Any], truths: Sequence[Any], crowds: Sequence[bool]) -> np.ndarray:
    """Computes the overlap of each detection with each labelled object.

    Args:
        detections: D xywh boxes, or D masks as compressed run lengths.
        truths: T of the same kind.
        crowds: Whether each labelled object is a crowd.

    Returns:
        (D, T) float64: intersection over union; of a crowd, intersection over the detection's area.
    """
    if not len(detections) or not len(truths):
        return np.zeros((len(detections), len(truths)))
    return np.asarray(mask_tools.iou(list(detections), list(truths), [int(crowd) for crowd in crowds]))


def match(overlap: np.ndarray, crowds: np.ndarray, least: float) -> np.ndarray:
    """Matches the detections of one category in one image to its labelled objects, greedily by score.

    Each detection in turn takes the free object that it overlaps most, if by at least ``least``; only if there is none
    a crowd, which stays free.

    Args:
        overlap: (D, T) float64 from `overlaps`, rows in descending order of score.
        crowds: (T,) bool.
        least: Least overlap, in [0, 1].

    Returns:
        (D,) int64 index of each detection's object; -1 for none.
    """
    matched = np.full(len(overlap), -1, np.int64)
    free = np.ones(len(crowds), bool)
    limit = min(least, 1 - _ROUNDING)
    for row, values in enumerate(overlap):
        for allowed in (free & ~crowds, crowds):
            candidates = np.flatnonzero(allowed & (values >= limit))
            if len(candidates):
                # The last of several equal ones, as in COCO's evaluation.
                best = candidates[len(candidates) - 1 - int(values[candidates][::-1].argmax())]
                matched[row] = best
                free[best] = False
                break
    return matched
