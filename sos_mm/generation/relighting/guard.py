"""The guard: finds objects that a relighter moved or repainted in another colour, by masks and texts.

A mask's outline lies on edges of the image. Where an object stays in its place, it does so after relighting too,
whatever the light: only the contrast of the edges against what is around them is compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_fields, check_integer, check_range
from sos_mm.segments.truth import claims, measure, still_true
from sos_mm.segments.words import Words

_COLOR = frozenset({"color"})
# Pixels of an object whose colours are compared, at most.
_PIXELS = 4096
# A gradient of so many levels a pixel, besides those of the image, keeps flat areas from counting as edges.
_NOISE = 2.0


@dataclass(frozen=True)
class Guard:
    """The rules by which a relit image is accepted.

    Attributes:
        min_edges: Least contrast of an object's outline after relighting, as a share of that before it. With less the
            object counts as moved.
        reach: Pixels around an outline with which its edges are compared.
        min_area: Objects with fewer visible pixels are not judged: their outlines are too short.
        min_contrast: Objects whose outline was less visible before are not judged.
        moved_share: Largest share of the judged objects that may have moved.
        colors: Largest share of the objects with a colour word that may lose it.
        retries: How often an image that is not accepted is relit again, with other draws.

    Raises:
        ValueError: If a value is out of its range.
    """

    min_edges: float = 0.5
    reach: int = 8
    min_area: int = 400
    min_contrast: float = 1.5
    moved_share: float = 0.25
    colors: float = 0.25
    retries: int = 2

    def __post_init__(self):
        check_range("min_edges", self.min_edges, 0, 10)
        check_integer("reach", self.reach, 2, 100)
        check_integer("min_area", self.min_area, 1, 2**31 - 1)
        check_range("min_contrast", self.min_contrast, 0, 100)
        for name in ("moved_share", "colors"):
            check_range(name, getattr(self, name), 0, 1)
        check_integer("retries", self.retries, 0, 100)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "Guard":
        """Builds a guard from a dict; raises ValueError for an unknown key."""
        check_fields("guard", config, cls)
        return cls(**config)


@dataclass(frozen=True)
class Verdict:
    """What the guard found in one relit image.

    Attributes:
        judged: Number of objects whose outline was judged.
        moved: Number of those that count as moved.
        edges: Median of the outlines' contrast after relighting, as a share of that before; None if none was judged.
        colored: Number of objects with a colour word.
        lost: Number of those whose colour word no longer holds.
        accepted: Whether the image is accepted.
    """

    judged: int
    moved: int
    edges: float | None
    colored: int
    lost: int
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        """Returns all values as JSON can hold them."""
        edges = None if self.edges is None else round(self.edges, 3)
        return {**{each.name: getattr(self, each.name) for each in fields(self)}, "edges": edges}


@dataclass(frozen=True, eq=False)
class GuardedObject:
    """An object as the guard sees it.

    Attributes:
        mask: (h, w) bool, its modal mask in a window.
        offset: x and y of the window's first pixel in the image.
        words: Its texts; None if there are none.
    """

    mask: np.ndarray
    offset: tuple[int, int]
    words: Words | None = None


def judge(
    guard: Guard, before: np.ndarray, relit: np.ndarray, final: np.ndarray, objects: Sequence[GuardedObject]
) -> Verdict:
    """Judges a relit image.

    Args:
        guard: The rules.
        before: (H, W, 3) uint8 RGB, the image before relighting.
        relit: (H, W, 3) uint8 RGB, the relighter's image, in which objects may have moved.
        final: (H, W, 3) uint8 RGB, the image that is written, in which colours must hold: ``relit``, or its blend.
        objects: The objects.
    """
    gradients = [gradient_magnitude(image) for image in (before, relit)]
    shares, colored, lost = [], 0, 0
    for each in objects:
        if np.count_nonzero(each.mask) >= guard.min_area:
            old, new = (outline_contrast(magnitude, each.mask, each.offset, guard.reach) for magnitude in gradients)
            if old >= guard.min_contrast:
                shares.append(new / old)
        if each.words is not None and "color" in claims(each.words):
            colored += 1
            lost += not _keeps_color(each, before, final)
    moved = sum(share < guard.min_edges for share in shares)
    accepted = moved <= guard.moved_share * len(shares) and lost <= guard.colors * colored
    return Verdict(len(shares), moved, float(np.median(shares)) if shares else None, colored, lost, accepted)


def gradient_magnitude(image: np.ndarray) -> np.ndarray:
    """Computes the (H, W) float32 gradient of the strongest channel, in levels a pixel."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return np.sqrt(x * x + y * y).max(axis=2)


def outline_contrast(magnitude: np.ndarray, mask: np.ndarray, offset: tuple[int, int], reach: int) -> float:
    """Computes how much stronger edges are on a mask's outline than near it.

    Args:
        magnitude: (H, W) float32 of `gradient_magnitude`.
        mask: (h, w) bool in a window.
        offset: x and y of the window.
        reach: Pixels on both sides of the outline that count as near it.

    Returns:
        The mean gradient at most one pixel from the outline, over that farther from it; 1 where nothing tells the
        outline from its surroundings. Where the mask meets the image's border there is no outline.
    """
    height, width = magnitude.shape
    x, y = offset
    # The window, widened by the reach and clipped to the image.
    left, top = max(x - reach, 0), max(y - reach, 0)
    right, bottom = min(x + mask.shape[1] + reach, width), min(y + mask.shape[0] + reach, height)
    whole = np.zeros((bottom - top, right - left), np.uint8)
    whole[y - top : y - top + mask.shape[0], x - left : x - left + mask.shape[1]] = mask
    inside = cv2.distanceTransform(whole, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - whole, cv2.DIST_L2, 5) if (whole == 0).any() else np.full_like(inside, reach)
    # Distances are 1 in the first pixel on either side.
    distance = np.maximum(inside, outside)
    on, near = distance < 1.5, (distance > 2.5) & (distance <= reach)
    here = magnitude[top:bottom, left:right]
    if not on.any() or not near.any():
        return 0.0
    return float((here[on].mean() + _NOISE) / (here[near].mean() + _NOISE))


def _keeps_color(each: GuardedObject, before: np.ndarray, after: np.ndarray) -> bool:
    """Returns whether the colour words of an object hold after a change of its pixels."""
    x, y = each.offset
    window = slice(y, y + each.mask.shape[0]), slice(x, x + each.mask.shape[1])
    old, new = (image[window][each.mask] for image in (before, after))
    step = max(-(-len(old) // _PIXELS), 1)
    assert each.words is not None
    return still_true(each.words, measure(old[::step], new[::step]), _COLOR) == each.words
