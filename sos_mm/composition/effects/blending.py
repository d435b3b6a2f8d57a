"""Blending: gradient-domain seams, and blending of a relit image with the original."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_choice, check_range
from sos_mm.composition.effects.relighting import Relighter, build_relighter
from sos_mm.composition.effects.step import Frame, Step, check_shares, register_step
from sos_mm.composition.place import Sprite
from sos_mm.segments.segment import OPAQUE

_SMALL = 32


@register_step
@dataclass(frozen=True)
class PoissonBlend(Step):
    """Poisson blending: keeps an object's gradients and adapts its level to the background along its outline.

    The solution of the Poisson equation with the object's gradients is the object plus a membrane: the harmonic
    function that equals background minus object on the outline. A membrane is smooth, so it is solved on a
    reduced grid and enlarged. `cv2.seamlessClone` solves the same at full size; it knows no alpha and no partial
    strength, paints the bounding box's gradients into the background and costs a hundred times as much.

    Args:
        strength: Share of the membrane that is added, in [0, 1]. At 1 the background's colour floods the object.
        limit: Largest shift, in levels of 255.

    Source: Perez, Gangnet, Blake, "Poisson image editing", SIGGRAPH 2003.
    """

    strength: float = 0.25
    limit: float = 30.0

    def __post_init__(self):
        check_shares(self, "strength")
        check_range("limit", self.limit, 0, 255)

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Adds the membrane; without a background the object is not changed."""
        if frame.bare or min(sprite.rgba.shape[:2]) < 3:
            return sprite
        height, width = sprite.rgba.shape[:2]
        scale = min(_SMALL / max(height, width), 1)
        size = max(round(width * scale), 3), max(round(height * scale), 3)
        small = cv2.resize(sprite.rgba, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        behind = cv2.resize(frame.image[sprite.window], size, interpolation=cv2.INTER_AREA).astype(np.float32)
        inside = small[..., 3] >= OPAQUE
        outline = inside & (cv2.erode(inside.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) == 0)
        colors = small[..., :3] * (255 / np.maximum(small[..., 3:], 1))
        shift = solve_membrane(behind - colors, outline)
        shift = np.clip(self.strength * shift, -self.limit, self.limit)
        shift = cv2.resize(shift, (width, height), interpolation=cv2.INTER_LINEAR)
        return replace(sprite, rgba=_shifted(sprite.rgba, shift))


def _shifted(rgba: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shifts the straight colours of premultiplied pixels by (h, w, 3) float32 levels."""
    alpha = cv2.extractChannel(rgba, 3)
    scaled = cv2.multiply(shift, cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), scale=1 / 255, dtype=cv2.CV_32F)
    colors = cv2.add(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), scaled, dtype=cv2.CV_8U)
    shifted = cv2.cvtColor(colors, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(alpha, shifted, 3)
    return cv2.min(shifted, cv2.merge([alpha] * 4))


def solve_membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Solves for the harmonic function inside a region from values on its rim.

    Works from coarse grids to fine ones with relaxation on each. Pixels outside the region take part with free boundary
    conditions, so that enlarging mixes in no other values.

    Args:
        values: (h, w, c) float32; only the known ones are used.
        known: (h, w) bool, the pixels whose values are given: the rim.

    Returns:
        (h, w, c) float32; zeros if nothing is known.
    """
    if not known.any():
        return np.zeros_like(values)
    height, width = known.shape
    weight = known.astype(np.float32)
    guess = np.broadcast_to(values[known].mean(axis=0), values.shape)
    if min(height, width) > 4:
        half = ((width + 1) // 2, (height + 1) // 2)
        coarse_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
        coarse = _resize(values * weight[..., None], half, cv2.INTER_AREA)
        coarse /= np.maximum(coarse_weight, 1e-6)[..., None]
        guess = _resize(solve_membrane(coarse, coarse_weight > 0), (width, height), cv2.INTER_LINEAR)
    values, mask = np.ascontiguousarray(values), known.view(np.uint8)
    result = np.ascontiguousarray(guess, np.float32)
    for _ in range(12):
        cv2.copyTo(values, mask, result)
        result = cv2.blur(result, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return cv2.copyTo(values, mask, result).reshape(values.shape)


def _resize(values: np.ndarray, size: tuple[int, int], method: int) -> np.ndarray:
    """Resizes by OpenCV and keeps a last axis of length one, which OpenCV drops."""
    return cv2.resize(values, size, interpolation=method).reshape(*size[::-1], values.shape[2])


@register_step
@dataclass(frozen=True)
class Relight(Step):
    """Replaces the scene's image by one that a `Relighter` has relit, without blending.

    Args:
        relighter: A `Relighter`, or a dict for `build_relighter`.

    Raises:
        ValueError: If ``relighter`` is neither.

    Source: "SOS: Synthetic Object Segments", arXiv 2510.09110.
    """

    relighter: Relighter | Mapping[str, Any]

    def __post_init__(self):
        if isinstance(self.relighter, Mapping):
            object.__setattr__(self, "relighter", build_relighter(self.relighter))
        if not isinstance(self.relighter, Relighter):
            raise ValueError(f"`relighter` must have a method `relight`, but got {self.relighter!r}.")

    def finish(self, sprites: Sequence[Sprite], frame: Frame, rng: np.random.Generator) -> None:
        """Replaces the image by the relit one.

        Raises:
            ValueError: If the relit image has another shape or type.
        """
        frame.image[:] = self._relit(frame, scene_alpha(sprites, frame.image.shape[:2]), rng)

    def _relit(self, frame: Frame, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns the relighter's image after checking it; the relighter gets a copy of the scene's image."""
        assert isinstance(self.relighter, Relighter)
        relit = self.relighter.relight(frame.image.copy(), alpha, frame.light, rng)
        if relit.dtype != np.uint8 or relit.shape != frame.image.shape:
            got = f"{relit.dtype} of shape {relit.shape}"
            raise ValueError(f"The relit image must be a uint8 array of shape {frame.image.shape}, but got {got}.")
        return relit


@register_step
@dataclass(frozen=True)
class AreaWeightedBlend(Relight):
    """Blends the relit image with the original in Lab, with a weight for each object by its area.

    An object's weight, the share of its original pixels, is a sigmoid of the rank of its area; the background is taken
    from the relit image.

    Args:
        relighter: See `Relight`.
        low: Least weight.
        high: Largest weight.
        steepness: Steepness of the sigmoid over ranks from 0 to 1.
        keep: Whether 'small' or 'large' objects get the largest weights.
        lone_rank: Rank of the only object of an image, in [0, 1].
        chroma: Whether colour is blended like lightness ('blend'), or stays the object's own ('original').
        background: 'relit', or 'original' to keep it unchanged.

    The defaults follow the paper's text. Its released code differs: ``low=0.1, high=0.7, keep="large",
    lone_rank=0.0, chroma="original"``.

    Source: "SOS: Synthetic Object Segments", arXiv 2510.09110; its code at commit 31918e0.
    """

    low: float = 0.3
    high: float = 0.9
    steepness: float = 10.0
    keep: str = "small"
    lone_rank: float = 0.5
    chroma: str = "blend"
    background: str = "relit"

    def __post_init__(self):
        super().__post_init__()
        check_shares(self, "low", "high", "lone_rank")
        check_range("steepness", self.steepness, 0, 1000)
        check_choice("keep", self.keep, ("small", "large"))
        check_choice("chroma", self.chroma, ("blend", "original"))
        check_choice("background", self.background, ("relit", "original"))
        if self.low > self.high:
            raise ValueError(f"`low` must be at most `high`, but got {self.low} and {self.high}.")

    def finish(self, sprites: Sequence[Sprite], frame: Frame, rng: np.random.Generator) -> None:
        """Replaces the image by the blend.

        Raises:
            ValueError: If the relit image has another shape or type.
        """
        weights, alpha = self._weight_map(sprites, frame.image.shape[:2])
        relit = self._relit(frame, alpha, rng)
        frame.image[:] = blend_lab(frame.image, relit, weights, self.chroma == "original", alpha)

    def _weight_map(self, sprites: Sequence[Sprite], canvas: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Computes the (H, W) float32 weights of the original, with the objects' soft edges, and the (H, W) uint8 alpha
        of all objects.
        """
        areas = _seen_areas(sprites, canvas)
        shares = area_weights(areas, self.low, self.high, self.steepness, self.keep, self.lone_rank)
        weights = np.full(canvas, self.background == "original", np.float32)
        for sprite, share in zip(sprites, shares, strict=True):
            alpha = sprite.rgba[..., 3] / np.float32(255)
            weights[sprite.window] += alpha * (share - weights[sprite.window])
        return weights, scene_alpha(sprites, canvas)


def scene_alpha(sprites: Sequence[Sprite], canvas: tuple[int, int]) -> np.ndarray:
    """Computes the joint alpha of all objects, (H, W) uint8: 255 where the background does not show through."""
    through = np.ones(canvas, np.float32)
    for sprite in sprites:
        through[sprite.window] *= 1 - sprite.rgba[..., 3] / np.float32(255)
    return np.rint(255 * (1 - through)).astype(np.uint8)


def _seen_areas(sprites: Sequence[Sprite], canvas: tuple[int, int]) -> np.ndarray:
    """Counts the visible pixels of each sprite, (N,)."""
    owner = np.zeros(canvas, np.int32)
    for index, sprite in enumerate(sprites):
        owner[sprite.window][sprite.rgba[..., 3] >= OPAQUE] = index + 1
    return np.bincount(owner.ravel(), minlength=len(sprites) + 1)[1:]


def area_weights(
    areas: np.ndarray,
    low: float = 0.3,
    high: float = 0.9,
    steepness: float = 10.0,
    keep: str = "small",
    lone_rank: float = 0.5,
) -> np.ndarray:
    """Computes weights from the ranks of areas, through a sigmoid.

    Args:
        areas: (N,) visible pixels.
        low: Lower limit of the weights.
        high: Upper limit of the weights.
        steepness: Steepness of the sigmoid over ranks, which go from 0 for the smallest to 1.
        keep: 'small' gives small objects the larger weights, 'large' the large ones.
        lone_rank: Rank of a single object.

    Returns:
        (N,) float64 in [low, high]; equal areas have equal weights.

    >>> area_weights(np.array([10, 500, 90])).round(2)
    array([0.9, 0.3, 0.6])
    """
    _, positions, counts = np.unique(areas, return_inverse=True, return_counts=True)
    # Ties get their mean rank, so that no weight depends on the order of the objects.
    mean_ranks = np.cumsum(counts) - (counts + 1) / 2
    ranks = mean_ranks[positions] / (len(areas) - 1) if len(areas) > 1 else np.full(len(areas), lone_rank)
    sign = 1 if keep == "small" else -1
    return low + (high - low) / (1 + np.exp(steepness * sign * (ranks - 0.5)))


def blend_lab(
    image: np.ndarray, relit: np.ndarray, weights: np.ndarray, keep_chroma: bool, alpha: np.ndarray
) -> np.ndarray:
    """Computes the weighted mean of two images in Lab.

    Args:
        image: (H, W, 3) uint8 RGB.
        relit: (H, W, 3) uint8 RGB, the relit image.
        weights: (H, W) float32, the weight of ``image``.
        keep_chroma: Whether objects keep the colour of ``image``, so that lightness alone is blended.
        alpha: (H, W) uint8, joint alpha of the objects.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    before, after = (cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for part in (image, relit))
    share = np.repeat(weights[..., None], 3, axis=2)
    if keep_chroma:
        share[..., 1:] = np.maximum(share[..., 1:], alpha[..., None] / np.float32(255))
    mixed = cv2.cvtColor(after + share * (before - after), cv2.COLOR_Lab2RGB)
    return np.clip(np.rint(mixed * 255), 0, 255).astype(np.uint8)
