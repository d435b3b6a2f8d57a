"""The saliency metrics against PySODMetrics."""

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from py_sod_metrics import MAE, Emeasure, Fmeasure, Smeasure, WeightedFmeasure
from scipy.ndimage import distance_transform_edt

from sos_mm.metrics import SaliencyScores, adaptive_scores, prepare, resize_prediction, s_measure, weighted_f_measure
from sos_mm.synthesis.recipe import load_recipe
from sos_mm.synthesis.scenes import SceneMaker
from tests.helpers.config_tables import CONFIGS
from tests.metrics.samples import ellipse, noise, one_pixel, our_scores, pairs, random_pairs

TOLERANCE = 1e-9


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


def assert_equal_scores(ours, theirs, name=""):
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert ours[key] == pytest.approx(theirs[key], abs=TOLERANCE), (name, key)


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


def composed_pairs(rng):
    """Masks of composed images, and what models make of them: soft, noisy, shifted, cut, compressed."""
    maker = SceneMaker(load_recipe(CONFIGS / "synthesis/sample_saliency.py", {"canvas": (96, 128)}), seed=3)
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
    ids=("degenerate", "shaped", "random", "composed"),
)
def test_parity_with_pysodmetrics(make_pairs, number, rng):
    counted = 0
    for name, prediction, target in make_pairs(rng):
        assert_equal_scores(our_scores(prediction, target), peer_scores(prediction, target), name)
        counted += 1
    assert counted == number


@settings(max_examples=150)
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
        assert weighted_f_measure(pair) == pytest.approx(peer_scores(prediction, target)["wFmeasure"], abs=TOLERANCE)
        assert has_ties(pair.gt)


@pytest.mark.parametrize("shape", [(3, 700), (700, 3), (40, 500)])
def test_weighted_f_far_from_the_object(shape, rng):
    """Beyond 270 pixels the weight is a constant; the map is 0 outside a box, which then need not be looked at."""
    for row, column in [(0, 0), (2, 2), (1, shape[1] - 1)]:
        target = one_pixel(*shape, row, column)
        prediction = noise(rng, shape)
        boxed = np.zeros_like(prediction)
        boxed[1:, 2:-1] = prediction[1:, 2:-1]
        for each in (prediction, boxed):
            theirs = peer_scores(each, target)["wFmeasure"]
            assert weighted_f_measure(prepare(each, target)) == pytest.approx(theirs, abs=TOLERANCE)


@pytest.mark.parametrize("used", [False, True])
def test_weighted_f_leaves_the_switch_of_opencv(used, rng):
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(used)
    kept = cv2.ipp.useIPP()
    weighted_f_measure(prepare(noise(rng, (9, 9)), one_pixel(9, 9, 4, 4)))
    assert cv2.ipp.useIPP() == kept
    cv2.ipp.setUseIPP(before)


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


@pytest.mark.parametrize(
    ("size", "to"), [((20, 30), (41, 33)), ((41, 33), (20, 30)), ((1, 1), (5, 4)), ((9, 1), (1, 9))]
)
def test_prediction_is_resized_to_the_mask(size, to, rng):
    prediction, target = noise(rng, size), ellipse(rng, *to)
    resized = cv2.resize(prediction, to[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_prediction(prediction, to), resized)
    assert_equal_scores(our_scores(prediction, target), peer_scores(resized, target))


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
