"""Loops over reduced silhouettes, of shadows and of shading, compiled by numba. Without numba nothing imports this
file.

Results equal, bit by bit, those of the numpy code in `shadows`, `light` and `silhouettes`.
"""

import numpy as np
from numba import njit

_u, _f = np.uint64, np.float32


@njit
def _blur(values, weights):
    """Blurs (h, w) float32 values along both axes in place; those on the border are repeated beyond it."""
    (height, width), reach = values.shape, len(weights) // 2
    line, middle = np.empty(width + 2 * reach, np.float32), weights[reach]
    for y in range(height):
        row = values[y]
        line[:reach], line[reach : reach + width], line[reach + width :] = row[0], row, row[width - 1]
        for x in range(width):
            row[x] *= middle
        for tap in range(reach):
            weight, before, after = weights[tap], line[tap:], line[2 * reach - tap :]
            for x in range(width):
                row[x] += weight * (before[x] + after[x])
    rows = values.copy()
    for y in range(height):
        row = values[y]
        for x in range(width):
            row[x] *= middle
        for tap in range(reach):
            weight, above, below = weights[tap], rows[max(y + tap - reach, 0)], rows[min(y + reach - tap, height - 1)]
            for x in range(width):
                row[x] += weight * (above[x] + below[x])


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
    result = np.zeros((height, width), np.float32)
    mixed, fading = np.zeros(columns + 3, np.float32), np.zeros(rows + 3, np.float32)
    for row in range(rows):
        mean = (_integral(rise[0] + rise[1] * (row + 1)) - _integral(rise[0] + rise[1] * row)) / rise[1]
        fading[row + 1] = _f(mean)
    for y in range(height):
        at = down[0] * y + down[1]
        row = np.floor(at)
        if not -1 <= row < rows:
            continue
        share, row = _f(at - row), int(row)
        above, below, upper, lower = max(row, 0), min(row + 1, rows - 1), fading[row + 1], fading[row + 2]
        for column in range(columns):
            one, two = _f(alpha[_u(above), column]) * upper, _f(alpha[_u(below), column]) * lower
            mixed[column + 1] = (_f(1) - share) * one + share * two
        for x in range(width):
            at = (across[0] * x + across[1] * y) + across[2]
            column = np.floor(at)
            if -1 <= column < columns:
                share, place = _f(at - column), _u(int(column) + 1)
                result[y, x] = (_f(1) - share) * mixed[place] + share * mixed[place + _u(1)]
    _blur(result, weights)
    return result


@njit(cache=True)
def shading_gain(alpha, weights, steepness, right, downwards, strength):
    """Computes the gain of `DirectionalShading`, (h, w) uint8, 128 for no change.

    Args:
        alpha: (h, w) uint8 of the object.
        weights: (n,) float32, the kernel of the blur that makes a cushion of it; n is odd.
        steepness: Factor of the cushion's slope.
        right, downwards: Direction of the light in the image.
        strength: Largest loss.
    """
    (height, width), margin = alpha.shape, len(weights) // 2 + 1
    cushion, gain = np.zeros((height + 2 * margin, width + 2 * margin), np.float32), np.empty(alpha.shape, np.uint8)
    for y in range(height):
        for x in range(width):
            cushion[y + margin, x + margin] = _f(alpha[y, x]) / _f(255)
    _blur(cushion, weights)
    for y in range(height):
        above, here, below = cushion[y + margin - 1], cushion[y + margin], cushion[y + margin + 1]
        for x in range(width):
            column = x + margin
            slope_x = _f(_f(here[column + 1] - here[column - 1]) / _f(2))
            slope_y = _f(_f(below[column] - above[column]) / _f(2))
            facing = steepness * (np.float64(slope_x) * right + np.float64(slope_y) * downwards)
            facing = min(max(facing, -1.0), 1.0)
            facing = min(facing, 0.4 * facing)
            gain[y, x] = np.uint8(np.rint(128.0 * (1.0 + strength * facing)))
    return gain
