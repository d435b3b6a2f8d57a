"""Loops over the boxes that layouts try, compiled by numba. Without numba nothing imports this file.

Each result equals, bit by bit, that of the numpy code at the place that calls it. Boxes are half-open xyxy, int64.
"""

import numpy as np
from numba import njit

# Up to so many numbers numpy adds with eight partial sums, of which further ones are combined pairwise.
MOST_BOXES = 128


@njit(inline="always")
def _fit(side, room):
    """Rounds a side to pixels, at least 1 and at most those of the room."""
    return min(max(np.int64(np.rint(side)), 1), room)


@njit(cache=True, error_model="numpy")
def candidates(draws, areas, aspects, canvas, size, limit):
    """Computes boxes inside a canvas for a segment from draws of area, aspect, x and y, without those that do not fit.

    Args:
        draws: (4, N) float64 in [0, 1).
        areas: Least and largest area, as fractions of the canvas.
        aspects: Least and largest ratio of width to height.
        canvas: Height and width.
        size: (2,) float64, height and width of the segment.
        limit: Largest enlargement of the segment: a larger box shrinks about its centre.

    Returns:
        (M, 4) boxes, the boxes of the segment fitted into them, and (M,) bool, whether a box was shrunk.
    """
    (height, width), most = canvas, draws.shape[1]
    boxes, fitted = np.empty((most, 4), np.int64), np.empty((most, 4), np.int64)
    limited, number = np.empty(most, np.bool_), 0
    for place in range(most):
        area = (areas[0] + draws[0, place] * (areas[1] - areas[0])) * height * width
        aspect = aspects[0] + draws[1, place] * (aspects[1] - aspects[0])
        wide, high = (
            np.int64(max(np.rint(np.sqrt(area * aspect)), 1.0)),
            np.int64(max(np.rint(np.sqrt(area / aspect)), 1.0)),
        )
        if wide > width or high > height:
            continue
        x = np.int64(np.floor(draws[2, place] * (width - wide + 1)))
        y = np.int64(np.floor(draws[3, place] * (height - high + 1)))
        limited[number] = min(wide / size[1], high / size[0]) > limit
        if limited[number]:
            room_wide, room_high = wide, high
            wide, high = _fit(size[1] * limit, room_wide), _fit(size[0] * limit, room_high)
            x, y = x + (room_wide - wide) // 2, y + (room_high - high) // 2
        boxes[number] = x, y, x + wide, y + high
        scale = min(wide / size[1], high / size[0])
        own_wide, own_high = _fit(size[1] * scale, wide), _fit(size[0] * scale, high)
        x, y = x + (wide - own_wide) // 2, y + (high - own_high) // 2
        fitted[number] = x, y, x + own_wide, y + own_high
        number += 1
    return boxes[:number], fitted[:number], limited[:number]


@njit(cache=True)
def total(values):
    """Adds up to `MOST_BOXES` numbers in the order of `numpy.sum`."""
    result, whole = 0.0, 0
    if len(values) >= 8:
        whole = len(values) - len(values) % 8
        parts = values[:8].copy()
        for start in range(8, whole, 8):
            for place in range(8):
                parts[place] += values[start + place]
        result = ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]))
    for place in range(whole, len(values)):
        result += values[place]
    return result


@njit(cache=True, error_model="numpy")
def add_first(boxes, areas, hidden, number, tried, min_visible, min_mean_visible):
    """Adds the first box that keeps the rules to the ``number`` boxes taken so far, in place; see `TakenBoxes`.

    Returns:
        Its index in ``tried``, (N, 4); -1 if there is none.
    """
    more, visible = np.empty(number), np.empty(number)
    for index in range(len(tried)):
        box, good = tried[index], True
        for place in range(number):
            taken = boxes[place]
            wide = max(min(box[2], taken[2]) - max(box[0], taken[0]), 0)
            high = max(min(box[3], taken[3]) - max(box[1], taken[1]), 0)
            more[place] = hidden[place] + wide * high
            visible[place] = max(1 - more[place] / areas[place], 0.0)
            if not visible[place] >= min_visible:
                good = False
                break
        if good and (total(visible) + 1) / (number + 1) >= min_mean_visible:
            hidden[:number] = more
            boxes[number] = box
            areas[number] = (box[2] - box[0]) * (box[3] - box[1])
            return index
    return -1
