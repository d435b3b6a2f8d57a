"""Metrics as pure functions of numpy arrays; their mmengine faces live beside the models."""

from sos_mm.metrics.saliency import (
    SaliencyScores,
    mean_absolute_error,
    mean_scores,
    prepare,
    resize_prediction,
    s_measure,
    saliency_scores,
)

__all__ = [
    "SaliencyScores",
    "mean_absolute_error",
    "mean_scores",
    "prepare",
    "resize_prediction",
    "s_measure",
    "saliency_scores",
]
