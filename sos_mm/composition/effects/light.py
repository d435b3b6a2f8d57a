"""Classical light effects on objects: colour harmonisation with the background, and directional shading."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.lab import Statistics, level_shift, squared_distance, statistics
from sos_mm.composition.effects.silhouettes import blur, gaussian_kernel, small_alpha
from sos_mm.composition.effects.step import Frame, Step, check_shares, register_step
from sos_mm.composition.place import Sprite
from sos_mm.segments.segment import OPAQUE

# Shading is computed on images of at most so many pixels a side, statistics on about so many pixels.
_SMALL = 32
_SAMPLES = 24
# Weight of the shift at each level, in [0, 1]: black never moves, white only downwards.
_LEVELS = np.arange(256.0)[:, None]
_UP = _LEVELS * (255 - _LEVELS) * (4 / 255**2)
_DOWN = _LEVELS * (510 - _LEVELS) / 255**2


@register_step
@dataclass(frozen=True)
class Harmonize(Step):
    """Moves an object's mean and spread in Lab part of the way to those of the background around it.

    The colours are moved by curves, one for each RGB channel. Black is fixed, so that a crow before a bright sky is not
    fogged. White is fixed when a curve brightens, but may darken, as in less light.

    Args:
        strength: Share of the way for lightness, in [0, 1].
        chroma: The same for chroma: small, so that a red apple stays red on a lawn.
        limit: Largest shift of a curve, in levels of 255, in [0, 36].
        reach: Width of the neighbourhood, as a share of the object's longer side.
    """

    strength: float = 0.3
    chroma: float = 0.15
    limit: float = 20.0
    reach: float = 0.3

    def __post_init__(self):
        check_shares(self, "strength", "chroma")
        check_range("limit", self.limit, 0, 36)
        check_range("reach", self.reach, 0.01, 10)

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Moves the object's colours; without a background it is not changed."""
        if frame.bare:
            return sprite
        curves = self._curves_for(sprite, frame.image)
        if not len(curves):
            return sprite
        fast = loops("sos_mm.composition.loops")
        if fast:
            return sprite.recolored(fast.map_colors(sprite.packed, curves))
        curves = np.concatenate([curves, _LEVELS.astype(np.uint8)], axis=1)[None]
        straight = cv2.cvtColor(sprite.rgba, cv2.COLOR_mRGBA2RGBA)
        return replace(sprite, rgba=cv2.cvtColor(cv2.LUT(straight, curves), cv2.COLOR_RGBA2mRGBA))

    def _curves_for(self, sprite: Sprite, image: np.ndarray) -> np.ndarray:
        """Computes the curves of an object, (256, 3) uint8; (0, 3) if it does not change."""
        fast = loops("sos_mm.composition.effects.harmony_loops")
        if fast:
            margin = neighbourhood_width(sprite, self.reach)
            settings = float(self.strength), float(self.chroma), float(self.limit)
            return fast.harmonized(
                sprite.rgba, image, sprite.offset, margin, _SAMPLES, settings, _UP[:, 0], _DOWN[:, 0]
            )
        own, around = neighbourhood(sprite, image, self.reach)
        if len(own) < 8 or len(around) < 8:
            return np.empty((0, 3), np.uint8)
        before, goal = statistics(own), statistics(around)
        curves = self._curves(own, before, goal)
        after = statistics(cv2.LUT(own[None], curves[None])[0])
        # Channels at 0 or 255 may not move: if the result is further from the goal, the object is not changed.
        if squared_distance(after, goal) >= squared_distance(before, goal):
            return np.empty((0, 3), np.uint8)
        return curves

    def _curves(self, own: np.ndarray, before: Statistics, goal: Statistics) -> np.ndarray:
        """Computes the curves, (256, 3) uint8: the new levels of each channel.

        Args:
            own: (N, 3) uint8 RGB of the object.
            before: Its statistics.
            goal: Those of its neighbourhood.
        """
        shift = level_shift(before, goal, self.strength, self.chroma)
        contrast = self.strength * (min(max(goal[3] / max(before[3], 1), 0.7), 1.4) - 1)
        # Sums of integers are exact in any order.
        levels = own.astype(np.int64)
        up, down = (levels * (255 - levels)).sum(axis=0) * 4, (levels * (510 - levels)).sum(axis=0)
        share = np.where(shift < 0, down, up) / (255**2 * len(own))
        shift = np.minimum(np.maximum(shift / np.maximum(share, 0.05), -self.limit), self.limit)
        middle = levels.sum() / levels.size
        stretched = np.minimum(np.maximum(contrast * (_LEVELS - middle), -25), 25)
        # With the largest shift, 36, this stays below 64, from which on a curve would not be monotonic.
        moved = _LEVELS + np.where(shift < 0, _DOWN, _UP) * shift + _UP * stretched
        return np.minimum(np.maximum(np.rint(moved), 0), 255).astype(np.uint8)


