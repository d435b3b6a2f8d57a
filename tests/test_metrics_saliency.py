"""The saliency metrics against PySODMetrics, and what must hold of them by themselves."""

import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from py_sod_metrics import MAE, Emeasure, Fmeasure, Smeasure, WeightedFmeasure
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

from sos_mm.metrics import (
    SaliencyScores,
    adaptive_scores,
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
    weighted_f_measure,
)
from sos_mm.synthesis.recipe import load_recipe
from sos_mm.synthesis.scenes import SceneMaker

TOLERANCE = 1e-9
# The weighted F-measure takes distances in 32 bits.
TOLERANCES = {"wFmeasure": 1e-6}

levels = st.sampled_from([0, 1, 51, 60, 127, 128, 129, 254, 255]) | st.integers(0, 255)
shapes = array_shapes(min_dims=2, max_dims=2, max_side=24)
maps = arrays(np.uint8, shapes)
pairs = shapes.flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=levels), arrays(np.uint8, shape, elements=st.sampled_from([0, 255]))
    )
)


class TolerantSmeasure(Smeasure):
    """The peer, without its one NaN: blocks that are empty, whose weight is 0."""

    def ssim(self, pred, gt):
        return super().ssim(pred, gt) if pred.size else 0.0


class TolerantEmeasure(Emeasure):
    """The peer, without its division by eps where an image is a single pixel: the score is the mean itself."""

    def step(self, pred, gt, normalize=True):
        super().step(pred, gt, normalize)
        if pred.size == 1:
            self.adaptive_ems[-1] *= np.spacing(1)
            self.changeable_ems[-1] = self.changeable_ems[-1] * np.spacing(1)


class Peer:
    """All of PySODMetrics that our scores are held against."""

    def __init__(self):
        with warnings.catch_warnings():
            # It says that its F-measure will be replaced by another class.
            warnings.simplefilter("ignore")
            self.metrics = [MAE(), TolerantSmeasure(), WeightedFmeasure(), Fmeasure(), TolerantEmeasure()]

    def step(self, prediction, target, normalize=True):
        for metric in self.metrics:
            metric.step(prediction, target, normalize)

    def curves(self):
        """Precision, recall, F and E by ascending threshold."""
        *_, f_measure, e_measure = (metric.get_results() for metric in self.metrics)
        curves = [f_measure["pr"]["p"], f_measure["pr"]["r"], f_measure["fm"]["curve"], e_measure["em"]["curve"]]
        return [curve[::-1] for curve in curves]

    def scores(self):
        """The scores of the data set, by our names."""
        error, structure, weighted, f_measure, e_measure = (metric.get_results() for metric in self.metrics)
        scores = {"MAE": error["mae"], "Smeasure": structure["sm"], "wFmeasure": weighted["wfm"]}
        for name, (result, per_image) in {
            "F": (f_measure["fm"], self.metrics[3].changeable_fms),
            "E": (e_measure["em"], self.metrics[4].changeable_ems),
        }.items():
            scores[f"adp{name}m"] = result["adp"]
            scores[f"mean{name}m"] = result["curve"].mean()
            scores[f"max{name}m"] = result["curve"].max()
            scores[f"max{name}m_per_image"] = np.mean([curve.max() for curve in per_image])
        return scores


def peer_scores(prediction, target, normalize=True):
    peer = Peer()
    peer.step(prediction, target, normalize)
    return peer.scores()


def our_scores(prediction, target, **options):
    return summarize([score_image(prediction, target, **options)])


def assert_equal_scores(ours, theirs, name=""):
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert ours[key] == pytest.approx(theirs[key], abs=TOLERANCES.get(key, TOLERANCE)), (name, key)


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
            target = np.maximum(noise(rng, shape), 64) if kind % 2 else ellipse(rng, *shape)
            prediction = noise(rng, shape) // (1 + kind // 2 * 100)
            yield f"{shape} {kind}", prediction, target


def random_pairs(rng):
    for index in range(60):
        shape = tuple(rng.integers(5, 120, 2))
        target = ellipse(rng, *shape)
        blurred = cv2.GaussianBlur(target, (0, 0), rng.uniform(0.5, 8))
        prediction = np.clip(blurred + rng.normal(0, rng.uniform(0, 60), shape), 0, 255).astype(np.uint8)
        yield f"random {index}", prediction, target


