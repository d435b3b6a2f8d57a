"""The saliency metrics against PySODMetrics, and what must hold of them by themselves."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from py_sod_metrics import MAE, Smeasure

from sos_mm.metrics import (
    SaliencyScores,
    mean_absolute_error,
    mean_scores,
    prepare,
    resize_prediction,
    s_measure,
    saliency_scores,
)

TOLERANCE = 1e-9

maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24))
pairs = array_shapes(min_dims=2, max_dims=2, max_side=24).flatmap(
    lambda shape: st.tuples(arrays(np.uint8, shape), arrays(np.uint8, shape, elements=st.sampled_from([0, 255])))
)


class TolerantSmeasure(Smeasure):
    """The peer, without its one NaN: blocks that are empty, whose weight is 0."""

    def ssim(self, pred, gt):
        return super().ssim(pred, gt) if pred.size else 0.0


def peer_scores(prediction, target):
    mae, structure = MAE(), TolerantSmeasure()
    mae.step(prediction, target)
    structure.step(prediction, target)
    return {"MAE": mae.get_results()["mae"], "Smeasure": structure.get_results()["sm"]}


def ellipse(rng, height, width):
    mask = np.zeros((height, width), np.uint8)
    center = (int(rng.integers(width)), int(rng.integers(height)))
    axes = (int(rng.integers(1, width + 1)) // 2, int(rng.integers(1, height + 1)) // 2)
    cv2.ellipse(mask, center, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    return mask


def one_pixel(height, width, row, column):
    mask = np.zeros((height, width), np.uint8)
    mask[row, column] = 255
    return mask


def noise(rng, shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def degenerate_pairs(rng):
    """Pairs at the edges of the definitions, all of them by name."""
    shape = height, width = 31, 44
    targets = {
        "empty": np.zeros(shape, np.uint8),
        "full": np.full(shape, 255, np.uint8),
        "all exactly 128": np.full(shape, 128, np.uint8),
        "all 129": np.full(shape, 129, np.uint8),
        "128 and 129": rng.integers(128, 130, shape, dtype=np.uint8),
        "soft": cv2.GaussianBlur(ellipse(rng, *shape), (9, 9), 0),
        "gradient": np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1)),
        "all but one pixel": 255 - one_pixel(height, width, 0, 0),
        "last column": np.pad(np.full((height, 1), 255, np.uint8), ((0, 0), (width - 1, 0))),
        "last row": np.pad(np.full((1, width), 255, np.uint8), ((height - 1, 0), (0, 0))),
        "left half": np.repeat([[255, 0]], [width // 2, width - width // 2], axis=1).repeat(height, 0).astype(np.uint8),
        "checkerboard": (np.indices(shape).sum(axis=0) % 2 * 255).astype(np.uint8),
        **{
            f"one pixel at {at}": one_pixel(height, width, *at) for at in [(0, 0), (30, 43), (0, 43), (30, 0), (15, 22)]
        },
    }
    for name, target in targets.items():
        yield f"{name}, itself", target, target
        yield f"{name}, inverted", 255 - target, target
        yield f"{name}, blurred", cv2.GaussianBlur(target, (11, 11), 0), target
        yield f"{name}, noise", noise(rng, shape), target
        yield f"{name}, gradient", targets["gradient"], target
        for level in (0, 7, 128, 255):
            yield f"{name}, constant {level}", np.full(shape, level, np.uint8), target


def shaped_pairs(rng):
    """Thin, tiny and odd images."""
    for shape in [(1, 1), (1, 2), (2, 1), (2, 2), (1, 37), (37, 1), (2, 50), (3, 3), (97, 101), (64, 64)]:
        for kind in range(6):
            target = noise(rng, shape) if kind % 2 else ellipse(rng, *shape)
            prediction = noise(rng, shape) // (1 + kind // 2 * 100)
            yield f"{shape} {kind}", prediction, target


def random_pairs(rng):
    for index in range(60):
        shape = tuple(rng.integers(5, 120, 2))
        target = ellipse(rng, *shape)
        blurred = cv2.GaussianBlur(target, (0, 0), rng.uniform(0.5, 8))
        prediction = np.clip(blurred + rng.normal(0, rng.uniform(0, 60), shape), 0, 255).astype(np.uint8)
        yield f"random {index}", prediction, target


@pytest.mark.parametrize(
    ("make_pairs", "number"), [(degenerate_pairs, 153), (shaped_pairs, 60), (random_pairs, 60)], ids=lambda p: str(p)
)
def test_parity_with_pysodmetrics(make_pairs, number, rng):
    counted = 0
    for name, prediction, target in make_pairs(rng):
        ours = saliency_scores(prediction, target)
        assert ours == pytest.approx(peer_scores(prediction, target), abs=TOLERANCE), name
        counted += 1
    assert counted == number


@settings(max_examples=150, deadline=None)
@given(pairs)
def test_parity_on_any_pair(pair):
    assert saliency_scores(*pair) == pytest.approx(peer_scores(*pair), abs=TOLERANCE)


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_alpha_weighs_the_parts_as_the_peer_does(alpha, rng):
    pred, gt = prepare(noise(rng, (40, 50)), ellipse(rng, 40, 50))
    assert s_measure(pred, gt, alpha) == pytest.approx(TolerantSmeasure(alpha).cal_sm(pred, gt), abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_nan_where_the_centroid_is_on_the_last_column():
    target = one_pixel(9, 9, 4, 8)
    assert np.isnan(Smeasure().cal_sm(*prepare(target, target)))
    assert s_measure(*prepare(target, target)) == pytest.approx(1)


@settings(max_examples=100, deadline=None)
@given(maps.filter(lambda mask: len(np.unique(mask > 128)) == 2))
def test_perfect_prediction(mask):
    target = (mask > 128).astype(np.uint8) * 255
    # The epsilon in the definition's denominator costs a lone pixel in a large block more than TOLERANCE.
    assert saliency_scores(target, target) == pytest.approx({"MAE": 0, "Smeasure": 1}, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_error_of_the_inverse_is_the_same(pair):
    prediction, target = pair
    error = saliency_scores(prediction, target)["MAE"]
    assert saliency_scores(255 - prediction, 255 - target)["MAE"] == pytest.approx(error, abs=TOLERANCE)
    if np.ptp(prediction):  # A constant map is not stretched.
        assert saliency_scores(255 - prediction, target)["MAE"] == pytest.approx(1 - error, abs=TOLERANCE)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_scores_stay_in_range_and_take_bool_masks(pair):
    prediction, target = pair
    scores = saliency_scores(prediction, target)
    assert 0 <= scores["MAE"] <= 1
    assert 0 <= scores["Smeasure"] <= 1 + TOLERANCE
    assert saliency_scores(prediction, target > 128) == scores


@settings(max_examples=50, deadline=None)
@given(maps)
def test_float_map_is_scored_as_its_png(prediction):
    target = np.indices(prediction.shape)[0] % 2 == 0
    assert saliency_scores(prediction.astype(np.float32) / 255, target) == saliency_scores(prediction, target)


def test_unrounded_map_is_an_option():
    prediction = np.array([[0.0, 0.1239, 1.0]])
    target = np.array([[0, 0, 255]], np.uint8)
    rounded, _ = prepare(prediction, target)
    unrounded, _ = prepare(prediction, target, round_to_uint8=False)
    assert rounded.tolist() == [[0, 32 / 255, 1]]
    assert unrounded.tolist() == prediction.tolist()


def test_prepare_stretches_and_thresholds():
    prediction = np.array([[51, 102, 153]], np.uint8)
    pred, gt = prepare(prediction, np.array([[127, 128, 129]], np.uint8))
    assert pred == pytest.approx(np.array([[0, 0.5, 1]]))
    assert pred.dtype == np.float64
    assert gt.tolist() == [[False, False, True]]
    assert prediction.tolist() == [[51, 102, 153]]  # Untouched.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_prepare_leaves_a_float_map_untouched(dtype):
    prediction = np.array([[0.25, 0.75]], dtype)
    prepare(prediction, np.zeros((1, 2), np.uint8), round_to_uint8=False)
    assert prediction.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize(
    ("size", "to"), [((20, 30), (41, 33)), ((41, 33), (20, 30)), ((1, 1), (5, 4)), ((9, 1), (1, 9))]
)
def test_prediction_is_resized_to_the_mask(size, to, rng):
    prediction, target = noise(rng, size), ellipse(rng, *to)
    resized = cv2.resize(prediction, to[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_prediction(prediction, to), resized)
    assert saliency_scores(prediction, target) == pytest.approx(peer_scores(resized, target), abs=TOLERANCE)


@settings(max_examples=50, deadline=None)
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
        saliency_scores(prediction, target)


@pytest.mark.parametrize("metric", [mean_absolute_error, s_measure])
@pytest.mark.parametrize(
    ("pred", "gt", "message"),
    [
        (np.zeros((4, 5)), MASK, "`gt` must be bool, but got uint8"),
        (np.zeros((5, 4)), MASK > 128, "`pred` must be of the shape of `gt`"),
        (MASK, MASK > 128, "`pred` must be uint8, or float|`pred` must be float in"),
        (np.full((4, 5), 2.0), MASK > 128, "`pred` must hold values in"),
        (np.zeros(4), np.zeros(4, bool), "`pred` must be a non-empty array"),
    ],
)
def test_unprepared_pair_is_refused(metric, pred, gt, message):
    with pytest.raises(ValueError, match=message):
        metric(pred, gt)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match="`alpha` must be in"):
        s_measure(np.zeros((4, 5)), MASK > 128, alpha)


def test_scores_are_averaged_over_images(rng):
    scores = SaliencyScores()
    pairs = [pair for _, *pair in random_pairs(rng)]
    rows = [scores.update(*pair) for pair in pairs]
    assert rows[3] == saliency_scores(*pairs[3])
    peer_mae, peer_structure = MAE(), TolerantSmeasure()
    for pair in pairs:
        peer_mae.step(*pair)
        peer_structure.step(*pair)
    means = scores.compute()
    assert means["MAE"] == pytest.approx(peer_mae.get_results()["mae"], abs=TOLERANCE)
    assert means["Smeasure"] == pytest.approx(peer_structure.get_results()["sm"], abs=TOLERANCE)
    assert mean_scores(rows[::-1]) == means


def test_unrounded_accumulation():
    prediction, target = np.array([[0.0, 0.1239, 1.0]]), np.array([[0, 0, 255]], np.uint8)
    scores = SaliencyScores(round_to_uint8=False)
    assert scores.update(prediction, target)["MAE"] == pytest.approx(0.1239 / 3)


def test_no_image_has_no_mean():
    with pytest.raises(ValueError, match="at least one image"):
        SaliencyScores().compute()


def test_needs_no_torch():
    code = "import sys, sos_mm.metrics; print(sorted({'torch', 'mmengine', 'cv2', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
