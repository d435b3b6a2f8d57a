"""From drawn segments to a layout and the pixels that it needs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sos_mm.composition.layouts.prior import Draft, Layout, LayoutPrior
from sos_mm.composition.place import scaled_size
from sos_mm.segments.bank import Bank


def draft_and_redraw(
    prior: LayoutPrior,
    rng: np.random.Generator,
    bank: Bank,
    drawn: Sequence[int] | np.ndarray,
    canvas: tuple[int, int],
    *,
    segment_rng: np.random.Generator | None = None,
    allowed: Callable[[int], bool] | None = None,
) -> tuple[Draft, list[int]]:
    """Decides how large each object is to be, and draws anew the segments that are too small for that.

    Args:
        prior: What decides.
        rng: Where its draws come from.
        bank: What the segments are in.
        drawn: Which of them.
        canvas: Height and width in pixels.
        segment_rng: Where new segments are drawn from; ``rng`` if None.
        allowed: Says of a segment of the bank whether it may be drawn; all may if None.

    Returns:
        The draft, and the segments: those drawn, or others of the same categories.
    """
    draft = prior.draft(rng, [bank.outline(index) for index in drawn], canvas)
    if prior.max_enlargement is None:
        return draft, list(drawn)
    return draft, bank.redraw(segment_rng or rng, list(drawn), draft.boxes, prior.max_enlargement, allowed)


def plan_and_load(
    prior: LayoutPrior,
    rng: np.random.Generator,
    bank: Bank,
    drawn: Sequence[int],
    canvas: tuple[int, int],
    draft: Draft | None = None,
) -> tuple[Layout, list[Any]]:
    """Plans by sizes alone; pixels are then read as large as they are needed, and only of what found a place.

    Args:
        prior: What plans.
        rng: Where its draws come from.
        bank: What the segments are in.
        drawn: Which of them.
        canvas: Height and width in pixels.
        draft: What `draft_and_redraw` gave with these segments; the prior makes one if None.

    Returns:
        The layout, and what its placements' ``segment`` index points into: a `Segment` for each that is placed; the
        others stay a `SegmentInfo`.

    Raises:
        LayoutError: If no layout was found.
        FileNotFoundError, ValueError: If a segment's file is gone or broken; names it.
    """
    segments: list[Any] = [bank.outline(index) for index in drawn]
    layout = prior.plan(rng, segments, canvas, draft)
    for planned in layout.placements:
        wanted = scaled_size(segments[planned.segment].size, planned.box)
        segments[planned.segment] = bank.load(drawn[planned.segment], wanted)
    return layout, segments
