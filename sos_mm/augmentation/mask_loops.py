"""Occlusion of masks, compiled by numba. Without numba nothing imports this file; results equal those of `bitmaps`.

Masks are (N, H, W) uint8, owners (H, W) int32. Windows and boxes are half-open xyxy, (N, 4) int64. Indices are
unsigned, since signed ones may count from the end.
"""

import numpy as np
from numba import njit

_b, _w, _u = np.uint8, np.uint32, np.uint64


@njit(inline="always")
def _is_empty(mask, x0, y0, x1, y1):
    """Returns whether a part of a mask is zero. All of it is read, which compilers turn into vector instructions."""
    found = _b(0)
    for y in range(_u(y0), _u(y1)):
        for x in range(_u(x0), _u(x1)):
            found = _b(found | mask[y, x])
    return found == 0


@njit(cache=True)
def count_visible(masks, owner, windows):
    """Counts the pixels of each mask, and finds those of them that have no owner.

    A window that does not contain its mask is replaced, in place, by the whole canvas.

    Returns:
        (N, 2) int64, the number of all pixels and of those without an owner; and (N, 4), the tight boxes of the latter
        where there are some.
    """
    height, width = owner.shape
    areas, boxes = np.zeros((len(masks), 2), np.int64), np.empty((len(masks), 4), np.int64)
    for index in range(len(masks)):
        mask = masks[index]
        x0, y0, x1, y1 = windows[index]
        beside = _is_empty(mask, 0, y0, x0, y1) and _is_empty(mask, x1, y0, width, y1)
        if not (beside and _is_empty(mask, 0, 0, width, y0) and _is_empty(mask, 0, y1, width, height)):
            x0, y0, x1, y1 = 0, 0, width, height
            windows[index] = x0, y0, x1, y1
        left, top, right, bottom = x1, y1, x0, y0
        for y in range(_u(y0), _u(y1)):
            # A row's sums have 32 bits: more of them fit into a vector.
            before, after = _w(0), _w(0)
            for x in range(_u(x0), _u(x1)):
                here = _w(mask[y, x] != 0)
                before = _w(before + here)
                after = _w(after + (here & _w(owner[y, x] == 0)))
            areas[index, 0] += before
            areas[index, 1] += after
            if after:
                top, bottom = min(top, np.int64(y)), np.int64(y) + 1
                for x in range(x0, left):
                    if mask[y, _u(x)] and owner[y, _u(x)] == 0:
                        left = x
                        break
                for x in range(x1 - 1, right - 1, -1):
                    if mask[y, _u(x)] and owner[y, _u(x)] == 0:
                        right = x + 1
                        break
        boxes[index] = left, top, right, bottom
    return areas, boxes


@njit(inline="always")
def _clear_around(mask, x0, y0, x1, y1):
    """Sets a mask (H, W) to zero outside a window."""
    mask[:y0] = 0
    for y in range(_u(y0), _u(y1)):
        for x in range(_u(x0)):
            mask[y, x] = 0
        for x in range(_u(x1), _u(mask.shape[1])):
            mask[y, x] = 0
    mask[y1:] = 0


@njit(cache=True)
def draw_visible(masks, owner, windows, positions, result):
    """Writes the masks at some positions, without the pixels that have an owner, into ``result``, in this order."""
    for row in range(len(positions)):
        source, target = masks[positions[row]], result[row]
        x0, y0, x1, y1 = windows[positions[row]]
        _clear_around(target, x0, y0, x1, y1)
        for y in range(_u(y0), _u(y1)):
            for x in range(_u(x0), _u(x1)):
                target[y, x] = source[y, x] if owner[y, x] == 0 else _b(0)


@njit(cache=True)
def draw_owned(owner, boxes, result):
    """Writes the pixels of each owner 1, 2, ..., which its box contains, as a mask into ``result``."""
    for index in range(len(boxes)):
        target, (x0, y0, x1, y1) = result[index], boxes[index]
        _clear_around(target, x0, y0, x1, y1)
        for y in range(_u(y0), _u(y1)):
            for x in range(_u(x0), _u(x1)):
                target[y, x] = _b(owner[y, x] == index + 1)
