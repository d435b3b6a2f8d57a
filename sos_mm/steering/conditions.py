"""The conditions under which an object is seen: its size, the crowding of its image, and its visible share."""

from collections.abc import Mapping, Sequence

import numpy as np

from sos_mm.formats.coco import SIZE_LIMITS

SIZES = ("large", "medium", "small")
# Least numbers of objects in the image of each class of crowding.
CROWDING = {"1 object": 1, "2 to 3 objects": 2, "4 to 7 objects": 4, "8 to 15 objects": 8, "16 objects or more": 16}
# Least visible share of each class.
VISIBILITY = {"fully visible": 0.995, "visible by 80 %": 0.8, "visible by 50 %": 0.5, "visible by less": 0.0}


def size_class(area: float, image_area: float, areas: Mapping[str, Sequence[float]] | None) -> str:
    """Returns the size class of an object.

    Args:
        area: Area of its box in square pixels.
        image_area: Area of its image in square pixels.
        areas: Range of the area of each class, as a fraction of the image, as `StructuredLayout` has it; None for
            COCO's classes, by square pixels.

    Returns:
        'large', 'medium' or 'small': the largest class whose least area the object reaches.
    """
    if areas is None:
        value, (medium, large) = area, map(float, SIZE_LIMITS)
    else:
        value, medium, large = area / image_area, areas["medium"][0], areas["large"][0]
    return "large" if value >= large else "medium" if value >= medium else "small"


def crowding_class(number: int) -> str:
    """Returns the class of crowding of an image with a number of objects, at least 1."""
    return [name for name, least in CROWDING.items() if number >= least][-1]


def visibility_class(share: float) -> str:
    """Returns the class of a visible share in [0, 1]."""
    return next(name for name, least in VISIBILITY.items() if share >= least)


def uncovered_shares(boxes: np.ndarray) -> np.ndarray:
    """Computes the share of each box that no other box overlaps, as a lower limit of what is visible of its object.

    Args:
        boxes: (N, 4) xyxy, each with an area.

    Returns:
        (N,) float64 in [0, 1].

    >>> uncovered_shares(np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])).tolist()
    [0.5, 0.5, 1.0]
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    xs, ys = np.unique(boxes[:, ::2]), np.unique(boxes[:, 1::2])
    left, top, right, bottom = (np.searchsorted(edges, boxes[:, side]) for side, edges in enumerate((xs, ys, xs, ys)))
    # The number of boxes on each cell of the grid that all edges make.
    counts = np.zeros((max(len(ys) - 1, 0), max(len(xs) - 1, 0)), np.int32)
    windows = [(slice(top[i], bottom[i]), slice(left[i], right[i])) for i in range(len(boxes))]
    for window in windows:
        counts[window] += 1
    cells = np.outer(np.diff(ys), np.diff(xs))
    return np.array([(cells[window] * (counts[window] == 1)).sum() / cells[window].sum() for window in windows])
