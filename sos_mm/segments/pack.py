"""Reduced copies of segments, packed into one file for uses that need few pixels."""

import cv2
import numpy as np


def reduced(rgba: np.ndarray, side: int) -> np.ndarray | None:
    """Scales an RGBA picture down to ``side`` pixels on its longer side; None if it is no larger.

    Colours are averaged by their alpha, so that what lies under transparent pixels does not darken edges.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        side: Pixels.

    Returns:
        (h, w, 4) uint8, straight alpha.
    """
    height, width = rgba.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return None
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    alpha = rgba[..., 3:].astype(np.float32)
    small = cv2.resize(np.dstack([rgba[..., :3] * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def encode(rgba: np.ndarray) -> bytes:
    """A PNG file of an RGBA picture."""
    return cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
