"""The random layout: no rule but the canvas, the baseline that other priors are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sos_mm.checks import check_range
from sos_mm.composition.layout import Layout, Variation, check_counts, check_pair, draw_count, register_layout
from sos_mm.composition.place import fit_boxes, turned_sizes
from sos_mm.composition.scene import Placement
from sos_mm.segments.segment import Segment


@register_layout
@dataclass(frozen=True)
class RandomLayout(Variation):
    """Objects of any size anywhere inside the canvas, in any order.

    Args:
        counts: Least and largest number of objects an image.
        side: Range of an object's longer side, uniform in its logarithm, as a fraction of the canvas's shorter.
        flip: Probability of a mirrored segment.
        rotation, hue: See `Variation`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    counts: tuple[int, int] = (5, 20)
    side: tuple[float, float] = (0.05, 0.6)
    flip: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check_counts(self.counts)
        check_pair("side", self.side, 0.001, 1)
        check_range("flip", self.flip, 0, 1)

    def draw_count(self, rng: np.random.Generator) -> int:
        """How many objects the next image gets, uniform over ``counts``."""
        return draw_count(rng, self.counts)

    def plan(self, rng: np.random.Generator, segments: Sequence[Segment], canvas: tuple[int, int]) -> Layout:
        """Places every segment once; only their sizes are looked at. There is always room.

        Args:
            rng: Where the draws come from.
            segments: What to place.
            canvas: Height and width in pixels.
        """
        variants = self.draw_variants(rng, len(segments))
        sizes = np.array([segment.size for segment in segments], float).reshape(-1, 2)
        draws = rng.random((4, len(segments)))
        longest = min(canvas) * np.exp(np.log(self.side[0]) + draws[0] * np.log(self.side[1] / self.side[0]))
        squares = np.zeros((len(segments), 4), np.int64)
        squares[:, 2:] = np.maximum(np.rint(longest), 1)[:, None]
        extent = fit_boxes(squares, turned_sizes(sizes, variants[0]))
        extent = extent[:, 2:] - extent[:, :2]
        corner = np.floor(draws[1:3].T * (np.array(canvas[::-1]) - extent + 1)).astype(np.int64)
        boxes = np.concatenate([corner, corner + extent], axis=1).tolist()
        return Layout(
            canvas,
            tuple(
                Placement(index, tuple(box), bool(draws[3, index] < self.flip), *(float(v[index]) for v in variants))
                for index, box in enumerate(boxes)
            ),
        )