def composed_pairs(rng):
    """Masks of composed images, and what models make of them: soft, noisy, shifted, cut, compressed."""
    maker = SceneMaker(load_recipe("configs/synthesis/sample_saliency.py", {"canvas": (96, 128)}), seed=3)
    for index in range(46):
        target = np.where(maker.make(index).owner > 0, 255, 0).astype(np.uint8)
        soft = cv2.GaussianBlur(target, (0, 0), rng.uniform(1, 6))
        yield f"composed {index}, soft", soft, target
        yield f"composed {index}, noise", np.clip(soft + rng.normal(0, 30, soft.shape), 0, 255).astype(np.uint8), target
        yield f"composed {index}, shifted", np.roll(soft, tuple(rng.integers(-9, 9, 2)), (0, 1)), target
        yield f"composed {index}, cut", cv2.erode(target, np.ones((5, 5), np.uint8)), target
        jpeg = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
        yield f"composed {index}, jpeg", cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), target


# Together 503 pairs.
@pytest.mark.parametrize(
    ("make_pairs", "number"),
    [(degenerate_pairs, 153), (shaped_pairs, 60), (random_pairs, 60), (composed_pairs, 230)],
    ids=lambda p: str(p),
)
def test_parity_with_pysodmetrics(make_pairs, number, rng):
    counted = 0
    for name, prediction, target in make_pairs(rng):
        assert_equal_scores(our_scores(prediction, target), peer_scores(prediction, target), name)
        counted += 1
    assert counted == number


