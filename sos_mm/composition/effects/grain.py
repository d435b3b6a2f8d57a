"""Grain and compression: adapts objects without noise to the background photograph."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.step import Frame, Step, register_step
from sos_mm.composition.place import Sprite

# Side of the noise field; each object takes its grain from a random position of it.
_FIELD = 512
# Standard deviation of the noise field: four of them fit into 8 bits.
_SCALE = 32


@register_step
@dataclass(frozen=True)
class GrainMatch(Step):
    """Adds grain to each object until its noise matches that of the background behind it.

    Args:
        limit: Largest standard deviation of the added grain, in levels of 255, in [0, 64].
    """

    limit: float = 6.0

    def __post_init__(self):
        check_range("limit", self.limit, 0, 64)

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Adds grain, equal in all channels, in proportion to alpha."""
        if frame.bare:
            return sprite
        wanted, own = noise_level(frame.image[sprite.window]), noise_level(sprite.rgba)
        sigma = min(math.sqrt(max(wanted**2 - own**2, 0)), self.limit)
        # One by one: an array of two is slower to draw.
        y, x = int(rng.integers(_FIELD)), int(rng.integers(_FIELD))
        if sigma < 0.5:
            return sprite
        height, width = sprite.rgba.shape[:2]
        repeats = -(-(y + height) // _FIELD), -(-(x + width) // _FIELD)
        noise = _tiled_noise(repeats)[y : y + height, x : x + width]
        fast = loops("sos_mm.composition.loops")
        if fast:
            return sprite.recolored(fast.add_grain(sprite.packed, noise, sigma / _SCALE))
        levels = np.rint((np.arange(256) - 128) * (sigma / _SCALE))
        over, under = (np.clip(sign * levels, 0, 255).astype(np.uint8) for sign in (1, -1))
        return replace(sprite, rgba=_add_grain(sprite.rgba, np.ascontiguousarray(noise), over, under))


@lru_cache(maxsize=16)
def _tiled_noise(repeats: tuple[int, int]) -> np.ndarray:
    """Repeats the noise field so often downwards and to the right."""
    return np.tile(_noise(), repeats)


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Draws the noise field, (512, 512) uint8, normal around 128; shared by all objects, since
    drawing it is expensive.
    """
    normal = np.random.Generator(np.random.Philox(key=0)).standard_normal((_FIELD, _FIELD), np.float32)
    return np.clip(np.rint(normal * _SCALE + 128), 0, 255).astype(np.uint8)


def _add_grain(rgba: np.ndarray, noise: np.ndarray, over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Adds one level of the noise, times alpha, to premultiplied pixels, and subtracts another."""
    alpha = cv2.extractChannel(rgba, 3)
    over, under = (cv2.multiply(cv2.LUT(noise, levels), alpha, scale=1 / 255) for levels in (over, under))
    none = np.zeros_like(alpha)
    rgba = cv2.subtract(cv2.add(rgba, cv2.merge([over, over, over, none])), cv2.merge([under, under, under, none]))
    return cv2.min(rgba, cv2.merge([alpha] * 4))


def noise_level(image: np.ndarray) -> float:
    """Estimates the standard deviation of an image's finest noise, in levels of 255.

    Takes the median magnitude of the response to a kernel that vanishes on planes and on axis-aligned edges, so that
    flat areas decide.

    Args:
        image: (h, w, 3) or (h, w, 4) uint8; at most its central 128 x 128 pixels are used. Results above 63 are clipped
            to 63.

    Source: J. Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996, with a median for the mean.
    """
    top, left = (max(side - 128, 0) // 2 for side in image.shape[:2])
    middle = image[top : top + 128, left : left + 128]
    fast = loops("sos_mm.composition.loops")
    return (fast.median_noise(middle) if fast else _median_noise(middle)) / 0.6745 / 6


def _median_noise(image: np.ndarray) -> int:
    """Computes the median magnitude, up to 255, of the response of the green channel to [1 -2 1] along both axes."""
    # The second derivative along both axes is the outer product of two such kernels.
    response = cv2.Sobel(np.ascontiguousarray(image[..., 1]), cv2.CV_16S, 2, 2, ksize=3)
    counts = np.cumsum(np.bincount(cv2.convertScaleAbs(response).ravel(), minlength=256))
    return int(np.searchsorted(counts, counts[-1] / 2))


@register_step
@dataclass(frozen=True)
class JpegMatch(Step):
    """Gives objects the compression artefacts of photographs; the background's pixels do not change.

    Args:
        quality: Range of the JPEG quality, drawn uniformly.
    """

    quality: tuple[int, int] = (70, 95)

    def __post_init__(self):
        if len(self.quality) != 2 or not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"`quality` must be a pair low <= high in [1, 100], but got {tuple(self.quality)}.")

    def finish(self, sprites: Sequence[Sprite], frame: Frame, rng: np.random.Generator) -> None:
        """Compresses the image and takes the compressed pixels where objects are."""
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        if frame.bare:
            return
        encoded = cv2.imencode(".jpg", frame.image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        for sprite in sprites:
            covered = sprite.rgba[..., 3] > 0
            cv2.copyTo(decoded[sprite.window], covered.view(np.uint8), frame.image[sprite.window])
