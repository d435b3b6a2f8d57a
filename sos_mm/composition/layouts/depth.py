"""The depth-aware layout: objects at their real sizes, seen by a camera over a ground plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sos_mm.checks import check_pair, check_range
from sos_mm.composition.layouts.occlusion import TakenBoxes
from sos_mm.composition.layouts.prior import (
    Draft,
    OcclusionOptions,
    SizedSegment,
    check_classes,
    register_layout,
    sizes_of,
)
from sos_mm.composition.place import fit_boxes, rotated_bounds, shrink_boxes
from sos_mm.composition.scene import Placement

ZONES = ("near", "mid", "far")
_BATCH = 32
# Sensor width to which focal lengths refer, in mm.
_SENSOR = 36.0
# Longer side of common objects, in metres.
PHYSICAL_SIZES = {
    "airplane": 30.0, "apple": 0.08, "backpack": 0.5, "banana": 0.18, "baseball bat": 0.9, "bear": 2.0, "bed": 2.0,
    "bench": 1.6, "bicycle": 1.75, "bird": 0.25, "boat": 7.0, "book": 0.25, "bottle": 0.28, "bowl": 0.2,
    "broccoli": 0.18, "bus": 11.0, "cake": 0.3, "car": 4.4, "carrot": 0.2, "cat": 0.5, "cell phone": 0.15,
    "chair": 0.95, "clock": 0.35, "couch": 2.1, "cow": 2.4, "cup": 0.1, "dog": 0.8, "donut": 0.1, "elephant": 6.0,
    "fork": 0.2, "frisbee": 0.27, "giraffe": 5.0, "guitar": 1.0, "handbag": 0.35, "horse": 2.4, "keyboard": 0.45,
    "kite": 1.2, "knife": 0.25, "laptop": 0.36, "motorcycle": 2.1, "mouse": 0.11, "orange": 0.08, "person": 1.7,
    "pizza": 0.32, "sandwich": 0.16, "scissors": 0.2, "sheep": 1.4, "skateboard": 0.8, "spoon": 0.18,
    "suitcase": 0.7, "surfboard": 2.1, "teddy bear": 0.4, "tennis racket": 0.68, "toilet": 0.75, "train": 20.0,
    "truck": 7.0, "tv": 1.0, "umbrella": 1.0, "vase": 0.3, "zebra": 2.4,
}  # fmt: skip


def _default_shares() -> dict[str, float]:
    return {"near": 0.40, "mid": 0.35, "far": 0.25}


def _default_depths() -> dict[str, tuple[float, float]]:
    return {"near": (0.7, 1.0), "mid": (1.0, 1.8), "far": (1.8, 4.0)}


@register_layout
@dataclass(frozen=True, kw_only=True)
class DepthLayout(OcclusionOptions):
    """A prior with objects at near, middle and far depths, in perspective sizes; far ones behind.

    The distance of a scene is the one at which its median object would cover ``median_side`` of the canvas with the
    widest lens: apples give the scale of a table, cars that of a street. Depths are drawn as multiples of it. With a
    longer lens the camera moves back until objects at that distance are as large as before, so that the sizes of near
    and far objects become more similar. The ground rises from the canvas's lower edge, at the nearest depth, to a
    horizon. Boxes must keep the rules of `OcclusionOptions`; an object that the limit of enlargement makes smaller
    keeps its position.

    Args:
        shares: Probability of each zone.
        depths: Range of depth of each zone with the widest lens, uniform in the inverse, as multiples of the
            scene's distance.
        sizes: Longer side in metres by category; extends and overrides the built-in table.
        unknown_size: Range of the longer side of other categories, uniform in its logarithm.
        focal: Range of the focal length in mm on a 36 mm sensor, uniform in its logarithm.
        zoom: Range of a further enlargement of the image, uniform in its logarithm.
        median_side: Longer side of the median object at the scene's distance with the widest lens, as a fraction of the
            canvas's shorter side.
        side: Sides are clipped to this range, as fractions of the canvas's shorter side.
        horizon: Range of the horizon's distance from the upper edge, as a fraction of the canvas's height.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.
        min_mean_visible, min_visible, crowded, attempts, restarts: See `OcclusionOptions`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    shares: Mapping[str, float] = field(default_factory=_default_shares)
    depths: Mapping[str, tuple[float, float]] = field(default_factory=_default_depths)
    sizes: Mapping[str, float] = field(default_factory=dict)
    unknown_size: tuple[float, float] = (0.2, 1.0)
    focal: tuple[float, float] = (24.0, 85.0)
    zoom: tuple[float, float] = (1.0, 4.0)
    median_side: float = 0.1
    side: tuple[float, float] = (0.03, 0.7)
    horizon: tuple[float, float] = (0.2, 0.5)

    def __post_init__(self):
        super().__post_init__()
        check_classes(ZONES, self.shares, "depths", self.depths)
        for zone in ZONES:
            check_pair(f"depths[{zone!r}]", self.depths[zone], 0.01, 1000)
        for category, size in self.sizes.items():
            check_range(f"sizes[{category!r}]", size, 1e-4, 1e4)
        check_pair("unknown_size", self.unknown_size, 1e-4, 1e4)
        check_pair("focal", self.focal, 1, 10_000)
        check_pair("zoom", self.zoom, 1, 100)
        check_pair("side", self.side, 0.001, 1)
        check_pair("horizon", self.horizon, 0, 0.95)
        check_range("median_side", self.median_side, 0, 1)

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws the depth of each object and its longer side at that depth; the box is a square."""
        depths, sides = self._draw_sides(rng, segments, min(canvas))
        sides = np.maximum(np.rint(sides), 1)
        return Draft(np.stack([sides, sides], axis=1), {"depths": depths})

    def try_once(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int], draft: Draft
    ) -> list[Placement]:
        """Places the drafted objects once, from far to near; leaves out objects for which no box was found."""
        variants = self.draw_variants(rng, segments)
        shapes = rotated_bounds(sizes_of(segments), variants.rotations)
        depths = draft.columns["depths"]
        horizon = _between(self.horizon, rng.random())
        taken = TakenBoxes(len(segments), self.min_visible, self.min_mean_visible)
        placements = []
        for index in np.argsort(-depths, kind="stable").tolist():
            ground = horizon + (1 - horizon) * depths.min() / depths[index]
            square = np.array([[0, 0, *draft.boxes[index, ::-1].astype(np.int64)]])
            square, limited = shrink_boxes(square, shapes[index], self.limit)
            fitted = fit_boxes(square, shapes[index])
            extent = np.minimum(fitted[0, 2:] - fitted[0, :2], canvas[::-1])
            draw, batches = partial(_draw_boxes, rng, extent, ground, canvas), -(-self.attempts // _BATCH)
            box = taken.add_drawn(draw, batches, shapes[index], variants.cut_sides[index], canvas)
            if box is not None:
                placements.append(variants.place(index, box, limited[0], float(depths[index])))
        return placements

    def _draw_sides(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas_side: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws (N,) depths in metres and computes (N,) longer sides in pixels."""
        number = len(segments)
        guesses: Any = _log_between(self.unknown_size, rng.random(number))
        known_sizes = {**PHYSICAL_SIZES, **self.sizes}
        known = [known_sizes.get(segment.category.replace("_", " ")) for segment in segments]
        sizes = np.array([guess if size is None else size for guess, size in zip(guesses, known, strict=True)])
        zones = rng.choice(len(ZONES), size=number, p=[self.shares[zone] for zone in ZONES])
        low, high = np.array([self.depths[ZONES[zone]] for zone in zones]).reshape(-1, 2).T
        inverse = 1 / high + rng.random(number) * (1 / low - 1 / high)
        focal, zoom = (
            _log_between(pair, draw) for pair, draw in zip((self.focal, self.zoom), rng.random(2), strict=True)
        )
        # Pixels per metre at a distance of one metre: from the lens, then from the zoom.
        pixels = focal / _SENSOR * canvas_side
        widest = self.focal[0] / _SENSOR * canvas_side
        distance = widest * (np.median(sizes) if number else 1) / (self.median_side * canvas_side)
        depths = distance * (1 / inverse + pixels / widest - 1)
        sides = pixels * zoom * sizes / depths
        return depths, np.clip(sides, self.side[0] * canvas_side, self.side[1] * canvas_side)


def _draw_boxes(rng: np.random.Generator, extent: np.ndarray, ground: float, canvas: tuple[int, int]) -> np.ndarray:
    """Draws (N, 4) int64 boxes of one width and height inside the canvas, with their lower edges near the ground's
    height.
    """
    height, width = canvas
    draws = rng.random((2, _BATCH))
    x = np.floor(draws[0] * (width - extent[0] + 1))
    # Jitter: objects also stand on shelves and slopes, and crowded scenes need room.
    base = (ground + 0.12 * (2 * draws[1] - 1)) * height
    y = np.clip(np.rint(base) - extent[1], 0, height - extent[1])
    corner = np.stack([x, y], axis=1).astype(np.int64)
    return np.concatenate([corner, corner + extent], axis=1)


def _between(pair: tuple[float, float], draw: float) -> float:
    return pair[0] + draw * (pair[1] - pair[0])


def _log_between(pair: tuple[float, float], draw: float | np.ndarray) -> float | np.ndarray:
    return pair[0] * (pair[1] / pair[0]) ** draw