@settings(max_examples=150, deadline=None)
@given(pairs)
def test_parity_on_any_pair(pair):
    assert_equal_scores(our_scores(*pair), peer_scores(*pair))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parity_of_unrounded_maps(dtype, rng):
    for _, prediction, target in random_pairs(rng):
        soft = rng.random(target.shape).astype(dtype) * 0.1 + prediction / 300
        pair = prepare(soft, target, round_to_uint8=False)
        stretched = (soft - soft.min()) / (soft.max() - soft.min())
        assert np.allclose(pair.pred, stretched, rtol=0, atol=1e-6)
        theirs = peer_scores(pair.pred, pair.gt, normalize=False)
        assert_equal_scores(our_scores(soft, target, round_to_uint8=False), theirs)


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_alpha_weighs_the_parts_as_the_peer_does(alpha, rng):
    pair = prepare(noise(rng, (40, 50)), ellipse(rng, 40, 50))
    assert s_measure(pair, alpha) == pytest.approx(TolerantSmeasure(alpha).cal_sm(pair.pred, pair.gt), abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_nan_where_the_centroid_is_on_the_last_column():
    target = one_pixel(9, 9, 4, 8)
    pair = prepare(target, target)
    assert np.isnan(Smeasure().cal_sm(pair.pred, pair.gt))
    assert s_measure(pair) == pytest.approx(1)


def test_one_pixel_image_divides_by_itself_and_not_by_eps():
    target = np.array([[255]], np.uint8)
    peer = Emeasure()
    peer.step(target, target)
    assert peer.get_results()["em"]["adp"] > 1e15
    assert our_scores(target, target)["adpEm"] == 1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_weighted_f_with_many_equally_near_pixels(share, rng):
    """Which of them is taken matters: errors are noise, and most pixels outside have a tie."""
    for _ in range(20):
        target = (rng.random((50, 60)) < share).astype(np.uint8) * 255
        target[25, 30] = 255
        prediction = noise(rng, target.shape)
        pair = prepare(prediction, target)
        assert weighted_f_measure(pair) == pytest.approx(peer_scores(prediction, target)["wFmeasure"], abs=1e-6)
        assert has_ties(pair.gt)


def has_ties(gt):
    """Whether, within the Gaussian's reach, the nearest salient pixel of the mirrored image is another one."""
    distances, here = distance_transform_edt(~gt, return_indices=True)
    mirrored = distance_transform_edt(~gt[::-1, ::-1], return_distances=False, return_indices=True)[:, ::-1, ::-1]
    there = (np.array(gt.shape) - 1)[:, None, None] - mirrored
    return ((here != there).any(axis=0) & (distances <= 3)).any()


@pytest.mark.parametrize("tie", [(12, 10, 1), (24, 20, 2)])
def test_adaptive_threshold_that_equals_a_value(tie):
    """Twice the mean is exactly the level 51: numpy's rounding decides, so it must be numpy's."""
    pixels, zeros, ones = tie
    prediction = np.full((1, pixels), 51, np.uint8)
    prediction[0, :zeros], prediction[0, zeros : zeros + ones // 2 + ones % 2] = 0, 255
    for turn in range(pixels):
        turned, target = np.roll(prediction, turn), (np.arange(pixels)[None] % 3 == 0).astype(np.uint8) * 255
        theirs = peer_scores(turned, target)
        assert adaptive_scores(prepare(turned, target)) == pytest.approx((theirs["adpFm"], theirs["adpEm"]))


def strip(mask, pixels):
    """Salient pixels within so many steps of a king from the outside, in which the image lies."""
    return mask & (distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1] <= pixels)


@settings(max_examples=150, deadline=None)
@given(pairs, st.floats(0, 1))
def test_boundary_iou_from_distances(pair, width):
    ready = prepare(*pair)
    pixels = max(1, round(width * np.hypot(*ready.gt.shape)))
    ours, theirs = strip(ready.pred >= 0.5, pixels), strip(ready.gt, pixels)
    expected = (ours & theirs).sum() / (ours | theirs).sum() if (ours | theirs).any() else 1
    assert boundary_iou(ready, width) == pytest.approx(expected, abs=TOLERANCE)


def test_boundary_iou_by_hand():
    """Two 6x6 squares, one pixel apart, strips of one pixel: 12 of 28 pixels of the outlines are common."""
    target, shifted = np.zeros((2, 20, 20), np.uint8)
    target[5:11, 5:11], shifted[5:11, 6:12] = 255, 255
    outlines = [mask - np.pad(mask[1:-1, 1:-1], 1) for mask in np.ones((2, 6, 6), int)]
    places = [np.pad(outline, ((5, 9), (at, 14 - at))) > 0 for outline, at in zip(outlines, (5, 6), strict=True)]
    expected = (places[0] & places[1]).sum() / (places[0] | places[1]).sum()
    assert boundary_iou(prepare(shifted, target), width=0) == expected
    assert our_scores(shifted, target, boundary=True)["BIoU"] == expected  # 2 % of the diagonal is a pixel here, too.


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_error_of_the_inverse_is_the_same(pair):
    prediction, target = pair
    error = our_scores(prediction, target)["MAE"]
    assert our_scores(255 - prediction, 255 - target)["MAE"] == pytest.approx(error, abs=TOLERANCE)
    if np.ptp(prediction):  # A constant map is not stretched.
        assert our_scores(255 - prediction, target)["MAE"] == pytest.approx(1 - error, abs=TOLERANCE)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_scores_stay_in_range_and_take_bool_masks(pair):
    prediction, target = pair
    scores = our_scores(prediction, target, boundary=True)
    best = {name: target.size / max(target.size - 1, 1) if "Em" in name else 1 for name in scores}
    assert all(-TOLERANCE <= scores[name] <= best[name] + TOLERANCE for name in scores)
    assert our_scores(prediction, target > 128, boundary=True) == pytest.approx(scores, abs=1e-12)


@settings(max_examples=100, deadline=None)
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


@settings(max_examples=50, deadline=None)
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


@pytest.mark.parametrize(
    ("size", "to"), [((20, 30), (41, 33)), ((41, 33), (20, 30)), ((1, 1), (5, 4)), ((9, 1), (1, 9))]
)
def test_prediction_is_resized_to_the_mask(size, to, rng):
    prediction, target = noise(rng, size), ellipse(rng, *to)
    resized = cv2.resize(prediction, to[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_prediction(prediction, to), resized)
    assert_equal_scores(our_scores(prediction, target), peer_scores(resized, target))


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


def test_scores_are_averaged_over_images(rng):
    scores, peer = SaliencyScores(), Peer()
    pairs = [pair for _, *pair in random_pairs(rng)]
    for pair in pairs:
        scores.update(*pair)
        peer.step(*pair)
    assert_equal_scores(scores.compute(), peer.scores())
    for ours, theirs in zip(scores.curves(), peer.curves(), strict=True):
        assert ours == pytest.approx(theirs, abs=TOLERANCE)
    summary = scores.compute()
    # One threshold for all images is never better than each image's own.
    assert summary["maxFm"] < summary["maxFm_per_image"]
    assert summary["maxEm"] < summary["maxEm_per_image"]


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
