"""The interface of models that segment the object of an image."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Cutter(Protocol):
    """A model that separates the object of an image from the background."""

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Computes the alpha of the object.

        Args:
            image: (H, W, 3) uint8 RGB, of any size.

        Returns:
            (H, W) uint8: 255 on the object, 0 on the background, between them at soft edges.
        """
