"""The structured layout of SOS: objects of three sizes, larger ones behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sos_mm.checks import check_choice, check_pair
from sos_mm.compiled import loops
from sos_mm.composition.layouts.borders import moved_to_borders
from sos_mm.composition.layouts.enlargement import assign_boxes
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
from sos_mm.formats.coco import SIZE_LIMITS

SIZE_CLASSES = ("large", "medium", "small")
# Boxes that are tried at once: an array costs hardly more than a single box.
_BATCH = 16


def _default_shares() -> dict[str, float]:
    return {"large": 0.24, "medium": 0.34, "small": 0.42}


def _default_areas() -> dict[str, tuple[float, float]]:
    frame, (medium, large) = 640 * 480, SIZE_LIMITS
    return {
        "large": (large / frame, 0.5),
        "medium": (medium / frame, large / frame),
        "small": (512 / frame, medium / frame),
    }


@register_layout
@dataclass(frozen=True, kw_only=True)
class StructuredLayout(OcclusionOptions):
    """The layout prior of SOS: objects of three sizes, larger ones behind, none occluded too far.

    Every object gets a size class; boxes are placed from large to small, each one in front of those before, at a
    uniform position inside the canvas, under the rules of `OcclusionOptions`. Large boxes are assigned to segments that
    can fill them within ``max_enlargement``.

    Args:
        shares: Share of each size class.
        classes: 'rounded' gives each image its classes in these shares, the numbers of large and medium objects being
            rounded (so that every image of three objects or more has a large one), as the released code does;
            'independent' draws the class of each object independently.
        areas: Range of a box's area for each size class, uniform, as a fraction of the canvas.
        aspect: Range of a box's ratio of width to height, uniform. The segment keeps its own ratio inside the box.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.
        min_mean_visible, min_visible, crowded, attempts, restarts: See `OcclusionOptions`.

    Source: "SOS: Synthetic Object Segments", arXiv 2510.09110; the areas are those of its 640x480 frame.

    Raises:
        ValueError: If an argument is out of its range.
    """

    shares: Mapping[str, float] = field(default_factory=_default_shares)
    classes: str = "independent"
    areas: Mapping[str, tuple[float, float]] = field(default_factory=_default_areas)
    aspect: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self):
        super().__post_init__()
        check_classes(SIZE_CLASSES, self.shares, "areas", self.areas)
        check_choice("classes", self.classes, ("rounded", "independent"))
        for name in SIZE_CLASSES:
            check_pair(f"areas[{name!r}]", self.areas[name], 0, 1)
        check_pair("aspect", self.aspect, 0.01, 100)

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws the size class of each object; its box is the mean box of that class, as a square."""
        classes = self._draw_classes(rng, len(segments))
        sides = np.sqrt([np.mean(self.areas[name]) * canvas[0] * canvas[1] for name in SIZE_CLASSES])[classes]
        boxes = np.stack([sides, sides], axis=1)
        chosen = assign_boxes(rng, boxes, sizes_of(segments), self.limit)
        of_segment = np.argsort(chosen)
        return Draft(boxes[of_segment], {"classes": classes[of_segment]})

    def _draw_classes(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """Chooses size classes by ``shares``, independently or in fixed proportions.

        Returns:
            (number,) int64 indices into `SIZE_CLASSES`.
        """
        shares = [self.shares[name] for name in SIZE_CLASSES]
        if self.classes == "independent":
            return rng.choice(len(SIZE_CLASSES), size=number, p=shares)
        return np.repeat(np.arange(len(SIZE_CLASSES)), rounded_counts(number, shares))

    def try_once(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int], draft: Draft
    ) -> list[Placement]:
        """Places the drafted objects once, by size class; leaves out objects for which no box was found."""
        variants = self.draw_variants(rng, segments)
        sizes = sizes_of(segments)
        if self.rotation:
            sizes = rotated_bounds(sizes, variants.rotations)
        taken = TakenBoxes(len(sizes), self.min_visible, self.min_mean_visible)
        classes, placements = draft.columns["classes"], []
        for index in np.argsort(classes, kind="stable").tolist():
            areas = self.areas[SIZE_CLASSES[classes[index]]]
            for _ in range(-(-self.attempts // _BATCH)):
                boxes, fitted, limited = self._candidates(rng.random((4, _BATCH)), areas, canvas, sizes[index])
                if variants.cut_sides[index]:
                    boxes = moved_to_borders(boxes, sizes[index], variants.cut_sides[index], canvas)
                    fitted = fit_boxes(boxes, sizes[index])
                chosen = taken.add_first(fitted) if len(boxes) else None
                if chosen is not None:
                    placements.append(variants.place(index, boxes[chosen], limited[chosen]))
                    break
        return placements

    def _candidates(
        self, draws: np.ndarray, areas: tuple[float, float], canvas: tuple[int, int], size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Computes boxes for a segment from draws of area, aspect, x and y, (4, N).

        Returns:
            (M, 4) int64 boxes inside the canvas, without those that would not fit; the boxes of the segment fitted into
            them; and (M,) bool, whether a box was shrunk for ``max_enlargement``.
        """
        fast = loops("sos_mm.composition.layouts.box_loops")
        if fast:
            ranges = ((float(low), float(high)) for low, high in (areas, self.aspect))
            return fast.candidates(draws, *ranges, tuple(map(int, canvas)), size, float(self.limit))
        height, width = canvas
        area = (areas[0] + draws[0] * (areas[1] - areas[0])) * height * width
        aspect = self.aspect[0] + draws[1] * (self.aspect[1] - self.aspect[0])
        extent = np.maximum(np.rint(np.sqrt([area * aspect, area / aspect])), 1).astype(np.int64)
        room = np.array([[width], [height]]) - extent
        corner = np.floor(draws[2:] * (room + 1)).astype(np.int64)
        inside = np.concatenate([corner, corner + extent]).T[(room >= 0).all(axis=0)]
        boxes, limited = shrink_boxes(inside, size, self.limit)
        return boxes, fit_boxes(boxes, size), limited


def rounded_counts(number: int, shares: Sequence[float]) -> list[int]:
    """Splits a number of objects by shares into integers; the last class with a share gets the remainder.

    >>> rounded_counts(12, (0.24, 0.34, 0.42))
    [3, 4, 5]
    """
    last = max(position for position, share in enumerate(shares) if share)
    counts, left = [0] * len(shares), number
    for position, share in enumerate(shares[:last]):
        counts[position] = min(round(number * share), left)
        left -= counts[position]
    counts[last] = left
    return counts
