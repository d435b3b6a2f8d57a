"""Metrics, baselines, test-time augmentation, visualization and the report of a saliency model."""
