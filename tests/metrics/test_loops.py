"""The metrics' compiled loops: equal, bit by bit, to the numpy and OpenCV code that runs without numba."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.metrics import prepare, weighted_f_measure
from sos_mm.metrics.weighted import _FAR, _WEIGHTS, _false, _missed, _spread
from tests.helpers.numba import needs_numba, with_and_without, without_numba
from tests.metrics.samples import ellipse, one_pixel, our_scores, pairs
from tests.metrics.test_parity import (
    assert_equal_scores,
    composed_pairs,
    degenerate_pairs,
    peer_scores,
    random_pairs,
    shaped_pairs,
)

seeds = st.integers(0, 2**32 - 1)


@needs_numba
@settings(max_examples=150, deadline=None)
@given(pairs)
def test_any_pair(pair):
    fast, plain = with_and_without(lambda: our_scores(*pair))
    assert fast == plain


@needs_numba
@pytest.mark.parametrize("options", [{}, {"round_to_uint8": False}])
@pytest.mark.parametrize("make_pairs", [degenerate_pairs, shaped_pairs, random_pairs])
def test_pairs_of_the_peer(make_pairs, options, rng):
    for name, prediction, target in make_pairs(rng):
        soft = prediction / 255 if options else prediction
        fast, plain = with_and_without(lambda soft=soft, target=target: our_scores(soft, target, **options))
        assert fast == plain, name


@pytest.mark.parametrize("make_pairs", [degenerate_pairs, composed_pairs])
def test_parity_with_pysodmetrics_without_numba(make_pairs, rng):
    with without_numba():
        for name, prediction, target in list(make_pairs(rng))[::5]:
            assert_equal_scores(our_scores(prediction, target), peer_scores(prediction, target), name)


@needs_numba
@settings(max_examples=60, deadline=None)
@given(seeds)
def test_weights_of_squared_distances(seed):
    """By comparing each pixel with each salient one, in images that are wider or higher than the limit too."""
    from sos_mm.metrics import loops

    rng = np.random.default_rng(seed)
    shape = [(12, 700), (700, 12), (30, 40)][rng.integers(3)]
    gt = rng.random(shape) < rng.choice([0.0005, 0.01, 0.5])
    gt[rng.integers(shape[0]), rng.integers(shape[1])] = True
    levels, values = rng.integers(0, 256, shape).astype(np.uint8), rng.random(256)
    found = loops.weigh(loops.column_distances(gt, _FAR), _FAR, levels, values, _WEIGHTS)
    places = np.argwhere(gt)
    for _ in range(40):
        place = tuple(rng.integers(shape))
        squared = min(((places - place) ** 2).sum(axis=1).min(), _FAR**2)
        assert found[place] == _WEIGHTS[squared] * values[levels[place]]


@needs_numba
@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([0.005, 0.05, 0.4, 0.95]))
def test_errors_of_the_nearest_pixel(seed, share):
    """Noise of which most pixels have several equally near ones."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    gt, error = rng.random(shape) < share, rng.random(shape)
    fast, plain = with_and_without(lambda: _spread(error, gt))
    np.testing.assert_array_equal(fast, plain)


@needs_numba
def test_large_maps(rng):
    """Of several bands of rows, with weights that end at a distance."""
    target = ellipse(rng, 700, 900) | one_pixel(700, 900, 0, 0)
    prediction = np.clip(cv2.GaussianBlur(target, (0, 0), 9) + rng.normal(0, 20, target.shape), 0, 255).astype(np.uint8)
    pair = prepare(prediction, target)
    for part in (_false, _missed, weighted_f_measure):
        fast, plain = with_and_without(lambda part=part: part(pair))
        assert fast == plain > 0