def neighbourhood_width(sprite: Sprite, reach: float) -> int:
    """Returns the width of an object's neighbourhood, ``reach`` times its longer side, in pixels."""
    return math.ceil(reach * max(sprite.rgba.shape[:2]))


def neighbourhood(sprite: Sprite, image: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns RGB colours of an object and of its surroundings, from reduced images.

    Args:
        sprite: The object.
        image: (H, W, 3) uint8 RGB on which it is painted.
        reach: Width of the neighbourhood, as a share of the object's longer side.

    Returns:
        (N, 3) uint8 straight colours of the object's opaque pixels, and (M, 3) uint8 colours of the surrounding pixels
        where it is transparent; either may be empty.
    """
    height, width = sprite.rgba.shape[:2]
    margin = neighbourhood_width(sprite, reach)
    x, y = sprite.offset
    left, top = max(x - margin, 0), max(y - margin, 0)
    behind = image[top : y + height + margin, left : x + width + margin]
    step = max(behind.shape[0] // _SAMPLES, behind.shape[1] // _SAMPLES, 1)
    behind = behind[::step, ::step]
    free = np.ones(behind.shape[:2], bool)
    # The first sampled row and column inside the sprite.
    row, column = -(-(y - top) // step), -(-(x - left) // step)
    part = free[row:, column:]
    alpha = sprite.rgba[row * step - (y - top) :: step, column * step - (x - left) :: step, 3]
    alpha = alpha[: part.shape[0], : part.shape[1]]
    np.equal(alpha, 0, out=part[: alpha.shape[0], : alpha.shape[1]])
    small = sprite.rgba[:: max(height // _SAMPLES, 1), :: max(width // _SAMPLES, 1)]
    own = small[small[..., 3] >= OPAQUE].astype(np.float32)
    # No colour exceeds its alpha.
    own = np.rint(own[:, :3] * (255 / own[:, 3:])).astype(np.uint8)
    return own, behind[free]


@register_step
@dataclass(frozen=True)
class DirectionalShading(Step):
    """Brightens the side of an object that faces the light and darkens the other side.

    The object is modelled as a cushion of its silhouette: normals are computed from the blurred alpha.

    Args:
        strength: Largest loss, as a share of the brightness, in [0, 1]; the largest gain is 0.4 of it.
    """

    strength: float = 0.2

    def __post_init__(self):
        check_shares(self, "strength")

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Scales the object's colours by a smooth gain."""
        alpha, (right, down, _) = small_alpha(sprite, _SMALL), frame.light.direction
        flat, sigma = math.hypot(right, down), max(alpha.shape) / 8
        towards = right / max(flat, 1e-6), down / max(flat, 1e-6)
        # The gain is smaller than the loss, since white cannot become brighter.
        # An 8-bit gain, 128 for no change, keeps the computation at full size in 8 bits.
        strength, kernel = self.strength * flat, gaussian_kernel(sigma)
        silhouettes, fast = loops("sos_mm.composition.effects.silhouette_loops"), loops("sos_mm.composition.loops")
        if silhouettes and fast:
            gain = silhouettes.shading_gain(alpha, kernel, -2.5 * sigma, *towards, strength)
            return sprite.recolored(fast.scale_colors(sprite.packed, gain))
        facing = _facing(alpha, kernel, -2.5 * sigma, towards)
        gain = np.rint(128 * (1 + strength * np.minimum(facing, 0.4 * facing)))
        gain = cv2.resize(gain.astype(np.uint8), sprite.rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        lit = cv2.multiply(sprite.rgba, cv2.merge([gain, gain, gain, np.full_like(gain, 128)]), scale=1 / 128)
        return replace(sprite, rgba=cv2.min(lit, cv2.merge([cv2.extractChannel(sprite.rgba, 3)] * 4)))


def _facing(alpha: np.ndarray, kernel: np.ndarray, steepness: float, towards: tuple[float, float]) -> np.ndarray:
    """Computes how far each pixel of the cushion of a (h, w) uint8 alpha faces a direction, in [-1, 1]."""
    margin = len(kernel) // 2 + 1
    # The margin of zeros lets the cushion fall off at the image's edges.
    cushion = blur(np.pad(alpha.astype(np.float32) / 255, margin), kernel)
    inner, before, after = slice(margin, -margin), slice(margin - 1, -margin - 1), slice(margin + 1, 1 - margin or None)
    # In float64 with any version of numpy, as the compiled loop computes.
    slope_x = ((cushion[inner, after] - cushion[inner, before]) / 2).astype(np.float64)
    slope_y = ((cushion[after, inner] - cushion[before, inner]) / 2).astype(np.float64)
    facing = steepness * (slope_x * towards[0] + slope_y * towards[1])
    return np.minimum(np.maximum(facing, -1), 1)
