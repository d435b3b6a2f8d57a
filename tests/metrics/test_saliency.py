"""What must hold of the saliency metrics by themselves."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from sos_mm.metrics import (
    SaliencyScores,
    boundary_iou,
    level_counts,
    mean_absolute_error,
    mean_curves,
    prepare,
    resize_prediction,
    s_measure,
    score_image,
    summarize,
    threshold_curves,
)
from tests.metrics.samples import ellipse, maps, noise, our_scores, pairs, random_pairs

TOLERANCE = 1e-9


def strip(mask, pixels):
    """Salient pixels within so many steps of a king from the outside, in which the image lies."""
    return mask & (distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1] <= pixels)


@settings(max_examples=150)
@given(pairs, st.floats(0, 1))
def test_boundary_iou_from_distances(pair, width):
    ready = prepare(*pair)
    pixels = max(1, round(width * np.hypot(*ready.gt.shape)))
    ours, theirs = strip(ready.pred >= 0.5, pixels), strip(ready.gt, pixels)
    expected = (ours & theirs).sum() / (ours | theirs).sum() if (ours | theirs).any() else 1
    assert boundary_iou(ready, width) == pytest.approx(expected, abs=TOLERANCE)


def test_boundary_iou_by_hand():
    """Two 6x6 squares, one column apart, outlines of 20 pixels: 10 in common, 30 in all."""
    target, shifted = np.zeros((2, 20, 20), np.uint8)
    target[5:11, 5:11], shifted[5:11, 6:12] = 255, 255
    assert boundary_iou(prepare(shifted, target), width=0) == 10 / 30
    assert our_scores(shifted, target, boundary=True)["BIoU"] == 10 / 30  # 2 % of the diagonal is one pixel here.


@settings(max_examples=100)
@given(maps.filter(lambda mask: len(np.unique(mask > 128)) == 2))
def test_perfect_prediction(mask):
    target = (mask > 128).astype(np.uint8) * 255
    scores = our_scores(target, target, boundary=True)
    # By its definition the E-measure of N pixels is N / (N - 1) at best, and 1/4 is what a threshold of 0 adds.
    best = target.size / (target.size - 1)
    names = ("Smeasure", "wFmeasure", "BIoU", "adpFm", "maxFm", "maxFm_per_image")
    # The epsilon in the definition's denominator costs a lone pixel in a large block more than TOLERANCE.
    expected = {"MAE": 0, **dict.fromkeys(names, 1), **dict.fromkeys(("adpEm", "maxEm", "maxEm_per_image"), best)}
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-7)


@settings(max_examples=100)
@given(pairs)
def test_error_of_the_inverse_is_the_same(pair):
    prediction, target = pair
    error = our_scores(prediction, target)["MAE"]
    assert our_scores(255 - prediction, 255 - target)["MAE"] == pytest.approx(error, abs=TOLERANCE)
    if np.ptp(prediction):  # A constant map is not stretched.
        assert our_scores(255 - prediction, target)["MAE"] == pytest.approx(1 - error, abs=TOLERANCE)


@settings(max_examples=100)
@given(pairs)
def test_scores_stay_in_range_and_take_bool_masks(pair):
    prediction, target = pair
    scores = our_scores(prediction, target, boundary=True)
    best = {name: target.size / max(target.size - 1, 1) if "Em" in name else 1 for name in scores}
    assert all(-TOLERANCE <= scores[name] <= best[name] + TOLERANCE for name in scores)
    assert our_scores(prediction, target > 128, boundary=True) == pytest.approx(scores, abs=1e-12)


@settings(max_examples=100)
@given(pairs)
def test_curves_by_cutting_the_map(pair):
    """Precision and recall fall out of binary maps; recall falls with the threshold."""
    ready = prepare(*pair)
    curves = threshold_curves(level_counts(ready))
    cut = (ready.pred * 255).astype(np.uint8)
    for threshold in (0, 1, 77, 128, 254, 255):
        found = cut >= threshold
        true = (found & ready.gt).sum()
        assert curves.precision[threshold] == pytest.approx(true / max(found.sum(), 1))
        assert curves.recall[threshold] == pytest.approx(true / max(ready.gt.sum(), 1))
    assert (np.diff(curves.recall) <= 0).all()


@settings(max_examples=50)
@given(maps)
def test_float_map_is_scored_as_its_png(prediction):
    target = np.indices(prediction.shape)[0] % 2 == 0
    scores = our_scores(prediction, target)
    assert our_scores(prediction.astype(np.float32) / 255, target) == pytest.approx(scores, abs=1e-12)


def test_unrounded_map_is_an_option():
    prediction = np.array([[0.0, 0.1239, 1.0]])
    target = np.array([[0, 0, 255]], np.uint8)
    assert prepare(prediction, target).pred.tolist() == [[0, 32 / 255, 1]]
    assert prepare(prediction, target, round_to_uint8=False).pred.tolist() == prediction.tolist()


def test_prepare_stretches_and_thresholds():
    prediction = np.array([[51, 102, 153]], np.uint8)
    pair = prepare(prediction, np.array([[127, 128, 129]], np.uint8))
    assert pair.pred == pytest.approx(np.array([[0, 0.5, 1]]))
    assert pair.pred.dtype == np.float64
    assert pair.gt.tolist() == [[False, False, True]]
    assert prediction.tolist() == [[51, 102, 153]]  # Untouched.


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("round_to_uint8", [False, True])
def test_inputs_are_left_untouched(dtype, round_to_uint8):
    prediction, target = np.array([[0.25, 0.75, 0.5]], np.float64), np.array([[255, 0, 0]], np.uint8)
    prediction = (prediction * 255).astype(dtype) if dtype == np.uint8 else prediction.astype(dtype)
    before = prediction.tolist()
    score_image(prediction, target, round_to_uint8=round_to_uint8, boundary=True)
    assert prediction.tolist() == before
    assert target.tolist() == [[255, 0, 0]]


@settings(max_examples=50)
@given(maps, st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_resized_map_stays_in_its_range(prediction, size):
    for image in (prediction, prediction / 255, prediction.astype(np.float32) / 255):
        resized = resize_prediction(image, size)
        assert resized.shape == size
        assert resized.dtype == image.dtype
        assert image.min() - 1e-6 <= resized.min() <= resized.max() <= image.max() + 1e-6
    prepare(np.ones(prediction.shape), np.zeros(size, np.uint8), round_to_uint8=False)


MASK = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (np.zeros((4, 5, 1), np.uint8), MASK, r"`prediction` must be a non-empty array of shape .* \(4, 5, 1\)"),
        (np.zeros((0, 5), np.uint8), MASK, r"`prediction` must be a non-empty"),
        (MASK, MASK[0], r"`target` must be a non-empty array of shape .* \(5,\)"),
        (MASK, np.dstack([MASK] * 3), r"`target` must be a non-empty array of shape .* \(4, 5, 3\)"),
        (MASK, MASK + 1, "`target` must hold 0 .* and 255 .*, but got values up to 1, like the numbers of labels"),
        (MASK, MASK + 32, "`target` must hold 0 .* up to 32"),
        (MASK, MASK.astype(np.int64), "`target` must be bool or uint8, but got int64"),
        (MASK, MASK.astype(np.float32), "`target` must be bool or uint8, but got float32"),
        (MASK.astype(np.int64), MASK, r"`prediction` must be uint8, or float in \[0, 1\], but got int64"),
        (MASK.astype(bool), MASK, "`prediction` must be uint8, or float"),
        (MASK + 1.5, MASK, "`prediction` must hold values in .* from 1.5 to 1.5"),
        (MASK - 0.1, MASK, "`prediction` must hold values in"),
        (MASK + np.nan, MASK, "`prediction` must hold values in .* nan"),
    ],
)
def test_bad_input_is_named(prediction, target, message):
    with pytest.raises(ValueError, match=message):
        score_image(prediction, target)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_weights_out_of_range(value):
    pair = prepare(MASK, MASK)
    with pytest.raises(ValueError, match="`alpha` must be in"):
        s_measure(pair, value)
    with pytest.raises(ValueError, match="`width` must be in"):
        boundary_iou(pair, value)


def test_order_of_images_does_not_matter(rng):
    images = [score_image(*pair) for _, *pair in random_pairs(rng)]
    assert summarize(images[::-1]) == pytest.approx(summarize(images), abs=1e-15)
    assert mean_absolute_error(prepare(MASK, MASK)) == 0


def test_many_images_are_averaged_in_parts(rng):
    counts = rng.integers(0, 50, (700, 2, 256)).astype(np.uint32)
    for part, whole in zip(mean_curves(counts), threshold_curves(counts), strict=True):
        assert part == pytest.approx(whole.mean(axis=0), abs=TOLERANCE)


def test_parts_are_options(rng):
    pair = noise(rng, (20, 30)), ellipse(rng, 20, 30)
    scores = our_scores(*pair)
    without = our_scores(*pair, weighted=False, boundary=True)
    assert scores.keys() - without.keys() == {"wFmeasure"}
    assert without.keys() - scores.keys() == {"BIoU"}
    common = scores.keys() & without.keys()
    assert {name: scores[name] for name in common} == {name: without[name] for name in common}


def test_unrounded_accumulation():
    prediction, target = np.array([[0.0, 0.1239, 1.0]]), np.array([[0, 0, 255]], np.uint8)
    scores = SaliencyScores(round_to_uint8=False)
    assert scores.update(prediction, target).scores["MAE"] == pytest.approx(0.1239 / 3)


def test_no_image_has_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        SaliencyScores().compute()
    with pytest.raises(ValueError, match="at least one image"):
        SaliencyScores().curves()


def test_needs_no_torch():
    code = "import sys, sos_mm.metrics; print(sorted({'torch', 'mmengine', 'cv2', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
