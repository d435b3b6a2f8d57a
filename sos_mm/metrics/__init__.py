"""Metrics as pure functions of numpy arrays; their mmengine classes are beside the models."""

from sos_mm.metrics.boundary import boundary_iou
from sos_mm.metrics.figures import plot_curves
from sos_mm.metrics.pairs import SaliencyPair, prepare, resize_prediction
from sos_mm.metrics.saliency import (
    ImageScores,
    SaliencyScores,
    average_curves,
    mean_absolute_error,
    score_image,
    summarize,
)
from sos_mm.metrics.structure import s_measure
from sos_mm.metrics.thresholds import Curves, adaptive_scores, level_counts, mean_curves, threshold_curves
from sos_mm.metrics.weighted import weighted_f_measure

__all__ = [
    "Curves",
    "ImageScores",
    "SaliencyPair",
    "SaliencyScores",
    "adaptive_scores",
    "average_curves",
    "boundary_iou",
    "level_counts",
    "mean_absolute_error",
    "mean_curves",
    "plot_curves",
    "prepare",
    "resize_prediction",
    "s_measure",
    "score_image",
    "summarize",
    "threshold_curves",
    "weighted_f_measure",
]
