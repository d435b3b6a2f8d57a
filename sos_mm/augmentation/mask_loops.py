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
def draw_visible(masks, owner, windows, min_share, min_area, result):
    """Draws the pixels of each mask that have no owner into the next row of ``result``, if they are enough.

    Each mask is counted and drawn while it is in the processor's cache. See `bitmaps._draw_visible`.
    """
    height, width = owner.shape
    kept, lost = np.zeros(len(masks), np.bool_), np.zeros(len(masks), np.bool_)
    boxes, row = np.empty((len(masks), 4), np.int64), 0
    for index in range(len(masks)):
        mask, target = masks[index], result[row]
        x0, y0, x1, y1 = windows[index]
        beside = _is_empty(mask, 0, y0, x0, y1) and _is_empty(mask, x1, y0, width, y1)
        if not (beside and _is_empty(mask, 0, 0, width, y0) and _is_empty(mask, 0, y1, width, height)):
            x0, y0, x1, y1 = 0, 0, width, height
        left, top, right, bottom = x1, y1, x0, y0
        before, after = 0, 0
        target[:] = 0
        for y in range(_u(y0), _u(y1)):
            source, taken, line = mask[y, x0:x1], owner[y, x0:x1], target[y, x0:x1]
            for x in range(len(line)):
                line[x] = source[x] * _b(taken[x] == 0)
            # A row's sums have 32 bits: more of them fit into a vector.
            old, new = _w(0), _w(0)
            for x in range(len(line)):
                old += _w(source[x] != 0)
                new += _w(line[x] != 0)
            before, after = before + old, after + new
            if new:
                top, bottom = min(top, np.int64(y)), np.int64(y) + 1
                for x in range(x0, left):
                    if line[_u(x - x0)]:
                        left = x
                        break
                for x in range(x1 - 1, right - 1, -1):
                    if line[_u(x - x0)]:
                        right = x + 1
                        break
        lost[index], boxes[index] = after < before, (left, top, right, bottom)
        kept[index] = after == before or (after >= min_share * before and after >= min_area)
        row += kept[index]
    return kept, lost, boxes


@njit(cache=True)
def draw_owned(owner, boxes, result):
    """Draws the pixels of each owner 1, 2, ..., which its box contains, as a mask into ``result``."""
    for index in range(len(boxes)):
        target, (x0, y0, x1, y1) = result[index], boxes[index]
        target[:] = 0
        for y in range(_u(y0), _u(y1)):
            for x in range(_u(x0), _u(x1)):
                target[y, x] = _b(owner[y, x] == index + 1)
