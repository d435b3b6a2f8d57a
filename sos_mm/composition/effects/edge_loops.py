"""The loop that softens the edges of a sprite, compiled by numba. Without numba nothing imports this file.

The result equals, bit by bit, that of the OpenCV code in `edges`. Pixels are packed as in `sos_mm.composition.loops`.
"""

import numpy as np
from numba import njit

_u, _w, _f = np.uint64, np.uint32, np.float32
# Side in pixels of the tiles of a sprite that are blurred or left as they are.
_TILE = 8


@njit(cache=True)
def _with_margins(packed, margins):
    """Adds transparent pixels at the top, at the bottom, on the left and on the right."""
    top, bottom, left, right = margins
    height, width = packed.shape
    result = np.empty((top + height + bottom, left + width + right), np.uint32)
    result[:top], result[top + height :] = 0, 0
    for y in range(height):
        row, source = result[top + y], packed[y]
        row[:left], row[left + width :] = 0, 0
        for x in range(_u(width)):
            row[_u(left) + x] = source[x]
    return result


@njit(cache=True)
def _softened_tiles(packed, reach, inside):
    """Finds the tiles of `_TILE` x `_TILE` pixels that a blur changes, (rows, columns) bool.

    A blur changes nothing where all alphas within its reach are 0, nor, unless colours inside are blurred too, where
    all are 255.
    """
    height, width = packed.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    kinds = np.empty((rows, columns), np.uint8)
    # The bits that all, or any, of a column's pixels in a row of tiles have. The last tile may reach beyond the sprite.
    every, some = np.full(_TILE * columns, _w(0xFFFFFFFF), np.uint32), np.zeros(_TILE * columns, np.uint32)
    for row in range(rows):
        for x in range(_u(width)):
            every[x] = some[x] = packed[_TILE * row, x]
        for y in range(_TILE * row + 1, min(_TILE * row + _TILE, height)):
            source = packed[y]
            for x in range(_u(width)):
                every[x] &= source[x]
                some[x] |= source[x]
        for column in range(_u(columns)):
            solid, clear = _w(0xFFFFFFFF), _w(0)
            for x in range(_TILE):
                solid &= every[_u(_TILE) * column + _u(x)]
                clear |= some[_u(_TILE) * column + _u(x)]
            kinds[row, column] = np.uint8((1 if solid >> _w(24) < 255 else 0) + (2 if clear >> _w(24) > 0 else 0))
    result, ring, near = np.empty(kinds.shape, np.bool_), -(-reach // _TILE), np.empty(columns, np.uint8)
    for row in range(rows):
        near[:] = 1 if inside else 0
        for y in range(max(row - ring, 0), min(row + ring + 1, rows)):
            for column in range(_u(columns)):
                near[column] |= kinds[y, column]
        for column in range(columns):
            kind = np.uint8(0)
            for x in range(max(column - ring, 0), min(column + ring + 1, columns)):
                kind |= near[_u(x)]
            result[row, column] = kind == 3
    return result


@njit(inline="always")
def _run(tiles, column):
    """Returns the end of the run of true tiles that begins at a column; the column itself if there is none."""
    while column < len(tiles) and tiles[column]:
        column += 1
    return column


@njit(cache=True)
def _blur_rows(packed, weights, tiles):
    """Blurs along the rows, in 8.8 fixed point: red and blue, and green and alpha, as halves of (h, w) uint32. Pixels
    outside the tiles, or further from them than the blur reaches, are not set.
    """
    height, width = packed.shape
    first, second = np.empty((height, width), np.uint32), np.empty((height, width), np.uint32)
    reach = len(weights) // 2
    ring = -(-reach // _TILE)
    line = np.empty(width + 2 * reach, np.uint32)
    for row in range(tiles.shape[0]):
        # Columns of which a tile within the reach, up or down, is blurred.
        wanted = np.zeros(tiles.shape[1], np.bool_)
        for other in range(max(row - ring, 0), min(row + ring + 1, tiles.shape[0])):
            wanted |= tiles[other]
        if not wanted.any():
            continue
        for y in range(_TILE * row, min(_TILE * row + _TILE, height)):
            source = packed[y]
            line[:reach], line[reach + width :] = source[0], source[width - 1]
            for x in range(_u(width)):
                line[_u(reach) + x] = source[x]
            column = 0
            while column < len(wanted):
                end = _run(wanted, column)
                start, stop = _TILE * column, min(_TILE * end, width)
                if start < stop:
                    one, two, middle = first[y, start:stop], second[y, start:stop], line[start + reach : stop + reach]
                    weight = _w(weights[reach])
                    for x in range(stop - start):
                        one[x] = _w(weight * (middle[x] & _w(0xFF00FF)))
                        two[x] = _w(weight * ((middle[x] >> _w(8)) & _w(0xFF00FF)))
                    # The kernel is symmetric.
                    for tap in range(reach):
                        weight, before = _w(weights[tap]), line[start + tap : stop + tap]
                        after = line[start + 2 * reach - tap : stop + 2 * reach - tap]
                        for x in range(stop - start):
                            one[x] += _w(weight * _w((before[x] & _w(0xFF00FF)) + (after[x] & _w(0xFF00FF))))
                            two[x] += _w(
                                weight
                                * _w(((before[x] >> _w(8)) & _w(0xFF00FF)) + ((after[x] >> _w(8)) & _w(0xFF00FF)))
                            )
                column = end + 1
    return first, second


@njit(inline="always")
def _blur_column(first, second, weights, y, start, stop, sums):
    """Blurs a run of a row of `_blur_rows` along the columns: red, green, blue and alpha, (4, n) uint32, in 16.16."""
    reach, number = len(weights) // 2, stop - start
    reds, greens, blues, alphas = sums[0, :number], sums[1, :number], sums[2, :number], sums[3, :number]
    weight, one, two = _w(weights[reach]), first[y, start:stop], second[y, start:stop]
    for x in range(number):
        reds[x] = _w(weight * (one[x] & _w(0xFFFF)) + _w(1 << 15))
        blues[x] = _w(weight * (one[x] >> _w(16)) + _w(1 << 15))
        greens[x] = _w(weight * (two[x] & _w(0xFFFF)) + _w(1 << 15))
        alphas[x] = _w(weight * (two[x] >> _w(16)) + _w(1 << 15))
    for tap in range(reach):
        above, below = max(y + tap - reach, 0), min(y + reach - tap, first.shape[0] - 1)
        weight, one, two = _w(weights[tap]), first[above, start:stop], second[above, start:stop]
        one_below, two_below = first[below, start:stop], second[below, start:stop]
        for x in range(number):
            reds[x] += _w(weight * _w((one[x] & _w(0xFFFF)) + (one_below[x] & _w(0xFFFF))))
            blues[x] += _w(weight * _w((one[x] >> _w(16)) + (one_below[x] >> _w(16))))
            greens[x] += _w(weight * _w((two[x] & _w(0xFFFF)) + (two_below[x] & _w(0xFFFF))))
            alphas[x] += _w(weight * _w((two[x] >> _w(16)) + (two_below[x] >> _w(16))))


@njit(inline="always")
def _recolored(value, ratio, alpha):
    return min(_w(np.int32(np.rint(_f(np.int32(value)) * ratio))), alpha)


@njit(inline="always")
def _recolor(line, sums, inside):
    """Sets pixels from their blurred values, and keeps the side of 128 that their alphas are on."""
    number = len(line)
    reds, greens, blues, alphas = sums[0, :number], sums[1, :number], sums[2, :number], sums[3, :number]
    # Without branches, compilers turn this into vector instructions. No colour exceeds its alpha, blurred or not: where
    # the alpha stays, the ratio is 1 and so do the colours.
    for x in range(number):
        pixel, soft = line[x], alphas[x] >> _w(16)
        own = pixel >> _w(24)
        kept = own >= _w(128) and not inside
        held = max(soft, _w(128)) if own >= _w(128) else min(soft, _w(127))
        alpha = own if kept else soft
        ratio = _f(np.int32(held)) / _f(np.int32(max(alpha, _w(1))))
        red = _recolored(pixel & _w(255) if kept else reds[x] >> _w(16), ratio, held)
        green = _recolored((pixel >> _w(8)) & _w(255) if kept else greens[x] >> _w(16), ratio, held)
        blue = _recolored((pixel >> _w(16)) & _w(255) if kept else blues[x] >> _w(16), ratio, held)
        line[x] = red | green << _w(8) | blue << _w(16) | held << _w(24)


@njit(cache=True)
def soften(packed, margins, weights, inside):
    """Blurs packed pixels, or only their edge, and keeps alphas of at least 128 at 128 or more, the others below.

    Args:
        packed: (h, w) uint32.
        margins: Numbers of transparent pixels that are added for the blur at the top, at the bottom, on the left and on
            the right.
        weights: (n,) int64, the Gaussian kernel in 256ths.
        inside: Whether the colours of pixels with an alpha of at least 128 are blurred too.
    """
    result = _with_margins(packed, margins)
    height, width = result.shape
    tiles = _softened_tiles(result, len(weights) // 2, inside)
    first, second = _blur_rows(result, weights, tiles)
    sums = np.empty((4, width), np.uint32)
    for y in range(height):
        column, changed = 0, tiles[y // _TILE]
        while column < len(changed):
            end = _run(changed, column)
            start, stop = _TILE * column, min(_TILE * end, width)
            if start < stop:
                _blur_column(first, second, weights, y, start, stop, sums)
                _recolor(result[y, start:stop], sums, inside)
            column = end + 1
    return result
