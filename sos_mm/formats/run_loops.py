"""Run lengths of masks, compiled by numba.

Without numba nothing imports this file; results equal those of the numpy code in `rle`.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def changes(columns, x, y, height):
    """Finds where a mask changes between 0 and 1, in the order of the columns of the full mask: (n,) int64 positions.

    Args:
        columns: (w, h) uint8 of 0 and 1, the transposed window that holds the mask, C-contiguous.
        x: The window's first column in the full mask.
        y: Its first row.
        height: Height of the full mask.
    """
    width, length = columns.shape
    # Untouched memory costs nothing.
    found, number, before = np.empty(width * (length + 1) + 1, np.int64), 0, np.uint8(0)
    for column in range(width):
        line, start = columns[column], (x + column) * height + y
        for row in range(length):
            value = line[row]
            if value != before:
                found[number] = start + row
                number += 1
                before = value
        # Below the window there are zeros, unless the next column follows directly.
        if before and (length < height or column == width - 1):
            found[number] = start + length
            number += 1
            before = np.uint8(0)
    return found[:number]


@njit(cache=True)
def characters(positions, size):
    """Encodes the changes of a mask of so many pixels as the characters of COCO's compressed string: (n,) uint8."""
    number = len(positions) + 1
    # At most 64 bits of five each.
    found, count = np.empty(13 * number, np.uint8), 0
    last, before, two_before = 0, 0, 0
    for index in range(number):
        end = positions[index] if index < number - 1 else size
        run = end - last
        # A last run of length zero is left out.
        if index == number - 1 and index > 0 and run == 0:
            break
        value = run - two_before if index > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != -1 if bits & 16 else value != 0
            found[count] = bits + (32 if more else 0) + 48
            count += 1
            if not more:
                break
        last, two_before, before = end, before, run
    return found[:count]
