"""Statistics of colours in CIE Lab, the same in any order and with any compiler: sums of integers from tables.

Lab is linear in f(X), f(Y) and f(Z): L is 116 f(Y) - 16, a is 500 (f(X) - f(Y)), and b is 200 (f(Y) - f(Z)). Statistics
are therefore those of the three values. The functions that numba compiles too use plain numbers and no other function.
"""

import math

import numpy as np

# Tables have so many steps of X, Y and Z from black to white, and of linear values; f is in units of 1 / F_UNIT.
_XYZ_STEPS, GAMMA_STEPS, F_UNIT = 4096, 1024, 1 << 14
# X, Y and Z are summed in 2**XYZ_SHIFT parts of a step.
XYZ_SHIFT = 14
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
# Relative to the white point.
_TO_XYZ /= _TO_XYZ.sum(axis=1, keepdims=True)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)


def _linear(values: np.ndarray) -> np.ndarray:
    """Converts sRGB values in [0, 1] to linear ones."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _gamma(values: np.ndarray) -> np.ndarray:
    """Converts linear values in [0, 1] to sRGB ones."""
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def _f(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0.008856, np.cbrt(values), 7.787 * values + 16 / 116)


# (3, 256, 3) int32: what each level of red, of green and of blue adds to X, Y and Z. White stays below the last step.
_PARTS = _TO_XYZ.T[:, None] * _linear(np.arange(256) / 255)[:, None]
XYZ = np.floor(_PARTS * (_XYZ_STEPS << XYZ_SHIFT) * (1 - 1e-9)).astype(np.int32, "C")
# (4096,) int32: f by X, Y or Z.
F = np.rint(_f((np.arange(_XYZ_STEPS) + 0.5) / _XYZ_STEPS) * F_UNIT).astype(np.int32)
# Levels, up to 255, by linear values.
GAMMA = 255 * _gamma(np.append(np.arange(GAMMA_STEPS + 1) / GAMMA_STEPS, 1))

# Means of f(X), f(Y) and f(Z), and the standard deviation of L.
Statistics = tuple[float, float, float, float]


def statistics(rgb: np.ndarray) -> Statistics:
    """Computes the statistics of (N, 3) uint8 RGB; N is at least 1."""
    red, green, blue = rgb.T
    values = F[(XYZ[0, red] + XYZ[1, green] + XYZ[2, blue]) >> XYZ_SHIFT].astype(np.int64)
    x, y, z = values.sum(axis=0).tolist()
    squares, unit = int((values[:, 1] * values[:, 1]).sum()), len(rgb) * F_UNIT
    return x / unit, y / unit, z / unit, 116 * math.sqrt(len(rgb) * squares - y * y) / unit


def squared_distance(one: Statistics, other: Statistics) -> float:
    """Returns the squared distance of two means in Lab."""
    x, y, z = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    lightness, green_red, blue_yellow = 116 * y, 500 * (x - y), 200 * (y - z)
    return lightness * lightness + green_red * green_red + blue_yellow * blue_yellow


def level_shift(own: Statistics, goal: Statistics, strength: float, chroma: float) -> np.ndarray:
    """Computes the shift of the levels of red, green and blue, (3,) float64, that moves a mean colour towards another
    one: its lightness by the share ``strength`` of the way, its chroma by the share ``chroma``.
    """
    moved = np.empty((2, 3))
    moved[0, 0], moved[0, 1], moved[0, 2] = own[0], own[1], own[2]
    green_red, blue_yellow = own[0] - own[1], own[1] - own[2]
    moved[1, 1] = own[1] + strength * (goal[1] - own[1])
    moved[1, 0] = moved[1, 1] + (green_red + chroma * ((goal[0] - goal[1]) - green_red))
    moved[1, 2] = moved[1, 1] - (blue_yellow + chroma * ((goal[1] - goal[2]) - blue_yellow))
    levels = np.empty((2, 3))
    for which in range(2):
        for channel in range(3):
            linear = 0.0
            for part in range(3):
                f = moved[which, part]
                linear += _FROM_XYZ[channel, part] * (f * f * f if f > 0.206893 else (f - 16 / 116) / 7.787)
            at = min(max(linear, 0.0), 1.0) * GAMMA_STEPS
            step = int(at)
            levels[which, channel] = GAMMA[step] + (at - step) * (GAMMA[step + 1] - GAMMA[step])
    return levels[1] - levels[0]
