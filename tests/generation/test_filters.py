"""Filters of drawn segments, against hand-made images and brute force."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sos_mm
from sos_mm.generation.filters import (
    NOTHING,
    REASONS,
    DrawingFilters,
    Judged,
    color_share,
    duplicate_positions,
    frame_margin,
    judge,
    mask_iou,
    reasons_of,
)
from sos_mm.segments import build_bank
from sos_mm.segments.quality import measure
from tests.helpers.cutters import BrightCutter, DiscCutter

SAMPLE = Path(sos_mm.__file__).parent / "sample"
LOOSE = DrawingFilters(area=(0.0, 1.0), soft=1.0)


def drawn(*boxes, color=(250, 10, 10), size=(60, 80)):
    """A dark image with bright rectangles, each (y, x, height, width)."""
    image = np.full((*size, 3), 20, np.uint8)
    for y, x, height, width in boxes:
        image[y : y + height, x : x + width] = color
    return image


@pytest.mark.parametrize(
    ("boxes", "filters", "reasons"),
    [
        ([(20, 20, 20, 30)], {}, ()),
        ([], {}, (NOTHING,)),
        ([(0, 20, 20, 30)], {}, ("touching the frame",)),
        ([(0, 20, 20, 30)], {"margin": 0}, ()),
        ([(20, 20, 20, 30)], {"margin": 20}, ()),
        ([(20, 20, 20, 30)], {"margin": 21}, ("touching the frame",)),
        ([(40, 50, 20, 30)], {}, ("touching the frame",)),
        ([(10, 10, 20, 20), (10, 50, 20, 20)], {}, ("several components",)),
        ([(10, 10, 20, 20), (10, 50, 20, 20)], {"components": 2}, ()),
        ([(10, 10, 20, 20), (10, 50, 20, 20)], {"components": None}, ()),
        # Of 400 pixels, a speck of 3 is below a hundredth and is removed, one of 4 is not.
        ([(10, 10, 20, 20), (10, 50, 1, 3)], {}, ()),
        ([(10, 10, 20, 20), (10, 50, 1, 4)], {}, ("several components",)),
        ([(20, 20, 9, 10)], {}, ("too small",)),
        ([(20, 20, 9, 11)], {}, ()),
        ([(1, 1, 58, 78)], {}, ("too large",)),
        ([(0, 0, 60, 80)], {}, ("touching the frame", "too large")),
    ],
)
def test_hand_made_images(boxes, filters, reasons):
    """Of 4800 pixels, two hundredths are 96 and nine tenths are 4320."""
    judged = judge(drawn(*boxes), BrightCutter(), None, DrawingFilters(**filters))
    assert judged.reasons == reasons
    assert (judged.rgba is None) == (not boxes)


def test_cutout_and_scores():
    image = drawn((20, 25, 10, 30))
    judged = judge(image, BrightCutter(), BrightCutter(255), LOOSE, "a red box")
    assert judged.rgba.shape == (10, 30, 4)
    np.testing.assert_array_equal(judged.rgba[..., :3], image[20:30, 25:55])
    assert (judged.rgba[..., 3] == 255).all()
    assert judged.scores["box"] == [25, 20, 30, 10]
    assert judged.scores["area"] == 300 / 4800
    assert (judged.scores["margin"], judged.scores["components"], judged.scores["soft"]) == (20, 1, 0)
    assert judged.scores["color"] == 1
    # The second cutter finds nothing.
    assert judged.scores["agreement"] == 0
    assert judged.reasons == ("cutters disagree",)


@pytest.mark.parametrize(("right", "is_kept"), [(0, True), (3, True), (30, False)])
def test_agreement(right, is_kept):
    image = np.full((100, 100, 3), 90, np.uint8)
    judged = judge(image, DiscCutter(), DiscCutter(right=right), LOOSE)
    masks = [DiscCutter(right=shift).cut(image) >= 128 for shift in (0, right)]
    both = sum(bool(a and b) for a, b in zip(*(mask.ravel() for mask in masks), strict=True))
    either = sum(bool(a or b) for a, b in zip(*(mask.ravel() for mask in masks), strict=True))
    assert judged.scores["agreement"] == round(both / either, 4)
    assert (judged.reasons == ()) is is_kept


def test_soft_edges_keep_the_colour_of_the_object():
    """A blurred disc of red on blue: at its edge the estimate is nearer to red than the image is."""
    alpha = cv2.GaussianBlur(DiscCutter().cut(np.zeros((100, 100, 3), np.uint8)), (0, 0), 3)
    weight = alpha[..., None] / 255
    image = np.rint(weight * (220, 20, 20) + (1 - weight) * (20, 20, 220)).astype(np.uint8)

    class Known:
        def cut(self, image):
            return alpha

    judged = judge(image, Known(), None, DrawingFilters(soft=0.5))
    x, y, width, height = judged.scores["box"]
    edge = (judged.rgba[..., 3] > 60) & (judged.rgba[..., 3] < 200)
    error = np.abs(judged.rgba[edge][:, :3].astype(int) - (220, 20, 20)).mean()
    plain = np.abs(image[y : y + height, x : x + width][edge].astype(int) - (220, 20, 20)).mean()
    assert error < 0.25 * plain
    assert 0.1 < judged.scores["soft"] < 0.6
    assert judge(image, Known(), None, DrawingFilters(soft=0.1)).reasons == ("too soft",)


@pytest.mark.parametrize(
    ("phrase", "share"),
    [("a red mug", 0.5), ("a blue mug", 0.5), ("a green mug", 0.0), ("a mug", None), ("a red and blue mug", None)],
)
def test_color_share(phrase, share):
    rgba = np.zeros((10, 10, 4), np.uint8)
    rgba[:5] = (230, 10, 10, 255)
    rgba[5:] = (10, 10, 230, 255)
    rgba[:, 0, 3] = 0
    assert color_share(rgba, phrase) == share


def test_another_color_is_rejected():
    image = drawn((20, 20, 20, 30), color=(10, 10, 230))
    filters = DrawingFilters(color=0.5)
    assert judge(image, BrightCutter(), None, filters, "a red box").reasons == ("another color",)
    assert judge(image, BrightCutter(), None, filters, "a blue box").reasons == ()
    assert judge(image, BrightCutter(), None, filters, "a box").reasons == ()


MASKS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=3).map(np.array)


@given(MASKS, MASKS)
@settings(max_examples=50)
def test_mask_iou_and_margin_by_counting(first, second):
    pairs = [(bool(a), bool(b)) for a, b in zip(first.ravel(), second.ravel(), strict=True)]
    both, either = sum(a and b for a, b in pairs), sum(a or b for a, b in pairs)
    assert mask_iou(first, second) == (both / either if either else 0)
    assert mask_iou(first, second) == mask_iou(second, first)
    if first.any():
        distances = [min(y, x, 2 - y, 3 - x) for y in range(3) for x in range(4) if first[y, x]]
        assert frame_margin(first) == min(distances)


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="must be of one shape"):
        mask_iou(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 63), st.integers(0, 3)), max_size=25), st.integers(0, 4)
)
@settings(max_examples=50)
def test_near_duplicates_by_brute_force(drawn, distance):
    categories = [category for category, _, _ in drawn]
    hashes = [(1 << place) | low for _, place, low in drawn]
    kept, repeated = [], set()
    for place, (category, value) in enumerate(zip(categories, hashes, strict=True)):
        earlier = [hashes[other] for other in kept if categories[other] == category]
        near = any((other ^ value).bit_count() <= distance for other in earlier)
        repeated.add(place) if near else kept.append(place)
    assert duplicate_positions(categories, hashes, distance) == repeated


def test_a_mirrored_object_is_no_duplicate_but_a_smaller_one_is():
    """By the hash of the cut-outs of whole images."""
    # Bright and uneven, as photographs are: of one colour, the hash compares roundings.
    texture = cv2.resize(np.random.default_rng(3).integers(150, 256, (6, 6, 3), np.uint8), (80, 80), None, 0, 0, 2)
    inside = cv2.fillPoly(np.zeros((80, 80), np.uint8), [np.array([[10, 70], [40, 5], [60, 70]])], 1)
    shape = np.where(inside[..., None] > 0, np.maximum(texture, 140), 20).astype(np.uint8)
    small = cv2.resize(shape, (40, 40), interpolation=cv2.INTER_AREA)
    cutter = BrightCutter(130)
    found = [int(judge(each, cutter, None, LOOSE).scores["hash"], 16) for each in (shape, small, shape[:, ::-1].copy())]
    assert duplicate_positions(["a"] * 3, found, 8) == {1}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"agreemnt": 0.5}, "Did you mean 'agreement'?"),
        ({"agreement": 1.5}, r"`filters.agreement` must be in \[0, 1\]"),
        ({"agreement": "high"}, "`filters.agreement` must be in"),
        ({"area": (0.5, 0.2)}, "`filters.area` must be a pair low <= high"),
        ({"area": 0.5}, "`filters.area` must be a pair low <= high"),
        ({"components": 0}, "`filters.components` must be an integer"),
        ({"duplicates": 32}, "`filters.duplicates` must be an integer"),
        ({"similarity": -2}, "`filters.similarity` must be in"),
        ({"margin": 1.5}, "`filters.margin` must be an integer"),
    ],
)
def test_faulty_filters(config, said):
    with pytest.raises(ValueError, match=said):
        DrawingFilters.from_dict(config)


def test_reasons_are_in_their_order():
    scores = {"agreement": 0.1, "components": 3, "margin": 0, "area": 0.001, "soft": 0.9, "color": 0}
    reasons = reasons_of(scores, DrawingFilters(color=0.1))
    assert reasons == tuple(reason for reason in REASONS if reason in reasons)
    assert len(reasons) == 6
    told = Judged(None, {"area": 1}, ("too large",)).rejected_too(("near-duplicate", "too soft"), {"rank": 3})
    assert told.reasons == ("too large", "too soft", "near-duplicate")
    assert told.scores == {"area": 1, "rank": 3}


def test_a_cutter_of_another_size_is_refused():
    class Wrong:
        def cut(self, image):
            return np.zeros((3, 3), np.uint8)

    with pytest.raises(ValueError, match="`alpha` must be uint8 of shape"):
        judge(drawn(), Wrong())


def test_the_duplicate_limit_lies_between_copies_and_other_objects():
    """On the sample's cut-outs: copies of half the size, recompressed, are found, and one pair besides: ewe and ram."""
    bank = build_bank(dict(type="release", root=str(SAMPLE / "segments"), metadata=str(SAMPLE / "metadata.json")))
    segments = list(map(bank.load, range(len(bank))))
    hashes = [measure(segment.rgba).hash for segment in segments]
    categories = [segment.category for segment in segments]
    limit = DrawingFilters().duplicates
    found = duplicate_positions(categories, hashes, limit)
    assert [segments[place].sub_category for place in found] in (["horned_ram"], ["white_ewe"])
    for segment, own in zip(segments, hashes, strict=True):
        small = cv2.resize(segment.rgba, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 70]
        colors = cv2.imdecode(cv2.imencode(".jpg", small[..., 2::-1].copy(), quality)[1], 1)[..., ::-1]
        copy = measure(np.dstack([colors, small[..., 3]])).hash
        assert duplicate_positions([segment.category] * 2, [own, copy], limit) == {1}
        mirrored = measure(np.ascontiguousarray(segment.rgba[:, ::-1])).hash
        assert not duplicate_positions([segment.category] * 2, [own, mirrored], limit)
