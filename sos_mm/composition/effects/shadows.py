"""Shadows of objects, painted on the pixels behind them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.silhouettes import blur, gaussian_kernel, small_alpha
from sos_mm.composition.effects.step import Frame, Step, check_shares, register_step
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Box, Light

# Shadows are soft: they are computed with at most so many pixels a side, and enlarged.
_SMALL = 64
# Thickness, in heights of the object: a flat card seen edge on would cast a line.
_DEPTH = 0.12


@register_step
@dataclass(frozen=True)
class CastShadow(Step):
    """Cast shadow: the silhouette projected on the ground, away from the light.

    The object is modelled as a card that stands upright on its lowest row. Its shadow is darkest there and fades to
    nothing with height, since there may be no ground where an object is placed. It darkens by a factor, so black
    stays black.

    Args:
        strength: Largest share of the brightness that is removed, in [0, 1].
        softness: Standard deviation of its edge, as a share of the object's longer side.
        ground: Foreshortening of the ground: height in the image of a unit on the ground, in (0, 1].
        longest: Length of the longest shadow, in heights of the object.
    """

    strength: float = 0.3
    softness: float = 0.03
    ground: float = 0.35
    longest: float = 0.6

    def __post_init__(self):
        check_shares(self, "strength")
        check_range("softness", self.softness, 0.001, 1)
        check_range("ground", self.ground, 0.01, 1)
        check_range("longest", self.longest, 0, 10)

    def underlay(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> None:
        """Darkens the pixels behind the object."""
        left, top, right, bottom = sprite.extent
        sigma = self.softness * max(bottom - top, right - left)
        paint_shadow(frame.image, sprite, self.lean(frame.light), (top, bottom), sigma, self.strength)

    def lean(self, light: Light) -> tuple[float, float]:
        """Computes how far a shadow reaches to the right and upwards in the image, in heights of the object."""
        away = min(1 / math.tan(math.radians(light.elevation)), self.longest) if light.elevation < 90 else 0.0
        x, _, viewer = light.direction
        flat = max(math.hypot(x, viewer), 1e-9)
        rise = self.ground * away * viewer / flat
        return -away * x / flat, math.copysign(max(abs(rise), _DEPTH), rise)


@register_step
@dataclass(frozen=True)
class ContactShadow(Step):
    """Contact shadow: a dark seam at the ground from the object's lowest part, flattened and blurred.

    Args:
        strength: Largest share of the brightness that is removed, in [0, 1].
        share: Part of the object's height, from its lowest row, that counts as near the ground.
        softness: Standard deviation of its edge, as a share of the object's longer side.
    """

    strength: float = 0.35
    share: float = 0.12
    softness: float = 0.02

    def __post_init__(self):
        check_shares(self, "strength", "share")
        check_range("softness", self.softness, 0.001, 1)

    def underlay(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> None:
        """Darkens the pixels behind the object's lowest part."""
        left, top, right, bottom = sprite.extent
        sigma = self.softness * max(bottom - top, right - left)
        # The weight of the lowest row is 1 at its centre.
        low = bottom - 0.5
        near = low - max(self.share * (bottom - top), 1), low
        paint_shadow(frame.image, sprite, (0.0, 0.5), near, sigma, self.strength)


def paint_shadow(
    image: np.ndarray,
    sprite: Sprite,
    lean: tuple[float, float],
    ramp: tuple[float, float],
    sigma: float,
    strength: float,
) -> None:
    """Darkens an image by the blurred silhouette of a sprite, projected from a card that stands on its lowest row.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place, only inside the bounding box of the projected
            silhouette, widened by three standard deviations.
        sprite: The object that casts it.
        lean: How far the shadow of a point reaches to the right and upwards in the image, in heights of the point over
            the lowest row; upwards must not be 0.
        ramp: Rows of the canvas at whose upper edges the weight of the sprite's rows begins to rise from 0, and is 1.
        sigma: Standard deviation of the blur in pixels.
        strength: Share of the brightness that is removed in full shadow, in [0, 1].
    """
    x0, y0, x1, y1 = box = shadow_box(sprite, lean, sigma, image.shape[:2])
    if x0 >= x1 or y0 >= y1:
        return
    shadow = _soft_silhouette(sprite, lean, ramp, sigma, box)
    fast, factor = loops("sos_mm.composition.loops"), np.float32(strength)
    if fast and image.flags.c_contiguous:
        fast.darken(image, box, shadow, factor)
        return
    small = np.rint(255 - factor * shadow).astype(np.uint8)
    through = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    part = _enlarged(cv2.boundingRect(cv2.bitwise_not(small)), small.shape, through.shape)
    window = image[y0:y1, x0:x1][part]
    if window.size:
        cv2.multiply(window, cv2.cvtColor(through[part], cv2.COLOR_GRAY2RGB), dst=window, scale=1 / 255)


