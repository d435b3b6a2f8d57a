"""Lines of the PNG files of label maps, compiled by numba.

Without numba nothing imports this file; results equal those of the numpy code in `panoptic` and `png`.
"""

import numpy as np
from numba import njit

from sos_mm.formats.png import FILTER_UP

_u = np.uint64
# Pixels that are compared at once with those above: so many that compilers turn the loop into vector instructions, and
# then in smaller parts.
_CHUNK, _PART = 64, 8
# The modulus of Adler-32.
_PRIME = 65521


@njit(inline="always")
def _differ(here, above, start, number):
    """Returns whether any of so many pixels differs from the one above."""
    different = False
    for x in range(number):
        different |= here[_u(start + x)] != above[_u(start + x)]
    return different


@njit(inline="always")
def _subtract(line, here, above, start, stop, left):
    """Sets the differences of the colours of some pixels to those above.

    Returns:
        The sum of the differences, and of each times the number of bytes from it to the end; ``left`` is that number
        for the first pixel.
    """
    total, weighted = 0, 0
    for x in range(start, stop):
        one, other = np.int64(here[_u(x)]), np.int64(above[_u(x)])
        if one != other:
            place, rest = 1 + 3 * x, left - 3 * (x - start)
            for channel in range(3):
                value = ((one >> 8 * channel) - (other >> 8 * channel)) & 255
                line[_u(place + channel)] = np.uint8(value)
                total += value
                weighted += value * (rest - channel)
    return total, weighted


@njit(cache=True)
def map_lines(ids):
    """Computes the lines of a PNG file: the number of the filter "up", and the difference of each row's colours to
    those above.

    Args:
        ids: (H, W) segment ids, C-contiguous uint8 or int32.

    Returns:
        (H, 1 + 3 W) uint8, and the Adler-32 of their bytes, to which most, the zeros, add nothing.
    """
    height, width = ids.shape
    # Most differences are zeros, which memory holds from the start.
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    none, left = np.zeros(width, ids.dtype), lines.size
    first, second = 1, left
    for y in range(height):
        line = lines[y]
        line[0] = FILTER_UP
        first, second = first + FILTER_UP, second + FILTER_UP * left
        here, above = ids[y], ids[y - 1] if y else none
        rest = width - width % _CHUNK
        for start in range(0, rest, _CHUNK):
            if not _differ(here, above, start, _CHUNK):
                continue
            for part in range(start, start + _CHUNK, _PART):
                if _differ(here, above, part, _PART):
                    total, weighted = _subtract(line, here, above, part, part + _PART, left - 1 - 3 * part)
                    first, second = first + total, second + weighted
        total, weighted = _subtract(line, here, above, rest, width, left - 1 - 3 * rest)
        first, second = (first + total) % _PRIME, (second + weighted) % _PRIME
        left -= 1 + 3 * width
    return lines, second << 16 | first
