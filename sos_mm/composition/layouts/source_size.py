"""The layout that keeps the size of cut-outs relative to their source images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sos_mm.checks import check_pair
from sos_mm.composition.layouts.borders import spanning_scales
from sos_mm.composition.layouts.occlusion import TakenBoxes
from sos_mm.composition.layouts.prior import (
    Draft,
    OcclusionOptions,
    SizedSegment,
    cut_sides_of,
    register_layout,
    sizes_of,
)
from sos_mm.composition.place import fit_boxes, rotated_bounds, shrink_boxes
from sos_mm.composition.scene import Placement

_BATCH = 16


@register_layout
@dataclass(frozen=True, kw_only=True)
class SourceSizeLayout(OcclusionOptions):
    """A prior with objects at their size relative to their source image, times a jitter; larger ones behind.

    An object gets the size that it has when its source image is scaled to fit into the canvas, times a factor as in
    large-scale jittering. Positions are uniform, under the rules of `OcclusionOptions`. An object that was cut
    off on opposite sides of its image is as large as the canvas between them, and what does not fit into the canvas is
    cut off, unless ``max_enlargement`` keeps it smaller.

    Args:
        jitter: Range of the factor on each object's size, uniform in its logarithm.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.
        min_mean_visible, min_visible, crowded, attempts, restarts: See `OcclusionOptions`.

    Source: the jitter of "Simple Copy-Paste is a Strong Data Augmentation Method", CVPR 2021, in a narrower range.

    Raises:
        ValueError: If an argument is out of its range.
    """

    jitter: tuple[float, float] = (0.5, 1.5)

    def __post_init__(self):
        super().__post_init__()
        check_pair("jitter", self.jitter, 0.01, 100)

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws the size of each object.

        Raises:
            ValueError: If a segment was not cut from an image.
        """
        for segment in segments:
            if segment.source_size is None:
                raise ValueError(
                    "`SourceSizeLayout` needs segments that were cut from images, such as those of a bank of type "
                    f"'coco', but got one of category {segment.category!r} that was not: use `StructuredLayout`."
                )
        sources = np.array([segment.source_size for segment in segments], float).reshape(-1, 2)
        low, high = self.jitter
        factors = low * (high / low) ** rng.random(len(segments))
        sizes = sizes_of(segments)
        spanning = spanning_scales(sizes, cut_sides_of(segments), canvas)
        scales = np.where(spanning, spanning, (np.array(canvas) / sources).min(axis=1) * factors)
        return Draft(np.maximum(_within(canvas, sizes * scales[:, None], spanning), 1))

    def try_once(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int], draft: Draft
    ) -> list[Placement]:
        """Tries one layout; returns the placements of the objects for which a box was found."""
        variants, sizes = self.draw_variants(rng, segments), sizes_of(segments)
        rotated = rotated_bounds(sizes, variants.rotations)
        spanning = spanning_scales(sizes, variants.cut_sides, canvas)
        rooms = _within(canvas, rotated_bounds(draft.boxes, variants.rotations), spanning)
        boxes = np.zeros((len(segments), 4), np.int64)
        boxes[:, 2:] = np.maximum(np.rint(rooms[:, ::-1]), 1)
        boxes, limited = shrink_boxes(boxes, rotated, self.limit)
        fitted = fit_boxes(boxes, rotated)
        taken = TakenBoxes(len(segments), self.min_visible, self.min_mean_visible)
        placements = []
        for index in np.argsort(-draft.boxes.prod(axis=1), kind="stable").tolist():
            extent = fitted[index, 2:] - fitted[index, :2]
            draw, batches = partial(_draw_boxes, rng, extent, canvas), -(-self.attempts // _BATCH)
            box = taken.add_drawn(draw, batches, rotated[index], variants.cut_sides[index], canvas)
            if box is not None:
                placements.append(variants.place(index, box, limited[index]))
        return placements


def _draw_boxes(rng: np.random.Generator, extent: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Draws (N, 4) int64 boxes of one width and height at uniform positions."""
    corners = np.floor(rng.random((_BATCH, 2)) * (np.array(canvas[::-1]) - extent + 1)).astype(np.int64)
    return np.concatenate([corners, corners + extent], axis=1)


def _within(canvas: tuple[int, int], sizes: np.ndarray, spanning: np.ndarray) -> np.ndarray:
    """Limits heights and widths (N, 2) to those of the canvas, except where an object spans it."""
    return np.where(spanning[:, None] > 0, sizes, np.minimum(sizes, canvas))
