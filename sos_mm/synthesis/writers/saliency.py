"""Salient object detection: an image and a mask of the same name in two folders."""

import cv2

from sos_mm.checks import check_choice
from sos_mm.composition.scene import Scene

IMAGE_FORMATS = {"jpg": (cv2.IMWRITE_JPEG_QUALITY, 95), "png": (cv2.IMWRITE_PNG_COMPRESSION, 1)}


def saliency_files(scene: Scene, name: str, image_format: str = "jpg") -> dict[str, bytes]:
    """Encodes a scene for salient object detection.

    Args:
        scene: What to encode.
        name: Name of both files, without suffix.
        image_format: 'jpg' (quality 95) or 'png'.

    Returns:
        ``images/NAME.jpg`` (or ``.png``), 8-bit RGB, and ``masks/NAME.png``, 8-bit grey with 255 where any
        object is and 0 elsewhere: contents by path.
    """
    check_choice("image_format", image_format, IMAGE_FORMATS)
    image = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    return {
        f"images/{name}.{image_format}": _encode(f".{image_format}", image, IMAGE_FORMATS[image_format]),
        f"masks/{name}.png": _encode(".png", scene.saliency_mask(), (cv2.IMWRITE_PNG_COMPRESSION, 6)),
    }


def _encode(suffix: str, image, options: tuple[int, int]) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()
