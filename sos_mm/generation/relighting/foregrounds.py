"""The images that IC-Light starts from: the foreground on grey, the background without objects, gradients of light."""

import cv2
import numpy as np

from sos_mm.composition.effects.blending import solve_membrane

# The grey that the model knows as "nothing is here"; latents of it are those of the value 0.
GREY = 127
# Working sizes are multiples of it: eight pixels a latent, and three halvings in the U-Net.
_STEP = 64
# The background behind objects is filled on a copy of at most so many pixels a side: it is smooth.
_SMALL = 128
# Brightness at the light's side and opposite to it.
_BRIGHT, _DARK = 255, 0


def working_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Computes the size at which an image is relit: multiples of 64, the longer side at most ``max_side``.

    >>> working_size((480, 640), 1024), working_size((1500, 3000), 1024)
    ((512, 640), (512, 1024))
    """
    scale = min(max_side / max(size), 1)
    height, width = (max(_STEP * int(side * scale / _STEP + 0.5), _STEP) for side in size)
    return height, width


def upscaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Computes the size of the second pass from that of the first."""
    height, width = (max(round(side * factor / _STEP) * _STEP, _STEP) for side in size)
    return height, width


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes (H, W, 3) uint8 to a height and width; by area when it becomes smaller, else by Lanczos windows."""
    if image.shape[:2] == tuple(size):
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4)


def on_grey(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Puts the objects of an image on grey.

    Args:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8, joint alpha of the objects.

    Returns:
        (H, W, 3) uint8, 127 where the alpha is 0.
    """
    share = alpha[..., None].astype(np.float32) / 255
    return (GREY + (image.astype(np.float32) - GREY) * share).astype(np.uint8)


def without_objects(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Fills the places of the objects smoothly from the background around them.

    Args:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8, joint alpha of the objects.

    Returns:
        (H, W, 3) uint8; grey if the objects cover everything.
    """
    height, width = alpha.shape
    scale = min(_SMALL / max(height, width), 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    # Only pixels without any object count as background.
    known = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) == 0
    if not known.any():
        return np.full_like(image, GREY)
    filled = cv2.resize(solve_membrane(small, known), (width, height), interpolation=cv2.INTER_LINEAR)
    filled = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    return np.where((alpha == 0)[..., None], image, filled)


def gradient(direction: str, size: tuple[int, int]) -> np.ndarray:
    """Draws the gradient that stands for light from a direction.

    Args:
        direction: 'left', 'right', 'top' or 'bottom', the bright side.
        size: Height and width.

    Returns:
        (H, W, 3) uint8, from 255 at the light to 0 opposite to it.
    """
    height, width = size
    along = width if direction in ("left", "right") else height
    ramp = np.linspace(_BRIGHT, _DARK, along).astype(np.uint8)
    if direction in ("right", "bottom"):
        ramp = np.linspace(_DARK, _BRIGHT, along).astype(np.uint8)
    ramp = ramp[None, :] if direction in ("left", "right") else ramp[:, None]
    return np.ascontiguousarray(np.broadcast_to(ramp[..., None], (height, width, 3)))
