"""From drawn segments to a layout and the pixels that it needs."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sos_mm.composition.layout import Layout, LayoutPrior
from sos_mm.composition.place import scaled_size
from sos_mm.segments.record import Outline
from sos_mm.segments.segment import Segment


class Bank(Protocol):
    """What segments are read from; `SegmentBank` and `MixedBank` do so."""

    def outline(self, index: int) -> Outline:
        """A segment's size."""

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """A segment's pixels, enough of them for a height and a width."""


def plan_and_load(
    prior: LayoutPrior, rng: np.random.Generator, bank: Bank, drawn: Sequence[int], canvas: tuple[int, int]
) -> tuple[Layout, list[Segment | Outline]]:
    """Plans by sizes alone; pixels are then read as large as they are needed, and only of what found a place.

    Args:
        prior: What plans.
        rng: Where its draws come from.
        bank: What the segments are in.
        drawn: Which of them.
        canvas: Height and width in pixels.

    Returns:
        The layout, and what its placements' ``segment`` index points into; the others stay outlines.

    Raises:
        LayoutError: If no layout was found.
        FileNotFoundError, ValueError: If a segment's file is gone or broken; names it.
    """
    segments = [bank.outline(index) for index in drawn]
    layout = prior.plan(rng, segments, canvas)
    for planned in layout.placements:
        wanted = scaled_size(segments[planned.segment].size, planned.box)
        segments[planned.segment] = bank.load(drawn[planned.segment], wanted)
    return layout, segments
