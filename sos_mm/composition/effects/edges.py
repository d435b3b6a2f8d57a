"""Edge feathering and depth of field, which change no mask."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.step import Frame, Step, register_step
from sos_mm.composition.place import Sprite, unpacked
from sos_mm.segments.segment import OPAQUE


@register_step
@dataclass(frozen=True)
class EdgeFeather(Step):
    """Softens an object's edge by a Gaussian; with a large one this is the Gaussian blending of cut-and-paste.

    Args:
        sigma: Standard deviation in pixels.
        share: Limit of ``sigma`` as a share of the object's shorter side, so that small objects stay recognisable.
    """

    sigma: float = 0.8
    share: float = 0.02

    def __post_init__(self):
        check_range("sigma", self.sigma, 0, 100)
        check_range("share", self.share, 0, 1)

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Softens the edge."""
        sigma = min(self.sigma, self.share * min(sprite.rgba.shape[:2]))
        return soften(sprite, sigma, frame.image.shape[:2], inside=False) if sigma >= 0.25 else sprite


@register_step
@dataclass(frozen=True)
class DepthOfField(Step):
    """Blurs objects by their distance from the plane in focus; objects without a depth stay sharp.

    One of the scene's objects, drawn uniformly, is in focus. Blur grows with the difference of inverse distances, as it
    does behind a lens.

    Args:
        strength: Standard deviation of the blur at infinity, as a share of the canvas's diagonal, when the
            nearest object is in focus.
        limit: Largest standard deviation in pixels.
    """

    strength: float = 0.003
    limit: float = 12.0

    def __post_init__(self):
        check_range("strength", self.strength, 0, 1)
        check_range("limit", self.limit, 0, 1000)

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Blurs the object."""
        if sprite.depth is None or frame.nearest is None or frame.focus is None:
            return sprite
        diagonal = math.hypot(*frame.image.shape[:2])
        sigma = self.strength * diagonal * frame.nearest * abs(1 / frame.focus - 1 / sprite.depth)
        return soften(sprite, min(sigma, self.limit), frame.image.shape[:2], inside=True) if sigma >= 0.25 else sprite


def soften(sprite: Sprite, sigma: float, canvas: tuple[int, int], inside: bool) -> Sprite:
    """Blurs a sprite's edge, or all of the sprite, without changing its mask.

    The blurred alpha is kept at 128 or more where it was, and under 128 where it was, so that the owner of every pixel
    stays the same. The sprite grows by the reach of the blur, inside the canvas. Premultiplied colours are blurred, so
    that colours of transparent pixels are not mixed in.

    Args:
        sprite: The sprite to blur.
        sigma: Standard deviation in pixels, above 0.
        canvas: Height and width of the canvas.
        inside: Whether all colours are blurred; otherwise only those of the edge pixels.
    """
    margin = math.ceil(3 * sigma)
    (x, y), (height, width) = sprite.offset, sprite.rgba.shape[:2]
    room = (y, canvas[0] - y - height, x, canvas[1] - x - width)
    top, bottom, left, right = margins = tuple(min(margin, side) for side in room)
    fast, offset = loops("sos_mm.composition.effects.edge_loops"), (x - left, y - top)
    if fast:
        packed = fast.soften(sprite.packed, margins, _fixed_point_kernel(sigma), inside)
        return replace(sprite, rgba=unpacked(packed), offset=offset)
    sharp = cv2.copyMakeBorder(sprite.rgba, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    # At the canvas's border the object is truncated: replicate its pixels.
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    wanted, opaque = cv2.extractChannel(blurred, 3), cv2.inRange(cv2.extractChannel(sharp, 3), OPAQUE, 255)
    held = cv2.copyTo(np.maximum(wanted, OPAQUE), opaque, np.minimum(wanted, OPAQUE - 1))
    colored = blurred if inside else cv2.copyTo(sharp, opaque, blurred)
    return replace(sprite, rgba=_with_alpha(colored, held), offset=offset)


@lru_cache(maxsize=64)
def _fixed_point_kernel(sigma: float) -> np.ndarray:
    """Computes the Gaussian kernel by which OpenCV blurs 8-bit images: (n,) int64 in 256ths, which add up to 256; n is
    odd, and weights of 0 at the ends are left out.
    """
    size = round(6 * sigma + 1) | 1
    weights, error = np.zeros(size, np.int64), 0.0
    # Each weight takes over the rounding error of the one before, and the middle one what is left.
    for index, weight in enumerate((cv2.getGaussianKernel(size, sigma) * 256).ravel()[: size // 2].tolist()):
        weights[[index, -1 - index]] = round(weight + error)
        error = weight + error - round(weight + error)
    weights[size // 2] = 256 - weights.sum()
    first = int(np.flatnonzero(weights)[0])
    return weights[first : size - first].copy()


def _with_alpha(rgba: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replaces the alpha of premultiplied pixels and keeps their straight colours; changes ``rgba`` in place."""
    # Only the few pixels of the edge change.
    changed = np.flatnonzero(cv2.extractChannel(rgba, 3) != alpha)
    pixels = rgba.reshape(-1, 4)
    source, new = pixels[changed].astype(np.float32), alpha.reshape(-1, 1)[changed]
    colors = np.rint(source[:, :3] * (new / np.maximum(source[:, 3:], 1)))
    pixels[changed] = np.concatenate([np.minimum(colors, new), new], axis=1).astype(np.uint8)
    return rgba