def _enlarged(box: Sequence[int], small: tuple[int, ...], size: tuple[int, ...]) -> tuple[slice, slice]:
    """Returns the rows and columns that a box, xywh, of an image can change when the image is enlarged bilinearly."""
    parts = []
    for start, length, old, new in zip(box[1::-1], box[:1:-1], small, size, strict=True):
        reach = length > 0
        first, last = math.floor((start - 1) * new / old), math.ceil((start + length + 1) * new / old)
        parts.append(slice(max(first, 0), last if reach else 0))
    return parts[0], parts[1]


def shadow_box(sprite: Sprite, lean: tuple[float, float], sigma: float, canvas: tuple[int, int]) -> Box:
    """Computes the half-open xyxy box on the canvas outside which a shadow darkens nothing; empty if it misses the
    canvas.
    """
    rows, columns = sprite.window
    bottom = sprite.extent[3]
    above, below = bottom - rows.start, bottom - rows.stop
    left, right = sorted((lean[0] * above, lean[0] * below))
    top, low = sorted((bottom - lean[1] * above, bottom - lean[1] * below))
    margin = 3 * sigma + 1
    return (
        max(math.floor(columns.start + left - margin), 0),
        max(math.floor(top - margin), 0),
        min(math.ceil(columns.stop + right + margin), canvas[1]),
        min(math.ceil(low + margin), canvas[0]),
    )


def _soft_silhouette(
    sprite: Sprite, lean: tuple[float, float], ramp: tuple[float, float], sigma: float, box: Box
) -> np.ndarray:
    """Computes the projected and blurred alpha, float32 in [0, 255], on a reduced copy of a box."""
    x0, y0, x1, y1 = box
    alpha = small_alpha(sprite, _SMALL)
    rows, columns = alpha.shape
    step = max(max(x1 - x0, y1 - y0) / _SMALL, 1)
    width, height = max(math.ceil((x1 - x0) / step), 1), max(math.ceil((y1 - y0) / step), 1)
    # Pixel centres: reduced box -> canvas -> the sprite before projection -> reduced sprite.
    (left, top), bottom = sprite.offset, sprite.extent[3]
    wide, high = columns / sprite.rgba.shape[1], rows / sprite.rgba.shape[0]
    by_y = (y1 - y0) / height / lean[1]
    start = bottom - (bottom - y0 - (y1 - y0) / height / 2) / lean[1]
    down = by_y * high, (start - top) * high - 0.5
    by_x = (x1 - x0) / width
    across = by_x * wide, lean[0] * by_y * wide, (x0 + by_x / 2 - lean[0] * (bottom - start) - left) * wide - 0.5
    # The top of the reduced sprite, and the height of its rows, on the way up the ramp.
    rise = (top - ramp[0]) / (ramp[1] - ramp[0]), 1 / high / (ramp[1] - ramp[0])
    kernel = gaussian_kernel(max(sigma / step, 0.5))
    fast = loops("sos_mm.composition.effects.silhouette_loops")
    if fast:
        return fast.soft_silhouette(alpha, rise, down, across, kernel, height, width)
    moved = _project(alpha.astype(np.float32) * _weights(rise, rows)[:, None], down, across, (height, width))
    return blur(moved, kernel)


def _weights(rise: tuple[float, float], rows: int) -> np.ndarray:
    """Computes the mean weight of each row of a reduced sprite, (rows,) float32; see `soft_silhouette`."""
    edges = rise[0] + rise[1] * np.arange(rows + 1)
    # The integral of the weight.
    within = np.minimum(np.maximum(edges, 0), 1)
    integral = within * within / 2 + np.maximum(edges - 1, 0)
    return ((integral[1:] - integral[:-1]) / rise[1]).astype(np.float32)


def _project(
    values: np.ndarray, down: tuple[float, float], across: tuple[float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """Samples (h, w) float32 values, 0 outside, bilinearly at the rows and columns of `soft_silhouette`."""
    at, padded = down[0] * np.arange(size[0]) + down[1], np.pad(values, ((1, 2), (1, 2)))
    indices, shares = _neighbours(at, len(values))
    mixed = (1 - shares[:, None]) * padded[indices] + shares[:, None] * padded[indices + 1]
    y, x = np.indices(size, sparse=True)
    indices, shares = _neighbours(across[0] * x + across[1] * y + across[2], values.shape[1])
    return (1 - shares) * np.take_along_axis(mixed, indices, 1) + shares * np.take_along_axis(mixed, indices + 1, 1)


def _neighbours(at: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index before each position in values with a 0 before and two after them, and the share of the next
    one, float32.
    """
    first = np.floor(at)
    inside = (first >= -1) & (first < length)
    return np.where(inside, first + 1, length + 1).astype(np.int64), np.where(inside, at - first, 0).astype(np.float32)
