"""Run lengths of masks, compiled by numba.

Without numba nothing imports this file; results equal those of the numpy code in `rle`.
"""

import numpy as np
from numba import njit

_u = np.uint64


@njit(cache=True)
def changes(mask, x, y, height):
    """Finds where a mask changes between 0 and 1, in the order of the columns of the full mask: (n,) int64 positions.

    Args:
        mask: (h, w) uint8 of 0 and 1, the window that holds the mask.
        x: The window's first column in the full mask.
        y: Its first row.
        height: Height of the full mask.
    """
    length, width = mask.shape
    none, different = np.zeros(width, np.uint8), np.zeros(-(-width // 8) * 8, np.uint8)
    eights = different.view(np.uint64)
    # In the order of the rows, which memory has; untouched memory costs nothing.
    rows, columns = np.empty((length + 1) * width, np.int32), np.empty((length + 1) * width, np.int32)
    number, starts = 0, np.zeros(width + 1, np.int64)
    for row in range(length + 1):
        here, above = mask[row] if row < length else none, mask[row - 1] if row else none
        for column in range(width):
            different[column] = here[column] ^ above[column]
        for eight in range(len(eights)):
            if eights[_u(eight)]:
                for column in range(8 * eight, 8 * eight + 8):
                    if different[_u(column)]:
                        rows[_u(number)], columns[_u(number)] = row, column
                        starts[_u(column + 1)] += 1
                        number += 1
    for column in range(width):
        starts[column + 1] += starts[column]
    found = np.empty(number, np.int64)
    for index in range(number):
        column = columns[index]
        found[starts[column]] = (x + column) * height + y + rows[index]
        starts[column] += 1
    return _without_pairs(found) if length == height else found


@njit(cache=True)
def _without_pairs(positions):
    """Removes pairs of equal positions: the end of a column of the full mask, and the start of the next."""
    kept = 0
    for position in positions:
        if kept and positions[kept - 1] == position:
            kept -= 1
        else:
            positions[kept] = position
            kept += 1
    return positions[:kept]


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


@njit(cache=True)
def _ends(characters, size):
    """Decodes COCO's compressed string to the ends of its runs, (n,) int64; (0,) if they do not add up to a size."""
    ends, number, position = np.empty(len(characters), np.int64), 0, 0
    value, shift, last, before = 0, 0, 0, 0
    for character in characters:
        bits = np.int64(character) - 48
        if not 0 <= bits < 64 or shift > 55:
            return ends[:0]
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value |= -1 << shift
        # From the fourth on, the difference to the run before the last.
        run = value + before if number > 2 else value
        if not 0 <= run <= size - position:
            return ends[:0]
        position += run
        ends[number] = position
        number, value, shift, last, before = number + 1, 0, 0, run, last
    return ends[:number] if position == size and shift == 0 else ends[:0]


@njit(cache=True)
def columns_of(characters, height, width):
    """Decodes COCO's compressed string of an (height, width) mask.

    Returns:
        The columns of the mask in its tight box, (w, h) uint8, and the box's x and y; an empty array where no pixel is
        inside; and whether the runs add up to the mask's size.
    """
    ends = _ends(characters, height * width)
    left, top, right, bottom = width, height, 0, 0
    for index in range(1, len(ends), 2):
        start, stop = ends[index - 1], ends[index]
        if start < stop:
            first, last = start // height, (stop - 1) // height
            left, right = min(left, first), max(right, last + 1)
            # What goes on in the next column holds the last row, and the first.
            top = min(top, start - first * height) if first == last else 0
            bottom = max(bottom, stop - first * height) if first == last else height
    if left >= right:
        return np.zeros((0, 0), np.uint8), 0, 0, len(ends) > 0
    columns = np.zeros((right - left, bottom - top), np.uint8)
    for index in range(1, len(ends), 2):
        start, stop = ends[index - 1], ends[index]
        while start < stop:
            column = start // height
            past = min(stop, (column + 1) * height)
            line, offset = columns[_u(column - left)], column * height + top
            for row in range(_u(start - offset), _u(past - offset)):
                line[row] = 1
            start = past
    return columns, left, top, True
