"""The rules by which objects of an image stay in a sample after others were pasted in front of them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rules:
    """The visibility below which an occluded object of the image is dropped.

    Attributes:
        min_visible_share: Least visible share of its area before pasting.
        min_area: Least number of its visible pixels.
    """

    min_visible_share: float
    min_area: int

    def keep(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Returns which objects are kept, (N,) bool, given their areas in pixels, (N,), before and after pasting.

        Objects that are not occluded are always kept.
        """
        enough = (after >= self.min_visible_share * before) & (after >= self.min_area)
        return enough | (after == before)
