"""Loops over the pixels of sprites, compiled by numba. Without numba nothing imports this file.

Each result equals, bit by bit, that of the numpy and OpenCV code at the place that calls it. Pixels are premultiplied.
Packed ones are C-contiguous (h, w) uint32, red in the lowest byte and alpha in the highest, which compilers turn into
vector instructions. Sums of floats keep OpenCV's order. Indices are unsigned, since signed ones may count from the end.
"""

import numpy as np
from numba import njit

_u, _w, _f = np.uint64, np.uint32, np.float32


@njit(cache=True)
def _area_weights(length, target):
    """Computes, for each new pixel, the first old one that it covers, their number, and their shares of it."""
    scale = 1 / (target / length)
    firsts, numbers = np.zeros(target, np.int64), np.zeros(target, np.int64)
    weights = np.zeros((target, int(np.ceil(scale)) + 2), np.float32)
    for place in range(target):
        start = place * scale
        stop = start + scale
        cell = min(scale, length - start)
        last = min(int(np.floor(stop)), length - 1)
        first = min(int(np.ceil(start)), last)
        number = 0
        firsts[place] = first
        if first - start > 1e-3:
            firsts[place] = first - 1
            weights[place, number] = _f((first - start) / cell)
            number += 1
        for _ in range(first, last):
            weights[place, number] = _f(1 / cell)
            number += 1
        if stop - last > 1e-3:
            weights[place, number] = _f(min(min(stop - last, 1.0), cell) / cell)
            number += 1
        numbers[place] = number
    return firsts, numbers, weights


@njit(inline="always")
def _share(value, alpha):
    """Returns value * alpha / 255, rounded, for integers in [0, 255]."""
    product = _w(value * alpha + _w(128))
    return _w(_w(product + (product >> _w(8))) >> _w(8))


@njit(inline="always")
def _premultiply(source, target):
    """Sets premultiplied pixels from straight ones, which are packed too."""
    for x in range(len(source)):
        pixel = source[x]
        alpha = pixel >> _w(24)
        # Red and blue at once, as two halves; each as `_share`.
        both = _w((pixel & _w(0xFF00FF)) * alpha + _w(0x800080))
        both = (_w(both + ((both >> _w(8)) & _w(0xFF00FF))) >> _w(8)) & _w(0xFF00FF)
        target[x] = both | _share((pixel >> _w(8)) & _w(255), alpha) << _w(8) | alpha << _w(24)


@njit(cache=True)
def premultiply(straight):
    """Premultiplies packed straight pixels."""
    result = np.empty(straight.shape, np.uint32)
    for y in range(straight.shape[0]):
        _premultiply(straight[y], result[y])
    return result


@njit(cache=True)
def limit_colors(packed):
    """Limits the colours of packed pixels to their alpha, in place."""
    for y in range(packed.shape[0]):
        row = packed[y]
        for x in range(packed.shape[1]):
            pixel = row[x]
            alpha = pixel >> _w(24)
            red, green = min(pixel & _w(255), alpha), min((pixel >> _w(8)) & _w(255), alpha)
            row[x] = red | green << _w(8) | min((pixel >> _w(16)) & _w(255), alpha) << _w(16) | alpha << _w(24)


@njit(cache=True)
def reduce_area(straight, height, width, flipped):
    """Premultiplies packed straight pixels and averages them by area, as `cv2.resize` with INTER_AREA does for scales
    that are not integers, and then mirrors them, if ``flipped``; returns (height, width, 4) uint8.
    """
    rows, columns = straight.shape
    left, across, share = _area_weights(columns, width)
    top, down, weight = _area_weights(rows, height)
    packed, result = np.empty(columns, np.uint32), np.empty((height, 4 * width), np.uint8)
    row = packed.view(np.uint8)
    # All pixels take the same number of old ones, some with a share of zero: a loop of constant length is faster.
    taps = _u(across.max())
    line = np.zeros(4 * (columns + share.shape[1]), np.float32)
    reduced, total = np.empty(4 * width, np.float32), np.empty(4 * width, np.float32)
    known = -1
    for y in range(height):
        for number in range(down[y]):
            # A row on the border of two new ones is reduced once.
            if top[y] + number != known:
                known = top[y] + number
                _premultiply(straight[known], packed)
                for place in range(4 * columns):
                    line[place] = _f(row[place])
                for x in range(width):
                    red, green, blue, alpha = _f(0), _f(0), _f(0), _f(0)
                    place = _u(4 * left[x])
                    for step in range(taps):
                        factor = share[_u(x), step]
                        red += line[place] * factor
                        green += line[place + _u(1)] * factor
                        blue += line[place + _u(2)] * factor
                        alpha += line[place + _u(3)] * factor
                        place += _u(4)
                    place = _u(4 * (width - 1 - x if flipped else x))
                    reduced[place], reduced[place + _u(1)] = red, green
                    reduced[place + _u(2)], reduced[place + _u(3)] = blue, alpha
            factor = weight[y, number]
            if number == 0:
                for place in range(4 * width):
                    total[place] = factor * reduced[place]
            else:
                for place in range(4 * width):
                    total[place] += factor * reduced[place]
        target = result[y]
        for place in range(4 * width):
            target[place] = np.uint8(np.int32(np.rint(total[place])))
    return result.reshape(height, width, 4)


