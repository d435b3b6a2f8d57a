"""Loops that compute the colour curves of an object, compiled by numba. Without numba nothing imports this file.

Results equal, bit by bit, those of the numpy code in `light` and `lab`.
"""

import numpy as np
from numba import njit

from sos_mm.composition.effects.lab import F_UNIT, XYZ, XYZ_SHIFT, F, level_shift, squared_distance

_u, _f = np.uint64, np.float32
_level_shift, _squared_distance = njit(level_shift), njit(squared_distance)


@njit(inline="always")
def _add(sums, red, green, blue):
    """Adds f(X), f(Y) and f(Z) of a colour, and the square of f(Y), to sums."""
    red, green, blue = _u(red), _u(green), _u(blue)
    for part in range(3):
        value = np.int64(F[_u((XYZ[0, red, part] + XYZ[1, green, part] + XYZ[2, blue, part]) >> XYZ_SHIFT)])
        sums[part] += value
        if part == 1:
            sums[3] += value * value


@njit(inline="always")
def _statistics(sums, number):
    unit = number * F_UNIT
    spread = 116 * np.sqrt(np.float64(number * sums[3] - sums[1] * sums[1])) / unit
    return sums[0] / unit, sums[1] / unit, sums[2] / unit, spread


@njit(inline="always")
def _of_colors(colors):
    """Computes the statistics of (n, 3) uint8 colours."""
    sums = np.zeros(4, np.int64)
    for index in range(len(colors)):
        _add(sums, colors[index, 0], colors[index, 1], colors[index, 2])
    return _statistics(sums, len(colors))


@njit(cache=True)
def harmonized(pixels, image, corner, margin, most, settings, up, down):
    """Computes the curves of `Harmonize`, (256, 3) uint8; (0, 3) if the object does not change.

    Args:
        pixels: (h, w, 4) uint8 of the object.
        image: (H, W, 3) uint8, what is behind it.
        corner: x and y of its first pixel.
        margin: Width of its neighbourhood.
        most: Samples are so many a side, or up to twice as many.
        settings: Strength for lightness and for chroma, and the largest shift of a curve.
        up, down: (256,) float64, the weights of a shift at each level.
    """
    (height, width), (x, y), none = pixels.shape[:2], corner, np.empty((0, 3), np.uint8)
    own = _sample_colors(pixels, max(height // most, 1), max(width // most, 1))
    left, top = max(x - margin, 0), max(y - margin, 0)
    right, bottom = min(x + width + margin, image.shape[1]), min(y + height + margin, image.shape[0])
    step, sums, number = max((bottom - top) // most, (right - left) // most, 1), np.zeros(4, np.int64), 0
    for row in range(top, bottom, step):
        beside = row < y or row >= y + height
        for column in range(left, right, step):
            if beside or column < x or column >= x + width or pixels[row - y, column - x, 3] == 0:
                _add(sums, image[row, column, 0], image[row, column, 1], image[row, column, 2])
                number += 1
    if len(own) < 8 or number < 8:
        return none
    before, goal = _of_colors(own), _statistics(sums, number)
    strength, chroma, limit = settings
    contrast = strength * (min(max(goal[3] / max(before[3], 1.0), 0.7), 1.4) - 1)
    curves = _color_curves(own, _level_shift(before, goal, strength, chroma), limit, contrast, up, down)
    for index in range(len(own)):
        for channel in range(3):
            own[index, channel] = curves[own[index, channel], channel]
    if _squared_distance(_of_colors(own), goal) >= _squared_distance(before, goal):
        return none
    return curves


@njit
def _color_curves(own, wanted, limit, contrast, up, down):
    """Computes curves from the wanted shift and contrast, (256, 3) uint8.

    Args:
        own: (n, 3) uint8 colours of the object.
        wanted: (3,) float64, the shift of the mean of each channel.
        limit, contrast: The largest shift of a curve, and how far levels move from the middle one.
        up, down: (256,) float64, the weights of a shift at each level.
    """
    shift, total = np.empty(3, np.float64), 0
    for channel in range(3):
        brighter, darker = 0, 0
        for index in range(len(own)):
            level = np.int64(own[index, channel])
            total += level
            brighter += level * (255 - level)
            darker += level * (510 - level)
        share = (darker if wanted[channel] < 0 else 4 * brighter) / np.float64(255**2 * len(own))
        shift[channel] = min(max(wanted[channel] / max(share, 0.05), -limit), limit)
    middle = total / (3 * len(own))
    curves = np.empty((256, 3), np.uint8)
    for level in range(256):
        stretched = up[level] * min(max(contrast * (level - middle), -25.0), 25.0)
        for channel in range(3):
            room = down[level] if shift[channel] < 0 else up[level]
            moved = level + room * shift[channel] + stretched
            curves[level, channel] = np.uint8(min(max(np.rint(moved), 0.0), 255.0))
    return curves


@njit
def _sample_colors(pixels, row, column):
    """Samples every so many rows and columns of (h, w, 4) uint8 pixels: the straight colours of those with an alpha of
    at least 128, (n, 3) uint8.
    """
    height, width = pixels.shape[:2]
    found, number = np.empty(((height // row + 1) * (width // column + 1), 3), np.uint8), 0
    for y in range(0, height, row):
        for x in range(0, width, column):
            if pixels[y, x, 3] >= 128:
                ratio = _f(255) / _f(pixels[y, x, 3])
                for channel in range(3):
                    found[number, channel] = np.uint8(np.rint(_f(pixels[y, x, channel]) * ratio))
                number += 1
    return found[:number]
