"""Shadows of objects, painted on the pixels behind them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.step import Frame, Step, check_shares, register_step, small_alpha
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
        drift, rise = self.lean(frame.light)
        # Canvas coordinates: a point at height h over the base is projected to (x + drift h, base - rise h).
        matrix = np.array([[1, -drift, drift * bottom], [0, rise, bottom * (1 - rise)]])
        # Feathering may have grown the sprite beyond its extent.
        fading = np.clip((_rows(sprite) + 0.5 - top) / (bottom - top), 0, 1)
        sigma = self.softness * max(bottom - top, right - left)
        paint_shadow(frame.image, sprite, matrix, fading, sigma, self.strength)

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
        height = bottom - top
        nearness = np.clip(1 - (bottom - 1 - _rows(sprite)) / max(self.share * height, 1), 0, 1)
        matrix = np.array([[1, 0, 0], [0, 0.5, bottom * 0.5]])
        paint_shadow(frame.image, sprite, matrix, nearness, self.softness * max(height, right - left), self.strength)


def _rows(sprite: Sprite) -> np.ndarray:
    """Returns the canvas rows of a sprite, (h,) float32."""
    return np.arange(sprite.offset[1], sprite.offset[1] + sprite.rgba.shape[0], dtype=np.float32)


def paint_shadow(
    image: np.ndarray, sprite: Sprite, matrix: np.ndarray, fading: np.ndarray, sigma: float, strength: float
) -> None:
    """Darkens an image by the blurred, affinely transformed silhouette of a sprite.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place, only inside the bounding box of the transformed
            silhouette, widened by three standard deviations.
        sprite: The object that casts it.
        matrix: (2, 3) affine transform from the canvas to the canvas.
        fading: (h,) float32 in [0, 1], the weight of each row of the sprite.
        sigma: Standard deviation of the blur in pixels.
        strength: Share of the brightness that is removed in full shadow, in [0, 1].
    """
    x0, y0, x1, y1 = box = shadow_box(sprite, matrix, sigma, image.shape[:2])
    if x0 >= x1 or y0 >= y1:
        return
    shadow = _soft_silhouette(sprite, matrix, fading, sigma, box)
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


def shadow_box(sprite: Sprite, matrix: np.ndarray, sigma: float, canvas: tuple[int, int]) -> Box:
    """Computes the half-open xyxy box on the canvas outside which a shadow darkens nothing; empty if it misses the
    canvas.
    """
    rows, columns = sprite.window
    corners = [(x, y) for x in (columns.start, columns.stop) for y in (rows.start, rows.stop)]
    # In plain numbers: small arrays are slow to create.
    low, high = [], []
    for by_x, by_y, shift in np.asarray(matrix).tolist():
        moved = [by_x * x + by_y * y + shift for x, y in corners]
        low.append(max(math.floor(min(moved) - 3 * sigma - 1), 0))
        high.append(math.ceil(max(moved) + 3 * sigma + 1))
    return low[0], low[1], min(high[0], canvas[1]), min(high[1], canvas[0])


def _soft_silhouette(sprite: Sprite, matrix: np.ndarray, fading: np.ndarray, sigma: float, box: Box) -> np.ndarray:
    """Computes the transformed and blurred alpha, float32 in [0, 255], on a reduced copy of a box."""
    x0, y0, x1, y1 = box
    small = small_alpha(sprite, _SMALL).astype(np.float32)
    size = small.shape[1::-1]
    small *= cv2.resize(fading[:, None], (1, size[1]), interpolation=cv2.INTER_AREA)
    step = max(max(x1 - x0, y1 - y0) / _SMALL, 1)
    width, height = max(math.ceil((x1 - x0) / step), 1), max(math.ceil((y1 - y0) / step), 1)
    # Pixel centres: reduced sprite -> canvas -> transformed -> reduced box.
    across, down = sprite.rgba.shape[1] / size[0], sprite.rgba.shape[0] / size[1]
    x, y = sprite.offset[0] + across / 2, sprite.offset[1] + down / 2
    whole = []
    for (by_x, by_y, shift), start, scale in zip(
        np.asarray(matrix).tolist(), (x0, y0), ((x1 - x0) / width, (y1 - y0) / height), strict=True
    ):
        whole.append([by_x * across / scale, by_y * down / scale, (by_x * x + by_y * y + shift - start) / scale - 0.5])
    moved = cv2.warpAffine(small, np.array(whole), (width, height), flags=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(moved, (0, 0), max(sigma / step, 0.5), borderType=cv2.BORDER_REPLICATE)
