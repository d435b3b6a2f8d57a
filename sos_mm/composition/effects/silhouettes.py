"""Reduced silhouettes: Gaussian blurs in an arithmetic that compiled loops repeat bit by bit.

The arithmetic of OpenCV's blurs of floats differs from version to version and from processor to processor.
"""

from functools import lru_cache

import cv2
import numpy as np

# Standard deviations are rounded to this part of a pixel, so that few kernels are computed.
_STEPS = 64


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
