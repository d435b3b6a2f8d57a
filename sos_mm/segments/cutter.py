"""What segments from photographs need of whatever cuts objects out of them."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Cutter(Protocol):
    """Tells the object of a photograph from its background."""

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The object's alpha.

        Args:
            image: (H, W, 3) uint8 RGB, of any size.

        Returns:
            (H, W) uint8: 255 where the object is, 0 where it is not, in between at soft edges.
        """
