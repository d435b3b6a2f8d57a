"""Cutters whose masks are known."""

from dataclasses import dataclass

import numpy as np


@dataclass
class DiscCutter:
    """Cuts a disc out of every image, wherever its object is.

    Args:
        radius: Radius as a share of the image's height.
        right: How far it is moved to the right, in pixels.
    """

    radius: float = 0.3
    right: int = 0

    def cut(self, image: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[: image.shape[0], : image.shape[1]]
        centre = (np.array(image.shape[:2]) - 1) / 2
        distance = np.hypot(y - centre[0], x - centre[1] - self.right)
        return np.clip(255 * (self.radius * image.shape[0] - distance + 0.5), 0, 255).astype(np.uint8)


@dataclass
class BrightCutter:
    """Cuts out what is brighter than a level; images of tests are dark around their objects."""

    level: int = 128

    def cut(self, image: np.ndarray) -> np.ndarray:
        return np.where(image.max(2) >= self.level, 255, 0).astype(np.uint8)
