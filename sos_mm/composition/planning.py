"""Plans a layout for drawn segments and loads the pixels that it needs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sos_mm.composition.layouts.prior import Draft, Layout, LayoutPrior
from sos_mm.composition.place import scaled_size
from sos_mm.segments.protocol import Bank


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
    """Draws the size of each object, and replaces segments that are too small for it.

    Args:
        prior: The layout prior.
        rng: Source of its random draws.
        bank: The bank of the segments.
        drawn: Indices of the drawn segments in the bank.
        canvas: Height and width in pixels.
        segment_rng: Source of the draws of new segments; ``rng`` if None.
        allowed: Returns whether a segment of the bank may be drawn; all may if None.

    Returns:
        The draft, and the indices of the segments: the drawn ones, or others of the same categories.
    """
    draft = prior.draft(rng, [bank.info(index) for index in drawn], canvas)
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
    """Plans a layout from sizes alone, then loads the placed segments in the resolution that they need.

    Args:
        prior: The layout prior.
        rng: Source of its random draws.
        bank: The bank of the segments.
        drawn: Indices of the segments in the bank.
        canvas: Height and width in pixels.
        draft: The draft from `draft_and_redraw` for these segments; drawn here if None.

    Returns:
        The layout, and the segments that its placements' ``segment`` indexes; segments that were not placed stay
        `SegmentInfo`.

    Raises:
        LayoutError: If no layout was found.
        FileNotFoundError, ValueError: If a segment's file is missing or broken; names it.
    """
    segments: list[Any] = [bank.info(index) for index in drawn]
    layout = prior.plan(rng, segments, canvas, draft)
    for planned in layout.placements:
        wanted = scaled_size(segments[planned.segment].size, planned.box)
        segments[planned.segment] = bank.load(drawn[planned.segment], wanted)
    return layout, segments
