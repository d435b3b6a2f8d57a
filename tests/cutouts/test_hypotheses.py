"""Clusters of masks against scipy's complete linkage, brute force and cases computed by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from sos_mm.cutouts.hypotheses import cluster_masks, find_hypotheses, pairwise_iou


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """By its definition, over sets of pixels."""
    first, second = (set(map(tuple, np.argwhere(mask))) for mask in (first, second))
    return len(first & second) / len(first | second) if first | second else 1.0


def strips(*spans: tuple[int, int]) -> np.ndarray:
    """Masks (N, 1, 100) of the columns from the one to the other."""
    masks = np.zeros((len(spans), 1, 100), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return masks


def noisy(rng: np.random.Generator, number: int, centers: int = 3) -> np.ndarray:
    """Masks (number, 12, 12), each like one of a few random ones, with noise; no two are equally similar."""
    prototypes = rng.random((centers, 12, 12)) < 0.5
    return prototypes[rng.integers(centers, size=number)] ^ (rng.random((number, 12, 12)) < rng.uniform(0.02, 0.2))


@pytest.mark.parametrize("seed", range(20))
def test_overlaps_are_those_of_sets(seed):
    masks = noisy(np.random.default_rng(seed), 4)
    masks[3] = False
    found = pairwise_iou(masks)
    assert found == pytest.approx(np.array([[iou(first, second) for second in masks] for first in masks]))


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_those_of_scipy(seed, limit):
    rng = np.random.default_rng(seed)
    masks = noisy(rng, int(rng.integers(2, 14)))
    distances = 1 - pairwise_iou(masks)
    off = squareform(distances, checks=False)
    # Of equally distant pairs each may merge another one first.
    distances_are_distinct = len(set(np.round(off, 9))) == len(off)
    labels = fcluster(linkage(off, "complete"), 1 - limit, criterion="distance")
    theirs = {tuple(np.flatnonzero(labels == label).tolist()) for label in set(labels)}
    ours = cluster_masks(masks, number=len(masks), min_iou=limit)
    for each in ours:
        assert all(iou(masks[a], masks[b]) >= limit for a, b in combinations(each.members, 2))
    if distances_are_distinct:
        assert {each.members for each in ours} == theirs


masks_of_any_kind = st.integers(1, 8).flatmap(
    lambda number: st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=number, max_size=number)
)


@given(masks_of_any_kind, st.integers(1, 4), st.floats(0.05, 1))
def test_shares_sum_to_one_and_fall(rows, number, limit):
    masks = np.array(rows).reshape(-1, 2, 3)
    found = cluster_masks(masks, number, limit)
    shares = [each.share for each in found]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    assert len(found) <= number
    members = [member for each in found for member in each.members]
    assert len(members) == len(set(members))
    for each in found:
        assert each.share >= len(each.members) / len(masks) - 1e-9
        assert all(iou(masks[a], masks[b]) >= limit for a, b in combinations(each.members, 2))
    # Two clusters that are left could not become one.
    for first, second in combinations(found, 2):
        assert min(iou(masks[a], masks[b]) for a in first.members for b in second.members) < limit
    assert cluster_masks(masks, number, limit) == found


def test_dropped_members_count_to_what_they_overlap_most_and_change_no_map():
    """Three on the left, two on the right, and one that lies mostly on the right."""
    masks = strips((0, 40), (60, 100), (0, 42), (0, 38), (60, 98), (70, 80))
    found = cluster_masks(masks, number=2)
    assert [each.members for each in found] == [(0, 2, 3), (1, 4)]
    assert [each.share for each in found] == [0.5, 0.5]
    left, right = find_hypotheses(masks * 0.8, number=2)
    assert (right.share, right.saliency.dtype) == (0.5, np.float32)
    assert right.saliency[0] == pytest.approx(np.mean(masks[[1, 4]] * 0.8, 0)[0])
    assert left.alpha[0, 0] == 204
    # On its own, in third place.
    assert [each.share for each in find_hypotheses(masks * 0.8, number=3)] == [3 / 6, 2 / 6, 1 / 6]


def test_dropped_members_can_change_the_order():
    masks = strips((0, 40), (0, 40), (60, 100), (60, 90), (60, 66), (94, 100))
    assert [each.members for each in cluster_masks(masks, 2)] == [(2, 3), (0, 1)]
    assert [each.share for each in cluster_masks(masks, 2)] == pytest.approx([4 / 6, 2 / 6])


def test_a_chain_is_not_one_hypothesis():
    """Each overlaps the next by a half and more, the first and the last by less."""
    masks = strips((0, 60), (10, 70), (20, 80), (30, 90))
    assert iou(masks[0], masks[3]) == pytest.approx(1 / 3)
    assert [each.members for each in cluster_masks(masks)] == [(0, 1), (2, 3)]


def test_empty_masks_are_one_hypothesis():
    masks = strips((0, 0), (0, 40), (0, 0), (0, 0))
    assert [(each.members, each.share) for each in cluster_masks(masks)] == [((0, 2, 3), 0.75), ((1,), 0.25)]


def test_median_is_the_lower_one():
    maps = np.array([0.6, 0.7, 0.9, 1.0])[:, None, None] * np.ones((4, 2, 2))
    (found,) = find_hypotheses(maps, reduction="median")
    assert found.saliency == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        (np.zeros((2, 2)), {}, r"floats of shape \(N, H, W\), N at least 1, but got float64 \(2, 2\)"),
        (np.zeros((0, 2, 2)), {}, "N at least 1"),
        (np.zeros((2, 2, 2), np.uint8), {}, "but got uint8"),
        (np.full((2, 2, 2), 2.0), {}, r"must be in \[0, 1\]"),
        (np.full((2, 2, 2), np.nan), {}, r"must be in \[0, 1\]"),
        (np.zeros((2, 2, 2)), dict(number=0), "`number` must be an integer"),
        (np.zeros((2, 2, 2)), dict(number=True), "`number` must be an integer"),
        (np.zeros((2, 2, 2)), dict(min_iou=0), "`min_iou` must be above 0"),
        (np.zeros((2, 2, 2)), dict(min_iou=1.5), "`min_iou` must be in"),
        (np.zeros((2, 2, 2)), dict(threshold=-1), "`threshold` must be in"),
        (np.zeros((2, 2, 2)), dict(reduction="mode"), "`reduction` must be one of"),
    ],
)
def test_bad_input(maps, options, message):
    with pytest.raises(ValueError, match=message):
        find_hypotheses(maps, **options)


def test_masks_must_be_booleans():
    with pytest.raises(ValueError, match=r"booleans of shape \(N, H, W\), N at least 1, but got float64"):
        cluster_masks(np.zeros((2, 2, 2)))
