"""The occlusion rule: which boxes may be added in front of others so that none is occluded too far."""

from collections.abc import Callable

import numpy as np

from sos_mm.compiled import loops
from sos_mm.composition.layouts.borders import in_corner, moved_to_borders


class TakenBoxes:
    """The boxes taken so far, with an upper bound of the occluded area of each."""

    def __init__(self, number: int, min_visible: float, min_mean_visible: float):
        self.boxes = np.empty((number, 4), np.int64)
        self.areas = np.empty(number)
        self.hidden = np.zeros(number)
        self.number = 0
        self.min_visible, self.min_mean_visible = min_visible, min_mean_visible

    def add_drawn(
        self,
        draw: Callable[[], np.ndarray],
        batches: int,
        size: np.ndarray,
        sides: int,
        canvas: tuple[int, int],
    ) -> np.ndarray | None:
        """Draws boxes of one size for an object until one keeps the rules, and adds it.

        Args:
            draw: Draws (N, 4) int64 boxes.
            batches: How often at most; once where the object can be in one position alone.
            size: Height and width of the object, which is fitted into its box.
            sides: Its `Sides`; boxes are moved to these borders.
            canvas: Height and width in pixels.

        Returns:
            The box, (4,) int64; None if none was found.
        """
        for _ in range(1 if in_corner(sides) else batches):
            boxes = moved_to_borders(draw(), size, sides, canvas)
            chosen = self.add_first(boxes)
            if chosen is not None:
                return boxes[chosen]
        return None

    def add_first(self, candidates: np.ndarray) -> int | None:
        """Adds the first of (N, 4) boxes that keeps the rules, in front of all others; returns its index, or None."""
        fast = loops("sos_mm.composition.layouts.box_loops")
        # Compiled loops check no bounds.
        if fast and self.number < len(self.boxes) and self.number <= fast.MOST_BOXES:
            taken = self.boxes, self.areas, self.hidden, self.number
            found = fast.add_first(*taken, candidates, float(self.min_visible), float(self.min_mean_visible))
            self.number += found >= 0
            return found if found >= 0 else None
        boxes = self.boxes[: self.number]
        # Width and height separately: numpy is slow over a last axis of two.
        wide, high = (
            np.minimum(candidates[:, axis + 2, None], boxes[:, axis + 2])
            - np.maximum(candidates[:, axis, None], boxes[:, axis])
            for axis in (0, 1)
        )
        hidden = self.hidden[: self.number] + np.maximum(wide, 0) * np.maximum(high, 0)
        visible = np.maximum(1 - hidden / self.areas[: self.number], 0)
        mean = (visible.sum(axis=1) + 1) / (self.number + 1)
        good = (visible >= self.min_visible).all(axis=1) & (mean >= self.min_mean_visible)
        if not good.any():
            return None
        chosen = int(good.argmax())
        self.hidden[: self.number] = hidden[chosen]
        self.boxes[self.number] = candidates[chosen]
        self.areas[self.number] = (candidates[chosen, 2:] - candidates[chosen, :2]).prod()
        self.number += 1
        return chosen
