"""Puts objects that were cut off by the border of their image at the same border of the canvas."""

import numpy as np

from sos_mm.composition.place import fit_boxes
from sos_mm.segments.sides import Sides


def moved_to_borders(
    boxes: np.ndarray, sizes: np.ndarray, sides: np.ndarray | int, canvas: tuple[int, int]
) -> np.ndarray:
    """Moves boxes so that the objects in them touch the borders of the canvas that they were cut off by.

    Without it, a person without legs would stand on air. An object that was cut off on opposite sides goes to the left
    and to the lower one.

    Args:
        boxes: (N, 4) int64 half-open xyxy boxes, at least one pixel wide and high.
        sizes: (N, 2) or (2,) heights and widths of the objects, which are fitted into their boxes.
        sides: `Sides` of each, (N,) or one for all.
        canvas: Height and width in pixels.

    Returns:
        (N, 4) int64 boxes of the same widths and heights.
    """
    if not np.any(sides):
        return boxes
    fitted = fit_boxes(boxes, sizes)
    moves = np.zeros((len(boxes), 2), np.int64)
    # Of opposite sides the later one counts.
    for side, axis, distance in (
        (Sides.RIGHT, 0, canvas[1] - fitted[:, 2]),
        (Sides.LEFT, 0, -fitted[:, 0]),
        (Sides.TOP, 1, -fitted[:, 1]),
        (Sides.BOTTOM, 1, canvas[0] - fitted[:, 3]),
    ):
        moves[:, axis] = np.where(np.asarray(sides) & side, distance, moves[:, axis])
    return boxes + np.tile(moves, 2)


def in_corner(sides: int) -> bool:
    """Returns whether an object with these `Sides` can be in one position alone."""
    return bool(sides & (Sides.LEFT | Sides.RIGHT) and sides & (Sides.TOP | Sides.BOTTOM))


def spanning_scales(sizes: np.ndarray, sides: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Computes the scale at which an object that was cut off on opposite sides spans the canvas between them.

    It is larger by a pixel, which rounding may take away again.

    Args:
        sizes: (N, 2) heights and widths of the objects.
        sides: (N,) their `Sides`.
        canvas: Height and width in pixels.

    Returns:
        (N,) float64; 0 for objects that were not cut off on opposite sides.
    """
    pairs = np.array([Sides.TOP | Sides.BOTTOM, Sides.LEFT | Sides.RIGHT])
    return np.where((sides[:, None] & pairs) == pairs, (np.array(canvas) + 1) / sizes, 0).max(axis=1, initial=0)
