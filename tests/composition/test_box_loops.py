"""Compiled loops over the boxes of layouts: equal, bit by bit, to the numpy code that runs without numba."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition.layouts.occlusion import TakenBoxes
from sos_mm.composition.layouts.prior import build_layout
from sos_mm.segments.segment import Segment
from tests.helpers.numba import needs_numba, with_and_without

pytestmark = needs_numba
seeds = st.integers(0, 2**32 - 1)


def segments_of(rng: np.random.Generator, number: int) -> list[Segment]:
    """Opaque segments of any size."""
    return [Segment(np.full((*rng.integers(1, 60, 2), 4), 255, np.uint8), "apple") for _ in range(number)]


def random_boxes(rng: np.random.Generator, number: int, least: int) -> np.ndarray:
    corners = rng.integers(0, 900, (number, 2))
    return np.concatenate([corners, corners + rng.integers(least, 120, (number, 2))], axis=1)


@settings(max_examples=80, deadline=None)
@given(
    seeds,
    st.sampled_from(["StructuredLayout", "DepthLayout"]),
    st.integers(1, 25),
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.sampled_from([None, 0.3, 1.5]),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_layouts(seed, kind, number, canvas, most, rotation, least):
    options = {"max_enlargement": most, "rotation": rotation, "min_visible": least, "restarts": 2, "attempts": 40}
    prior = build_layout({"type": kind, "crowded": "fewer", **options})
    segments = segments_of(np.random.default_rng(seed), number)

    def plan():
        rng = np.random.default_rng(seed)
        return prior.try_once(rng, segments, canvas, prior.draft(rng, segments, canvas)), rng.random()

    fast, plain = with_and_without(plan)
    assert fast == plain


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 200), st.sampled_from([0.0, 0.2]))
def test_taken_boxes(seed, number, least):
    """Any number, also more than are added by the loop; the mean visible share decides about half of the boxes."""
    rng = np.random.default_rng(seed)
    first, later = random_boxes(rng, number, 60), random_boxes(rng, 10, 1)

    def add():
        taken = TakenBoxes(number + 10, least, 0.0)
        added = [taken.add_first(box[None]) for box in first]
        # The mean as it is: a bit more or less in the sum of a loop changes the answer.
        visible = np.maximum(1 - taken.hidden[: taken.number] / taken.areas[: taken.number], 0)
        taken.min_mean_visible = (visible.sum() + 1) / (taken.number + 1)
        added += [taken.add_first(later[start:]) for start in range(10)]
        return added, taken.boxes[: taken.number], taken.areas[: taken.number], taken.hidden[: taken.number]

    fast, plain = with_and_without(add)
    for ours, theirs in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(np.array(ours, float), np.array(theirs, float))


@settings(max_examples=200, deadline=None)
@given(seeds, st.integers(0, 128))
def test_sums_are_those_of_numpy(seed, number):
    from sos_mm.composition.layouts import box_loops

    values = np.random.default_rng(seed).random((3, number))
    for row, total in zip(values, values.sum(axis=1), strict=True):
        assert box_loops.total(row) == total
