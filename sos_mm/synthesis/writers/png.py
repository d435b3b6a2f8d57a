"""PNG files of masks."""

import cv2
import numpy as np


def encode_png(pixels: np.ndarray) -> bytes:
    """The content of an 8-bit PNG file, of (H, W) grey or (H, W, 3) RGB uint8 pixels."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 6))[1].tobytes()
