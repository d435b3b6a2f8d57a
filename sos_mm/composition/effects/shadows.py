"""Shadows of objects, painted on the pixels behind them."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sos_mm.checks import check_range
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
    through = 255 - strength * shadow
    through = cv2.resize(np.rint(through).astype(np.uint8), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    window = image[y0:y1, x0:x1]
    cv2.multiply(window, cv2.cvtColor(through, cv2.COLOR_GRAY2RGB), dst=window, scale=1 / 255)


def shadow_box(sprite: Sprite, matrix: np.ndarray, sigma: float, canvas: tuple[int, int]) -> Box:
    """Computes the half-open xyxy box on the canvas outside which a shadow darkens nothing; empty if it misses the
    canvas.
    """
    rows, columns = sprite.window
    corners = np.array([[x, y, 1] for x in (columns.start, columns.stop) for y in (rows.start, rows.stop)])
    moved = corners @ np.asarray(matrix).T
    low = np.floor(moved.min(axis=0) - 3 * sigma - 1).astype(int)
    high = np.ceil(moved.max(axis=0) + 3 * sigma + 1).astype(int)
    return max(low[0], 0), max(low[1], 0), min(high[0], canvas[1]), min(high[1], canvas[0])


def _soft_silhouette(sprite: Sprite, matrix: np.ndarray, fading: np.ndarray, sigma: float, box: Box) -> np.ndarray:
    """Computes the transformed and blurred alpha, float32 in [0, 255], on a reduced copy of a box."""
    x0, y0, x1, y1 = box
    small = small_alpha(sprite, _SMALL).astype(np.float32)
    size = small.shape[1::-1]
    small *= cv2.resize(fading[:, None], (1, size[1]), interpolation=cv2.INTER_AREA)
    step = max(max(x1 - x0, y1 - y0) / _SMALL, 1)
    width, height = max(math.ceil((x1 - x0) / step), 1), max(math.ceil((y1 - y0) / step), 1)
    # Pixel centres: reduced sprite -> canvas -> transformed -> reduced box.
    rows, columns = sprite.rgba.shape[:2]
    to_canvas = _scaling(columns / size[0], rows / size[1], *sprite.offset)
    from_box = _scaling((x1 - x0) / width, (y1 - y0) / height, x0, y0)
    whole = np.linalg.inv(from_box) @ np.vstack([matrix, (0, 0, 1)]) @ to_canvas
    moved = cv2.warpAffine(small, whole[:2], (width, height), flags=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(moved, (0, 0), max(sigma / step, 0.5), borderType=cv2.BORDER_REPLICATE)


def _scaling(scale_x: float, scale_y: float, x: float, y: float) -> np.ndarray:
    """Computes the transform from pixel indices of a scaled image with its corner at (x, y) to canvas coordinates."""
    return np.array([[scale_x, 0, x + scale_x / 2], [0, scale_y, y + scale_y / 2], [0, 0, 1]])
