"""The loop that projects and blurs the silhouette of a shadow, compiled by numba. Without numba nothing imports this
file.

The result equals, bit by bit, that of the numpy code in `shadows`.
"""

import numpy as np
from numba import njit

_u, _f = np.uint64, np.float32


@njit(inline="always")
def _integral(at):
    """Integrates the weight of rows up to a place on the ramp."""
    within = min(max(at, 0.0), 1.0)
    return within * within / 2 + max(at - 1, 0.0)


@njit(cache=True)
def soft_silhouette(alpha, rise, down, across, weights, height, width):
    """Projects an alpha, each row in proportion to its weight, on an image of level rows, and blurs it.

    Args:
        alpha: (h, w) uint8.
        rise: Upper edge of the first row on a ramp, where the weight rises from 0 at 0 to 1 at 1, and the rows' height.
        down: Row of ``alpha``, by the row of the result: its slope and its start.
        across: Column of ``alpha``: its slopes by the column and by the row of the result, and its start.
        weights: (n,) float32, the kernel of the blur; n is odd.
        height, width: Size of the result, float32 in [0, 255].
    """
    rows, columns = alpha.shape
    reach, moved = len(weights) // 2, np.zeros((height, width), np.float32)
    mixed, line = np.zeros(columns + 3, np.float32), np.empty(width + 2 * reach, np.float32)
    fading = np.empty(rows, np.float32)
    for row in range(rows):
        fading[row] = _f((_integral(rise[0] + rise[1] * (row + 1)) - _integral(rise[0] + rise[1] * row)) / rise[1])
    first, last = height, -1
    for y in range(height):
        at = down[0] * y + down[1]
        row = int(np.floor(at))
        if row < -1 or row >= rows:
            continue
        first, last, share = min(first, y), y, _f(at - row)
        above, below = max(row, 0), min(row + 1, rows - 1)
        upper, lower = fading[above] if row >= 0 else _f(0), fading[below] if row + 1 < rows else _f(0)
        for column in range(columns):
            one, two = _f(alpha[_u(above), column]) * upper, _f(alpha[_u(below), column]) * lower
            mixed[column + 1] = (_f(1) - share) * one + share * two
        for x in range(width):
            at = (across[0] * x + across[1] * y) + across[2]
            column, value = np.floor(at), _f(0)
            if -1 <= column < columns:
                share, place = _f(at - column), _u(int(column) + 1)
                value = (_f(1) - share) * mixed[place] + share * mixed[place + _u(1)]
            line[reach + x] = value
        line[:reach], line[reach + width :] = line[reach], line[reach + width - 1]
        _blur(moved[y], line[reach : reach + width], line, weights)
    result = np.zeros((height, width), np.float32)
    total = np.empty(width, np.float32)
    for y in range(max(first - reach, 0), min(last + reach + 1, height)):
        for x in range(width):
            total[x] = weights[reach] * moved[y, x]
        for tap in range(reach):
            weight = weights[tap]
            above, below = moved[max(y + tap - reach, 0)], moved[min(y + reach - tap, height - 1)]
            for x in range(width):
                total[x] += weight * (above[x] + below[x])
        result[y] = total
    return result


@njit(inline="always")
def _blur(target, middle, line, weights):
    """Blurs a row that is in the middle of a line by a symmetric kernel."""
    reach, width = len(weights) // 2, len(target)
    weight = weights[reach]
    for x in range(width):
        target[x] = weight * middle[x]
    for tap in range(reach):
        weight, before, after = weights[tap], line[tap : tap + width], line[2 * reach - tap : 2 * reach - tap + width]
        for x in range(width):
            target[x] += weight * (before[x] + after[x])
