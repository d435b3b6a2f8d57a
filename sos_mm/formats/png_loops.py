"""Lines of the PNG files of label maps, compiled by numba.

Without numba nothing imports this file; results equal those of the numpy code in `panoptic` and `png`.
"""

import numpy as np
from numba import njit

from sos_mm.formats.png import FILTER_UP

_u = np.uint64
# Pixels that are compared at once with those above.
_CHUNK = 32


@njit(inline="always")
def _subtract(line, here, above, start, stop):
    """Sets the differences of the colours of some pixels to those above."""
    for x in range(start, stop):
        one, other, place = here[_u(x)], above[_u(x)], 1 + 3 * x
        line[_u(place)] = np.uint8(one) - np.uint8(other)
        line[_u(place + 1)] = np.uint8(one >> 8) - np.uint8(other >> 8)
        line[_u(place + 2)] = np.uint8(one >> 16) - np.uint8(other >> 16)


@njit(cache=True)
def map_lines(ids):
    """Returns the lines of a PNG file of (H, W) int32 segment ids, (H, 1 + 3 W) uint8: the number of the filter "up",
    and the difference of each row's colours to those above.
    """
    height, width = ids.shape
    # Most differences are zeros, which memory holds from the start.
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    none = np.zeros(width, np.int32)
    for y in range(height):
        line = lines[y]
        line[0] = FILTER_UP
        here, above = ids[y], ids[y - 1] if y else none
        rest = width - width % _CHUNK
        for start in range(0, rest, _CHUNK):
            # Compilers turn a loop of constant length into vector instructions.
            different = np.int32(0)
            for x in range(_CHUNK):
                different |= here[_u(start + x)] ^ above[_u(start + x)]
            if different:
                _subtract(line, here, above, start, start + _CHUNK)
        _subtract(line, here, above, rest, width)
    return lines
