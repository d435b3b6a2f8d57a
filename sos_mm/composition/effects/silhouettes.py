"""Silhouettes of objects, reduced and blurred, in an arithmetic that compiled loops repeat bit by bit.

The arithmetic of OpenCV's blurs of floats differs from version to version and from processor to processor.
"""

from functools import lru_cache

import cv2
import numpy as np

from sos_mm.composition.place import Sprite, reduce_by_area

# Standard deviations are rounded to this part of a pixel, so that few kernels are computed.
_STEPS = 64


@lru_cache(maxsize=1)
def small_alpha(sprite: Sprite, side: int) -> np.ndarray:
    """Reduces a sprite's alpha until its longer side is at most ``side``; returns (h, w) uint8, each at least 2.

    The last result is kept, since several steps ask for the same: do not change it.

    For smooth effects only: of large sprites pixels are subsampled, at least two for each pixel of the result.
    """
    size = sprite.rgba.shape[:2]
    step, scale = max(max(size) // (2 * side), 1), min(side / max(size), 1)
    # Sprites thinner than half a step keep their last row or column.
    alpha = sprite.alpha[min(step // 2, size[0] - 1) :: step, min(step // 2, size[1] - 1) :: step]
    height, width = (max(round(length * scale), 2) for length in size)
    return reduce_by_area(alpha, height, width)


def gaussian_kernel(sigma: float) -> np.ndarray:
    """Returns a Gaussian kernel that reaches four standard deviations, (n,) float32; n is odd. Do not change it."""
    return _kernel(max(round(_STEPS * sigma), 1))


@lru_cache(maxsize=1024)
def _kernel(steps: int) -> np.ndarray:
    sigma = steps / _STEPS
    return cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma, cv2.CV_32F)[:, 0]


def blur(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Blurs (h, w) float32 values by a symmetric kernel, (n,) float32, along both axes; those on the border are
    repeated beyond it.
    """
    return _blur_rows(_blur_rows(values, kernel).T, kernel).T


def _blur_rows(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    reach, width = len(kernel) // 2, values.shape[1]
    line = np.pad(values, ((0, 0), (reach, reach)), mode="edge")
    total = kernel[reach] * values
    for tap, weight in enumerate(kernel[:reach]):
        total += weight * (line[:, tap : tap + width] + line[:, 2 * reach - tap : 2 * reach - tap + width])
    return total
