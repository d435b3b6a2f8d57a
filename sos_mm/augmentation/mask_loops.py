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


@njit(cache=True)
def measure(masks, cover, windows):
    """Counts the pixels of each mask, and those that are not covered, and bounds the latter. See `bitmaps._measure`."""
    height, width = cover.shape
    before, after = np.zeros(len(masks), np.int64), np.zeros(len(masks), np.int64)
    boxes = np.zeros((len(masks), 4), np.int64)
    for index in range(len(masks)):
        mask = masks[index]
        x0, y0, x1, y1 = windows[index]
        beside = _is_empty(mask, 0, y0, x0, y1) and _is_empty(mask, x1, y0, width, y1)
        if not (beside and _is_empty(mask, 0, 0, width, y0) and _is_empty(mask, 0, y1, width, height)):
            x0, y0, x1, y1 = 0, 0, width, height
        left, top, right, bottom = x1, y1, x0, y0
        for y in range(_u(y0), _u(y1)):
            source, taken = mask[y, x0:x1], cover[y, x0:x1]
            # A row's sums have 32 bits: more of them fit into a vector.
            old, new = _w(0), _w(0)
            for x in range(len(source)):
                old += _w(source[x] != 0)
                new += _w((source[x] != 0) & (taken[x] == 0))
            before[index] += old
            after[index] += new
            if new:
                top, bottom = min(top, np.int64(y)), np.int64(y) + 1
                for x in range(x0, left):
                    if source[_u(x - x0)] and taken[_u(x - x0)] == 0:
                        left = x
                        break
                for x in range(x1 - 1, right - 1, -1):
                    if source[_u(x - x0)] and taken[_u(x - x0)] == 0:
                        right = x + 1
                        break
        if after[index]:
            boxes[index] = (left, top, right, bottom)
    return before, after, boxes