@njit(cache=True)
def reduce_plane(values, height, width):
    """Averages (h, w) uint8 values by area, as `reduce_area` does for pixels."""
    rows, columns = values.shape
    left, across, share = _area_weights(columns, width)
    top, down, weight = _area_weights(rows, height)
    taps, result = _u(across.max()), np.empty((height, width), np.uint8)
    line = np.zeros(columns + share.shape[1], np.float32)
    reduced, total = np.empty(width, np.float32), np.empty(width, np.float32)
    known = -1
    for y in range(height):
        for number in range(down[y]):
            if top[y] + number != known:
                known = top[y] + number
                row = values[known]
                for x in range(columns):
                    line[x] = _f(row[x])
                for x in range(width):
                    mean, start = _f(0), _u(left[x])
                    for step in range(taps):
                        mean += line[start + _u(step)] * share[_u(x), step]
                    reduced[x] = mean
            factor = weight[y, number]
            for x in range(width):
                total[x] = factor * reduced[x] if number == 0 else total[x] + factor * reduced[x]
        for x in range(width):
            result[y, x] = np.uint8(np.int32(np.rint(total[x])))
    return result


@njit(inline="always")
def _curved(curve, value, alpha):
    """Maps a premultiplied value by the curve of its straight one."""
    straight = min(_w(_w(value * _w(255) + alpha // _w(2)) // alpha), _w(255))
    return _share(curve[_u(straight)], alpha)


@njit(cache=True)
def map_colors(packed, curves):
    """Maps the straight colours of packed pixels by a curve for each channel, (256, 3) uint8, which keep black."""
    height, width = packed.shape
    result = np.empty((height, width), np.uint32)
    reds, greens, blues = curves[:, 0].astype(_w), curves[:, 1].astype(_w), curves[:, 2].astype(_w)
    for y in range(height):
        source, target = packed[y], result[y]
        for x in range(width):
            pixel = source[x]
            red, green, blue, alpha = (
                pixel & _w(255),
                (pixel >> _w(8)) & _w(255),
                (pixel >> _w(16)) & _w(255),
                pixel >> _w(24),
            )
            if alpha == 255:
                red, green, blue = reds[_u(red)], greens[_u(green)], blues[_u(blue)]
            elif alpha > 0:
                red, green, blue = _curved(reds, red, alpha), _curved(greens, green, alpha), _curved(blues, blue, alpha)
            target[x] = red | green << _w(8) | blue << _w(16) | alpha << _w(24)
    return result


@njit(inline="always")
def _scaled(value, factor, alpha):
    """Returns value * factor / 128 up to alpha; half a level is rounded to the even one."""
    product = _w(value * factor)
    return min(_w(_w(product + _w(63) + ((product >> _w(7)) & _w(1))) >> _w(7)), alpha)


@njit(cache=True)
def scale_colors(packed, gain):
    """Multiplies the colours of packed pixels by a gain, 128 for no change, up to their alpha; the (h, w) uint8 gain is
    enlarged bilinearly.
    """
    height, width = packed.shape
    result, rows, columns = np.empty((height, width), np.uint32), gain.shape[0], gain.shape[1]
    left, across = _linear_weights(columns, width)
    top, down = _linear_weights(rows, height)
    wide = np.empty((rows, width), np.int32)
    for row in range(rows):
        for x in range(width):
            one, two = max(left[x], 0), min(left[x] + 1, columns - 1)
            if left[x] < 0 or left[x] >= columns - 1:
                wide[row, x] = np.int32(gain[row, _u(one)]) * np.int32(2048)
            else:
                wide[row, x] = gain[row, _u(one)] * across[x, 0] + gain[row, _u(two)] * across[x, 1]
    for y in range(height):
        above, below = wide[min(max(top[y], 0), rows - 1)], wide[min(max(top[y] + 1, 0), rows - 1)]
        upper, lower, source, target = down[y, 0], down[y, 1], packed[y], result[y]
        for x in range(width):
            value = ((upper * (above[x] >> 4)) >> 16) + ((lower * (below[x] >> 4)) >> 16)
            pixel, factor = source[x], _w((value + 2) >> 2)
            alpha = pixel >> _w(24)
            red = _scaled(pixel & _w(255), factor, alpha)
            green = _scaled((pixel >> _w(8)) & _w(255), factor, alpha)
            blue = _scaled((pixel >> _w(16)) & _w(255), factor, alpha)
            target[x] = red | green << _w(8) | blue << _w(16) | alpha << _w(24)
    return result


@njit(inline="always")
def _moved(value, over, under, alpha):
    return min(value + over - min(under, value + over), alpha)


@njit(cache=True)
def add_grain(packed, noise, factor):
    """Adds an (h, w) uint8 noise around 128, times a factor and alpha, to the colours of packed pixels. Colours stay in
    [0, alpha].
    """
    height, width = packed.shape
    over, under = np.empty(256, np.uint32), np.empty(256, np.uint32)
    for level in range(256):
        change = np.rint((level - 128) * factor)
        over[level], under[level] = _w(min(max(change, 0.0), 255.0)), _w(min(max(-change, 0.0), 255.0))
    result = np.empty((height, width), np.uint32)
    more, less = np.empty(width, np.uint32), np.empty(width, np.uint32)
    for y in range(height):
        source, target = packed[y], result[y]
        for x in range(width):
            level = _u(noise[y, x])
            more[x], less[x] = over[level], under[level]
        for x in range(width):
            pixel = source[x]
            alpha = pixel >> _w(24)
            plus, minus = _share(more[x], alpha), _share(less[x], alpha)
            red = _moved(pixel & _w(255), plus, minus, alpha)
            green = _moved((pixel >> _w(8)) & _w(255), plus, minus, alpha)
            blue = _moved((pixel >> _w(16)) & _w(255), plus, minus, alpha)
            target[x] = red | green << _w(8) | blue << _w(16) | alpha << _w(24)
    return result


@njit(cache=True)
def median_noise(image):
    """Returns the median magnitude, up to 255, of the response of an image's green channel to [1 -2 1] along both axes:
    the least one that at least half of the pixels do not exceed.
    """
    height, width = image.shape[:2]
    counts = np.zeros(256, np.int64)
    line = np.empty(width, np.int32)
    for y in range(height):
        # The border reflects without repeating its pixels.
        above, below = (y - 1 if y else min(1, height - 1)), (y + 1 if y + 1 < height else max(height - 2, 0))
        for x in range(_u(width)):
            middle = np.int32(image[_u(y), x, 1])
            line[x] = np.int32(image[_u(above), x, 1]) - 2 * middle + np.int32(image[_u(below), x, 1])
        for x in range(width):
            left, right = (x - 1 if x else min(1, width - 1)), (x + 1 if x + 1 < width else max(width - 2, 0))
            size = abs(line[_u(left)] - 2 * line[_u(x)] + line[_u(right)])
            counts[_u(min(size, 255))] += 1
    size, number = 0, counts[0]
    while 2 * number < height * width:
        size += 1
        number += counts[size]
    return size


@njit(inline="always")
def _over(value, behind, alpha):
    """Composites a premultiplied value of an alpha over another one."""
    return np.uint8(min(value + _share(_w(behind), _w(255) - alpha), _w(255)))


@njit(cache=True)
def paint(window, packed, red, blue):
    """Composites packed pixels over an (h, w, 3) uint8 window in place, with red and blue at these places."""
    height, width = packed.shape
    red, blue, green = _u(red), _u(blue), _u(1)
    for y in range(_u(height)):
        for x in range(_u(width)):
            pixel = packed[y, x]
            alpha = pixel >> _w(24)
            if alpha == 255:
                window[y, x, red], window[y, x, green] = np.uint8(pixel), np.uint8(pixel >> _w(8))
                window[y, x, blue] = np.uint8(pixel >> _w(16))
            elif alpha > 0:
                window[y, x, red] = _over(pixel & _w(255), window[y, x, red], alpha)
                window[y, x, green] = _over((pixel >> _w(8)) & _w(255), window[y, x, green], alpha)
                window[y, x, blue] = _over((pixel >> _w(16)) & _w(255), window[y, x, blue], alpha)


@njit(cache=True)
def _linear_weights(length, target):
    """Computes, for each new pixel, the old one before it and the weights of that and the next, in 2048ths, as
    `cv2.resize` with INTER_LINEAR does for 8 bits.
    """
    scale = 1 / (target / length)
    firsts, weights = np.empty(target, np.int64), np.empty((target, 2), np.int32)
    for place in range(target):
        at = _f((place + 0.5) * scale - 0.5)
        first = np.floor(at)
        share = _f(at - first)
        firsts[place] = int(first)
        weights[place, 0] = np.int32(np.rint(_f(_f(1) - share) * _f(2048)))
        weights[place, 1] = np.int32(np.rint(share * _f(2048)))
    return firsts, weights


@njit(cache=True)
def darken(image, box, shadow, strength):
    """Multiplies a box, xyxy, of a C-contiguous (H, W, 3) uint8 image in place by 1 - strength * shadow / 255, rounded
    to levels and enlarged bilinearly from the (h, w) float32 shadow, which is in [0, 255].
    """
    x0, y0, x1, y1 = box
    height, width, flat = y1 - y0, x1 - x0, image.reshape(image.shape[0], 3 * image.shape[1])
    left, across = _linear_weights(shadow.shape[1], width)
    top, down = _linear_weights(shadow.shape[0], height)
    rows, columns = shadow.shape
    # Enlarged along the rows, each value once for every channel; rows without shadow are not.
    wide, through = np.empty((rows, 3 * width), np.int32), np.empty(columns, np.int32)
    shaded, first, last = np.zeros(rows, np.bool_), width, 0
    for row in range(rows):
        begin, end = columns, 0
        for column in range(columns):
            through[column] = np.int32(np.rint(_f(255) - strength * shadow[row, column]))
            if through[column] < 255:
                begin, end = min(begin, column), column + 1
        if begin >= end:
            wide[row] = 255 * 2048
            continue
        shaded[row] = True
        for x in range(width):
            one, two = max(left[x], 0), min(left[x] + 1, columns - 1)
            value = through[_u(one)] * across[x, 0] + through[_u(two)] * across[x, 1]
            if left[x] < 0 or left[x] >= columns - 1:
                value = through[_u(one)] * np.int32(2048)
            place = _u(3 * x)
            wide[row, place], wide[row, place + _u(1)], wide[row, place + _u(2)] = value, value, value
            if begin - 1 <= left[x] < end:
                first, last = min(first, x), max(last, x + 1)
    first, last = 3 * first, 3 * last
    for y in range(height):
        above, below = min(max(top[y], 0), rows - 1), min(max(top[y] + 1, 0), rows - 1)
        if shaded[above] or shaded[below]:
            one, two, line = wide[above, first:last], wide[below, first:last], flat[y0 + y][3 * x0 :][first:last]
            upper, lower = down[y, 0], down[y, 1]
            for place in range(last - first):
                value = ((upper * (one[place] >> 4)) >> 16) + ((lower * (two[place] >> 4)) >> 16)
                line[place] = np.uint8(_share(_w(line[place]), _w((value + 2) >> 2)))


@njit(cache=True)
def alpha_of(packed):
    """Returns the alpha of packed pixels, (h, w) uint8."""
    result = np.empty(packed.shape, np.uint8)
    for y in range(packed.shape[0]):
        source, target = packed[y], result[y]
        for x in range(packed.shape[1]):
            target[x] = np.uint8(source[x] >> _w(24))
    return result


@njit(cache=True)
def uncover(alpha, taken, min_area, min_share):
    """Finds the opaque pixels of an alpha that are not taken, and takes them if they are enough; see `Sprite.uncover`.

    Returns:
        (h, w) bool, these pixels; their number; and the number of all opaque pixels.
    """
    seen = np.empty(alpha.shape, np.uint8)
    number, area = 0, 0
    for y in range(alpha.shape[0]):
        own, others, row = alpha[y], taken[y].view(np.uint8), seen[y]
        for x in range(len(row)):
            row[x] = (own[x] >> np.uint8(7)) & (others[x] ^ np.uint8(1))
        # A row's sums have 32 bits: more of them fit into a vector.
        free, opaque = _w(0), _w(0)
        for x in range(len(row)):
            free += _w(row[x])
            opaque += _w(own[x] >> np.uint8(7))
        number, area = number + free, area + opaque
    if number >= max(min_area, min_share * area):
        for y in range(alpha.shape[0]):
            others, row = taken[y].view(np.uint8), seen[y]
            for x in range(len(row)):
                others[x] |= row[x]
    return seen.view(np.bool_), number, area


@njit(cache=True)
def mark(window, mask, value):
    """Sets a value where an (h, w) bool mask is true, in place."""
    for y in range(mask.shape[0]):
        row = mask[y]
        for x in range(mask.shape[1]):
            if row[x]:
                window[y, x] = value
