"""Intra-class referring against a table made by hand, with ties, misses and overlaps, and against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.metrics.grounding import box_ious, intra_class_scores, mean_intra_class

# All are 10x10: the target at the left, a distractor far from it, and one that covers two columns of it.
TARGET, OTHER = [0, 0, 10, 10], [20, 0, 30, 10]
NEAR = [8, 0, 18, 10]
# Name, boxes with scores, distractors, score on the target, score on the distractor. IoUs by hand beside them.
TABLE = [
    ("both found", [(TARGET, 0.9), (OTHER, 0.4)], [OTHER], 0.9, 0.4),
    ("the best box of each side counts", [(TARGET, 0.2), (TARGET, 0.7), (OTHER, 0.1), (OTHER, 0.6)], [OTHER], 0.7, 0.6),
    ("tie of scores", [(TARGET, 0.5), (OTHER, 0.5)], [OTHER], 0.5, 0.5),
    ("target missed", [(OTHER, 0.3)], [OTHER], None, 0.3),
    ("distractor missed", [(TARGET, 0.3)], [OTHER], 0.3, None),
    ("both missed", [([50, 50, 60, 60], 0.9)], [OTHER], None, None),
    ("no boxes", [], [OTHER], None, None),
    ("IoU of just .5 counts: 50 of 100", [([0, 0, 10, 5], 0.8)], [OTHER], 0.8, None),
    ("IoU under .5 does not: 49 of 100", [([0, 0, 10, 4.9], 0.8)], [OTHER], None, None),
    # A box over columns [0, 18) has 10/18 on both: a tie, so it is the distractor's.
    ("one box over both, the same", [([0, 0, 18, 10], 0.9)], [NEAR], None, 0.9),
    # Over columns [0, 17): 10/17 on the target, 9/18 on the other: the target's alone.
    ("one box over both, more on the target", [([0, 0, 17, 10], 0.9)], [NEAR], 0.9, None),
    ("one box over both, more on the other", [([1, 0, 18, 10], 0.9)], [NEAR], None, 0.9),
    ("two boxes, the better one over both", [([1, 0, 18, 10], 0.9), (TARGET, 0.6)], [NEAR], 0.6, 0.9),
    (
        "the best of two distractors",
        [(TARGET, 0.9), (OTHER, 0.4), ([40, 0, 50, 10], 0.8)],
        [OTHER, [40, 0, 50, 10]],
        0.9,
        0.8,
    ),
]


def score(found, distractors):
    boxes, scores = [box for box, _ in found], [value for _, value in found]
    return intra_class_scores(np.array(boxes).reshape(-1, 4), scores, [TARGET], distractors)


@pytest.mark.parametrize(("name", "found", "distractors", "on_target", "on_other"), TABLE)
def test_table(name, found, distractors, on_target, on_other):
    assert score(found, distractors) == (on_target, on_other)


@pytest.mark.parametrize(("name", "found", "distractors", "on_target", "on_other"), TABLE)
def test_where_the_score_of_sos_differs(name, found, distractors, on_target, on_other):
    """In theirs one box may count for both sides: the scores are the same unless a box overlaps both by half."""
    overlaps = [(box_ious([box], [TARGET])[0, 0], box_ious([box], distractors).max(), each) for box, each in found]
    theirs = (
        max((each for target, _, each in overlaps if target >= 0.5), default=None),
        max((each for _, distractor, each in overlaps if distractor >= 0.5), default=None),
    )
    shared = any(min(target, distractor) >= 0.5 for target, distractor, _ in overlaps)
    assert shared == ("over both" in name)
    assert (theirs == (on_target, on_other)) != shared


def test_means_of_the_table():
    """Gaps by hand: .5 .1 0 -.3 .3 0 0 .8 0 -.9 .9 -.9 -.3 .1, which sum to .3; over 0 are six of fourteen."""
    means = mean_intra_class([score(found, distractors) for _, found, distractors, _, _ in TABLE])
    assert means == {
        "average_gap": pytest.approx(100 * 0.3 / 14),
        "positive_gap_ratio": pytest.approx(100 * 6 / 14),
        # "target missed", and both "one box" rows that go to the other.
        "target_missed": pytest.approx(100 * 3 / 14),
        # "distractor missed", IoU of .5, more on the target.
        "distractor_missed": pytest.approx(100 * 3 / 14),
        # "both missed", no boxes, IoU under .5.
        "both_missed": pytest.approx(100 * 3 / 14),
    }


BOX = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


def pixels(box) -> set:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@settings(max_examples=200)
@given(
    st.lists(st.tuples(BOX, st.sampled_from([0.1, 0.4, 0.4, 0.9])), max_size=6),
    *[st.lists(BOX, min_size=1, max_size=3)] * 2,
)
def test_brute_force(found, targets, distractors):
    """Pixel by pixel, box by box."""

    def iou(a, b):
        return len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b))

    best = {"target": None, "other": None}
    for box, value in found:
        on_target, on_other = (max(iou(box, each) for each in side) for side in (targets, distractors))
        if max(on_target, on_other) >= 0.5:
            side = "target" if on_target > on_other else "other"
            best[side] = max(value, best[side] or 0)
    boxes, scores = np.array([box for box, _ in found]), [value for _, value in found]
    assert intra_class_scores(boxes, scores, targets, distractors) == (best["target"], best["other"])
    if found:
        np.testing.assert_allclose(box_ious(boxes, targets), [[iou(b, t) for t in targets] for b in boxes.tolist()])


def test_empty_boxes_overlap_nothing():
    assert box_ious([[1, 1, 1, 5], [5, 5, 2, 2]], [[0, 0, 9, 9], [1, 1, 1, 5]]).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": [0.5, 0.5]}, "scores"),
        ({"scores": [1.5]}, "in \\[0, 1\\]"),
        ({"scores": [float("nan")]}, "in \\[0, 1\\]"),
        ({"boxes": [[1, 2, 3]]}, "boxes.*shape \\(1, 3\\)"),
        ({"boxes": [[1, 2, float("inf"), 3]]}, "finite"),
        ({"targets": []}, "`targets` must hold at least one"),
        ({"distractors": []}, "`distractors` must hold at least one"),
        ({"iou_threshold": 2}, "iou_threshold"),
    ],
)
def test_wrong_input(changes, said):
    given = {"boxes": [TARGET], "scores": [0.5], "targets": [TARGET], "distractors": [OTHER], **changes}
    with pytest.raises(ValueError, match=said):
        intra_class_scores(**given)
    with pytest.raises(ValueError, match="at least one"):
        mean_intra_class([])
