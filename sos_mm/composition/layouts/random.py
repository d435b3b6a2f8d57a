"""The random layout: uniform positions without an occlusion rule, a baseline for other priors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sos_mm.checks import check_choice, check_pair
from sos_mm.composition.layouts.borders import moved_to_borders
from sos_mm.composition.layouts.enlargement import assign_boxes
from sos_mm.composition.layouts.prior import (
    Draft,
    Layout,
    PriorOptions,
    SizedSegment,
    register_layout,
    sizes_of,
)
from sos_mm.composition.place import fit_boxes, rotated_bounds, shrink_boxes


@register_layout
@dataclass(frozen=True, kw_only=True)
class RandomLayout(PriorOptions):
    """A prior with objects at uniform positions, in any depth order.

    Args:
        sizes: 'log-uniform' draws the sizes of objects, which lie inside the canvas; 'own' leaves each segment at its
            own size in pixels, with its centre at a uniform pixel of the canvas, whose border may truncate it, as in
            the released code of SOS.
        side: With 'log-uniform', the range of an object's longer side, uniform in its logarithm, as a fraction of the
            canvas's shorter side.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    sizes: str = "log-uniform"
    side: tuple[float, float] = (0.05, 0.6)

    def __post_init__(self):
        super().__post_init__()
        check_choice("sizes", self.sizes, ("log-uniform", "own"))
        check_pair("side", self.side, 0.001, 1)

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws the longer side of each object, as a square box; 'own' sizes are those of the segments."""
        own = sizes_of(segments)
        if self.sizes == "own":
            return Draft(own)
        low, high = self.side
        sides = np.maximum(np.rint(min(canvas) * low * (high / low) ** rng.random(len(own))), 1)
        boxes = np.stack([sides, sides], axis=1)
        return Draft(boxes[np.argsort(assign_boxes(rng, boxes, own, self.limit))])

    def plan(
        self,
        rng: np.random.Generator,
        segments: Sequence[SizedSegment],
        canvas: tuple[int, int],
        draft: Draft | None = None,
    ) -> Layout:
        """Places every segment once. Only their sizes are read, and there is always a layout.

        Args:
            rng: Source of the random draws.
            segments: The segments to place.
            canvas: Height and width in pixels.
            draft: The result of `draft` for these segments; drawn here if None.
        """
        draft = self.draft(rng, segments, canvas) if draft is None else draft
        variants = self.draw_variants(rng, segments)
        draws = rng.random((2, len(segments))).T
        size = np.array(canvas[::-1])
        rotated = rotated_bounds(sizes_of(segments), variants.rotations)
        extents, limited = self._extents(draft.boxes, rotated)
        if self.sizes == "own":
            corners = np.floor(draws * size).astype(np.int64) - extents // 2
        else:
            corners = np.floor(draws * (size - extents + 1)).astype(np.int64)
        boxes = np.concatenate([corners, corners + extents], axis=1)
        boxes = moved_to_borders(boxes, rotated, variants.cut_sides, canvas)
        placements = (variants.place(index, *each) for index, each in enumerate(zip(boxes, limited, strict=True)))
        return Layout(canvas, tuple(placements))

    def _extents(self, drafted: np.ndarray, rotated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes (N, 2) int64 widths and heights of rotated segments, and (N,) bool where the limit reduced them."""
        if self.sizes == "own":
            extents = np.maximum(np.rint(rotated[:, ::-1] * min(self.limit, 1)), 1).astype(np.int64)
            return extents, np.full(len(extents), self.limit < 1)
        squares = np.zeros((len(drafted), 4), np.int64)
        squares[:, 2:] = drafted[:, ::-1]
        squares, limited = shrink_boxes(squares, rotated, self.limit)
        fitted = fit_boxes(squares, rotated)
        return fitted[:, 2:] - fitted[:, :2], limited
