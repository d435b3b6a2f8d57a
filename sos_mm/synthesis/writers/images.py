"""The image file, shared by all formats."""

import cv2
import numpy as np

from sos_mm.checks import check_choice
from sos_mm.composition.scene import Scene

IMAGE_FORMATS = {"jpg": (cv2.IMWRITE_JPEG_QUALITY, 95), "png": (cv2.IMWRITE_PNG_COMPRESSION, 1)}


def encode_image(scene: Scene, image_format: str = "jpg") -> bytes:
    """Encodes the image of a scene.

    Args:
        scene: The scene.
        image_format: 'jpg' (quality 95) or 'png'.

    Returns:
        The content of an 8-bit RGB file; RGBA with straight alpha if the scene has no background.

    Raises:
        ValueError: If there is no such format, or the format is 'jpg' and the scene has no background.
    """
    check_choice("image_format", image_format, IMAGE_FORMATS)
    pixels = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    if scene.alpha is not None:
        if image_format == "jpg":
            raise ValueError("`image_format` must be 'png' where there is no background, but got 'jpg'.")
        pixels = np.dstack([_straight(pixels, scene.alpha), scene.alpha])
    return cv2.imencode(f".{image_format}", pixels, IMAGE_FORMATS[image_format])[1].tobytes()


def _straight(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Converts premultiplied colours to straight ones."""
    divisor = np.maximum(alpha, 1)[..., None]
    return np.minimum((pixels.astype(np.uint16) * 255 + divisor // 2) // divisor, 255).astype(np.uint8)
