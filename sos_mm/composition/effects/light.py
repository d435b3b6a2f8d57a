"""Classical light effects on objects: colour harmonisation with the background, and directional shading."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.step import Frame, Step, check_shares, register_step, small_alpha
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import OPAQUE

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
        own, around = neighbourhood(sprite, frame.image, self.reach)
        if len(own) < 8 or len(around) < 8:
            return sprite
        before, goal = _statistics(own), _statistics(around)
        curves = self._curves(own, before, goal)
        after = _statistics(cv2.LUT(own[None], curves[None])[0])
        # Channels at 0 or 255 may not move: if the result is further from the goal, the object is not changed.
        if math.dist(after[0], goal[0]) >= math.dist(before[0], goal[0]):
            return sprite
        fast = loops("sos_mm.composition.loops")
        if fast:
            return sprite.recolored(fast.map_colors(sprite.packed, curves))
        curves = np.concatenate([curves, _LEVELS.astype(np.uint8)], axis=1)[None]
        straight = cv2.cvtColor(sprite.rgba, cv2.COLOR_mRGBA2RGBA)
        return replace(sprite, rgba=cv2.cvtColor(cv2.LUT(straight, curves), cv2.COLOR_RGBA2mRGBA))

    def _curves(self, own: np.ndarray, before: Sequence[np.ndarray], goal: Sequence[np.ndarray]) -> np.ndarray:
        """Computes the curves, (256, 3) uint8: the new levels of each channel.

        Args:
            own: (N, 3) uint8 RGB of the object.
            before: Its mean and spread in Lab; see `_statistics`.
            goal: Those of its neighbourhood.
        """
        mean, spread = before[0], goal[1][0] / max(before[1][0], 1)
        target = mean + (self.strength, self.chroma, self.chroma) * (goal[0] - mean)
        shift = np.subtract(*_rgb(np.stack([target, mean])))
        contrast, fast = self.strength * (min(max(spread, 0.7), 1.4) - 1), loops("sos_mm.composition.loops")
        if fast:
            return fast.color_curves(own, shift, float(self.limit), contrast, _UP[:, 0], _DOWN[:, 0])
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
    margin = math.ceil(reach * max(height, width))
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
    steps, fast = (max(height // _SAMPLES, 1), max(width // _SAMPLES, 1)), loops("sos_mm.composition.loops")
    if fast:
        return fast.sample_colors(sprite.rgba, *steps), behind[free]
    small = sprite.rgba[:: steps[0], :: steps[1]]
    own = small[small[..., 3] >= OPAQUE].astype(np.float32)
    # No colour exceeds its alpha.
    own = np.rint(own[:, :3] * (255 / own[:, 3:])).astype(np.uint8)
    return own, behind[free]


def _statistics(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean and the standard deviation in Lab, (3,) float64 each, of (N, 3) uint8 RGB."""
    mean, spread = cv2.meanStdDev(cv2.cvtColor(rgb[None] / np.float32(255), cv2.COLOR_RGB2Lab))
    return mean[:, 0], spread[:, 0]


def _rgb(lab: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0] * 255.0


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
        height, width = sprite.rgba.shape[:2]
        alpha = small_alpha(sprite, _SMALL)
        light = np.array(frame.light.direction)
        towards = light[:2] / max(np.linalg.norm(light[:2]), 1e-6)
        cushion, sigma, margin = _cushion(alpha.astype(np.float32) / 255)
        # The gain is smaller than the loss, since white cannot become brighter.
        # An 8-bit gain, 128 for no change, keeps the computation at full size in 8 bits.
        strength, fast = float(self.strength * np.linalg.norm(light[:2])), loops("sos_mm.composition.loops")
        if fast:
            gain = fast.shading_gain(cushion, margin, -2.5 * sigma, *towards.tolist(), strength)
            return sprite.recolored(fast.scale_colors(sprite.packed, gain))
        facing = _facing(cushion, sigma, margin, towards)
        gain = np.rint(128 * (1 + strength * np.minimum(facing, 0.4 * facing)))
        gain = cv2.resize(gain.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
        lit = cv2.multiply(sprite.rgba, cv2.merge([gain, gain, gain, np.full_like(gain, 128)]), scale=1 / 128)
        return replace(sprite, rgba=cv2.min(lit, cv2.merge([cv2.extractChannel(sprite.rgba, 3)] * 4)))


def _cushion(alpha: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Blurs a (h, w) float32 alpha; returns it with a margin, the standard deviation of the blur, and the margin."""
    sigma = max(alpha.shape) / 8
    # The margin of zeros lets the cushion fall off at the image's edges.
    margin = math.ceil(2 * sigma)
    padded = cv2.copyMakeBorder(alpha, *[margin] * 4, cv2.BORDER_CONSTANT, value=0)
    return cv2.GaussianBlur(padded, (0, 0), sigma), sigma, margin


def _facing(cushion: np.ndarray, sigma: float, margin: int, towards: np.ndarray) -> np.ndarray:
    """Computes how far each pixel of a cushion without its margin faces a direction, in [-1, 1]."""
    inner, before, after = slice(margin, -margin), slice(margin - 1, -margin - 1), slice(margin + 1, 1 - margin or None)
    # In float64 with any version of numpy, as the compiled loop computes.
    slope_x = ((cushion[inner, after] - cushion[inner, before]) / 2).astype(np.float64)
    slope_y = ((cushion[after, inner] - cushion[before, inner]) / 2).astype(np.float64)
    facing = -2.5 * sigma * (slope_x * towards[0] + slope_y * towards[1])
    return np.minimum(np.maximum(facing, -1), 1)
