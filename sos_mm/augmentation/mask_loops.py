"""Measurement of occluded masks, compiled by numba. Results equal those of `bitmaps`.

Masks are (N, H, W) uint8, covers (H, W) uint8. Windows and boxes are half-open xyxy, (N, 4) int64. Indices are
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


@njit(inline="always")
def _count(mask, cover):
    """Counts the pixels of a row, and those that are not covered. Runs of 128 have sums of 8 bits, of which more fit
    into a vector.
    """
    before, after = _w(0), _w(0)
    for start in range(0, len(mask), 128):
        old, new = _b(0), _b(0)
        for x in range(_u(start), _u(min(start + 128, len(mask)))):
            inside = _b(mask[x] != 0)
            old = _b(old + inside)
            new = _b(new + (inside & _b(cover[x] == 0)))
        before, after = before + old, after + new
    return before, after


@njit(inline="always")
def _widen(mask, cover, left, right):
    """Moves bounds in a row outwards to its first and past its last pixel that is not covered."""
    for x in range(left):
        if mask[_u(x)] and cover[_u(x)] == 0:
            left = x
            break
    for x in range(len(mask) - 1, right - 1, -1):
        if mask[_u(x)] and cover[_u(x)] == 0:
            right = x + 1
            break
    return left, right


@njit(cache=True)
def measure(masks, cover, windows):
    """Counts the pixels of each mask, and those that are not covered, and bounds the latter. See `bitmaps._measure`."""
    height, width = cover.shape
    before, after = np.empty(len(masks), np.int64), np.empty(len(masks), np.int64)
    boxes = np.zeros((len(masks), 4), np.int64)
    for index in range(len(masks)):
        mask, (x0, y0, x1, y1) = masks[index], windows[index]
        beside = _is_empty(mask, 0, y0, x0, y1) and _is_empty(mask, x1, y0, width, y1)
        if not (beside and _is_empty(mask, 0, 0, width, y0) and _is_empty(mask, 0, y1, width, height)):
            x0, y0, x1, y1 = 0, 0, width, height
        left, top, right, bottom = x1 - x0, y1, 0, y0
        total, free = 0, 0
        for y in range(_u(y0), _u(y1)):
            source, taken = mask[y, x0:x1], cover[y, x0:x1]
            old, new = _count(source, taken)
            total, free = total + old, free + new
            if new:
                top, bottom = min(top, np.int64(y)), np.int64(y) + 1
                left, right = _widen(source, taken, left, right)
        before[index], after[index] = total, free
        if free:
            boxes[index] = (x0 + left, top, x0 + right, bottom)
    return before, after, boxes
