"""Loops over the pixels of a saliency map and its mask, compiled by numba. Without numba nothing imports this file.

Each result equals, bit by bit, that of the numpy and OpenCV code at the place that calls it. Indices are unsigned,
since signed ones may count from the end.
"""

import numpy as np
from numba import njit

_h, _u = np.uint16, np.uint64


@njit(cache=True)
def count_blocks(levels, gt, number, row, column):
    """Counts the pixels of each of so many levels, (2, 2, 2, number) int64; see `SaliencyPair.block_counts`."""
    # Where counters are few, consecutive pixels have different ones: the same one would have to wait for itself.
    (height, width), copies = gt.shape, 2 if number <= 256 else 1
    counts = np.zeros((copies, 2, 2, 2, number), np.int64)
    for y in range(_u(height)):
        below = _u(y >= row)
        for x in range(_u(width)):
            counts[x & _u(copies - 1), below, _u(x >= column), _u(gt[y, x]), _u(levels[y, x])] += 1
    return counts[0] + counts[1] if copies == 2 else counts[0]


@njit(cache=True)
def column_distances(gt, limit):
    """Computes the distance of each pixel from the nearest salient one of its column, up to a limit: (H, W) uint16."""
    height, width = gt.shape
    result, limit = np.empty((height, width), np.uint16), _h(limit)
    for y in range(height):
        mask, here, above = gt[y], result[y], result[max(y - 1, 0)]
        for x in range(width):
            far = min(_h(above[x] + _h(1)), limit) if y else limit
            here[x] = _h(0) if mask[x] else far
    for y in range(height - 2, -1, -1):
        here, under = result[y], result[y + 1]
        for x in range(width):
            here[x] = min(here[x], _h(under[x] + _h(1)))
    return result


@njit(cache=True)
def weigh(vertical, limit, levels, values, weights):
    """Multiplies each pixel's value by the weight of its squared distance from the object: (H, W) float64.

    The distance in a row is the smallest of parabolas, one for each column. They are sorted as the points of a lower
    convex hull (column, column ** 2 + vertical distance ** 2).

    Args:
        vertical: (H, W) uint16 from `column_distances`.
        limit: Its limit. Columns at it have no object.
        levels: (H, W) integers, indices into ``values``.
        values: (K,) float64.
        weights: (limit ** 2 + 1,) float64, by squared distance; the last one is that of all larger ones.
    """
    (height, width), last = vertical.shape, limit * limit
    result = np.empty((height, width), np.float64)
    places, heights = np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(_u(height)):
        number = 0
        for x in range(width):
            far = np.int64(vertical[y, _u(x)])
            if far >= limit:
                continue
            own = x * x + far * far
            while number > 1:
                first, second = _u(number - 2), _u(number - 1)
                across, up = places[second] - places[first], heights[second] - heights[first]
                if across * (own - heights[first]) > (x - places[first]) * up:
                    break
                number -= 1
            places[_u(number)], heights[_u(number)] = x, own
            number += 1
        nearest = 0
        for x in range(width):
            squared = last
            if number:
                best = heights[_u(nearest)] - 2 * x * places[_u(nearest)]
                while nearest + 1 < number:
                    other = heights[_u(nearest + 1)] - 2 * x * places[_u(nearest + 1)]
                    if other > best:
                        break
                    nearest, best = nearest + 1, other
                squared = min(best + x * x, last)
            result[y, _u(x)] = weights[_u(squared)] * values[_u(levels[y, _u(x)])]
    return result


@njit(cache=True)
def spread(error, gt, reach, margin):
    """Replaces errors outside the object by those of the nearest salient pixel, of which the leftmost, then the topmost
    counts, if there is one at most ``reach`` rows and columns away; the nearest is then at most ``margin`` away.

    Args:
        error: (H, W) float64.
        gt: (H, W) bool.
        reach, margin: Numbers of rows and columns.
    """
    height, width = gt.shape
    # Distances of the nearest salient pixels of the column, above and below.
    above, below, far = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8), np.uint8(margin + 1)
    for y in range(height):
        for x in range(width):
            before = above[y - 1, x] if y else far
            above[y, x] = np.uint8(0) if gt[y, x] else min(np.uint8(before + np.uint8(1)), far)
    for y in range(height - 1, -1, -1):
        for x in range(width):
            before = below[y + 1, x] if y + 1 < height else far
            below[y, x] = np.uint8(0) if gt[y, x] else min(np.uint8(before + np.uint8(1)), far)
    result, columns = error.copy(), np.empty(width, np.int64)
    for y in range(height):
        for x in range(width):
            columns[x] = min(above[y, x], below[y, x])
        for x in range(width):
            if gt[y, x]:
                continue
            near = False
            for place in range(max(x - reach, 0), min(x + reach + 1, width)):
                near |= columns[_u(place)] <= reach
            if not near:
                continue
            best, nearest = 2 * margin * margin + 1, x
            for place in range(max(x - margin, 0), min(x + margin + 1, width)):
                squared = (place - x) ** 2 + columns[_u(place)] ** 2
                if columns[_u(place)] <= margin and squared < best:
                    best, nearest = squared, place
            up, down = np.int64(above[y, nearest]), np.int64(below[y, nearest])
            result[y, x] = error[y - up if up <= down else y + down, nearest]
    return result
