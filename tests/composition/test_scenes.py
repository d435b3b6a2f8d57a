"""Composition: exact masks, clean edges, layouts that keep their rules."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import (
    Layout,
    LayoutError,
    Placement,
    Scene,
    StructuredLayout,
    build_layout,
    compose,
)
from sos_mm.composition.place import _fit_box, fit_boxes, place, resize_premultiplied
from sos_mm.segments import Segment
from tests.conftest import make_segment

CANVAS = (60, 70)


def random_scene(seed: int, number: int = 6, **limits):
    """A scene of random ellipses anywhere around the canvas, with what it was made of."""
    rng = np.random.default_rng(seed)
    segments = [make_segment(rng, *rng.integers(8, 50, 2), source_id=str(index)) for index in range(number)]
    placements = []
    for index in range(number):
        x, y = rng.integers(-20, CANVAS[1]), rng.integers(-20, CANVAS[0])
        width, height = rng.integers(4, 60, 2)
        box = tuple(map(int, (x, y, x + width, y + height)))
        placements.append(Placement(index, box, bool(rng.random() < 0.5)))
    layout = Layout(CANVAS, tuple(placements))
    background = rng.integers(0, 256, (*CANVAS, 3), dtype=np.uint8)
    return background, layout, segments, compose(background, layout, segments, **limits)


def full_alpha(scene: Scene, index: int) -> np.ndarray:
    alpha = np.zeros(scene.size, np.uint8)
    alpha[scene.objects[index].window] = scene.objects[index].alpha
    return alpha


seeds = st.integers(0, 2**31)


@settings(max_examples=60)
@given(seeds, st.floats(0, 1))
def test_masks_are_those_of_a_loop_over_pixels(seed, min_visible_share):
    *_, scene = random_scene(seed, min_visible_share=min_visible_share)
    alphas = [full_alpha(scene, index) for index in range(len(scene.objects))]
    owner = np.zeros(scene.size, int)
    for y, x in np.ndindex(scene.size):
        for index, alpha in enumerate(alphas):
            if alpha[y, x] >= 128:
                owner[y, x] = index + 1
    np.testing.assert_array_equal(scene.owner, owner)
    np.testing.assert_array_equal(scene.saliency_mask(), np.where(owner > 0, 255, 0))
    assert scene.saliency_mask().dtype == np.uint8
    for index, item in enumerate(scene.objects):
        modal, amodal = scene.modal_mask(index), scene.amodal_mask(index)
        np.testing.assert_array_equal(modal, owner == index + 1)
        np.testing.assert_array_equal(amodal, alphas[index] >= 128)
        assert (amodal | ~modal).all()
        for mask, box, area in ((modal, item.box, item.area), (amodal, item.amodal_box, item.amodal_area)):
            rows, columns = np.nonzero(mask)
            assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert area == len(rows)
        assert item.visible_share >= min_visible_share
        assert item.area >= 16
        assert 0 <= item.truncation < 1


@settings(max_examples=60)
@given(seeds)
def test_ignored_regions_are_what_is_seen_of_them(seed):
    _, layout, segments, scene = random_scene(seed, min_visible_share=0.8, keep_ignored=True)
    top = np.full(scene.size, "", object)
    for planned in layout.placements:
        segment = segments[planned.segment]
        sprite = place(segment, planned, CANVAS)
        if sprite is not None:
            top[sprite.window][sprite.alpha >= 128] = segment.source_id
    shown = {each.segment_id: each for each in (*scene.objects, *scene.ignored)}
    assert set(np.unique(top)) - {""} == set(shown)
    for name, each in shown.items():
        x0, y0, x1, y1 = each.box
        np.testing.assert_array_equal(np.pad(each.mask, ((y0, CANVAS[0] - y1), (x0, CANVAS[1] - x1))), top == name)
        assert all(each.mask.any(axis=axis)[[0, -1]].all() for axis in (0, 1))


def test_ignored_regions_hold_no_more_than_their_pixels():
    """A speck that is seen of a large object does not keep the large array alive."""
    scene = compose_squares((0, 0, 40, 40), (-10, -5, 38, 43), keep_ignored=True)
    (region,) = scene.ignored
    assert region.mask.shape == (40, 2)
    assert region.mask.base is None


@settings(max_examples=60)
@given(seeds)
def test_image_is_the_analytic_composite(seed):
    background, layout, segments, scene = random_scene(seed)
    np.testing.assert_array_equal(background, random_scene(seed)[0])
    expected = background.astype(float)
    touched = np.zeros(CANVAS, bool)
    for item in scene.objects:
        alpha = full_alpha(scene, item.z_order).astype(float)[..., None] / 255
        color = np.zeros((*CANVAS, 3))
        sprite = place(segments[item.placement.segment], item.placement, CANVAS)
        color[item.window] = sprite.rgba[..., :3]
        expected = expected * (1 - alpha) + color
        touched |= alpha[..., 0] > 0
    # Each 'over' rounds once.
    assert np.abs(scene.image - expected).max() <= 0.51 * len(layout.placements)
    np.testing.assert_array_equal(scene.image[~touched], background[~touched])


@pytest.mark.parametrize("size", [(12, 8), (45, 30), (60, 40), (120, 80), (150, 100), (420, 280)])
@pytest.mark.parametrize("ground", [0, 255])
def test_white_objects_have_no_rim(rng, size, ground):
    """Transparent pixels are black: straight-alpha scaling would darken the edges of a white object."""
    rgba = make_segment(rng, 120, 80).rgba.copy()
    rgba[..., :3] = np.where(rgba[..., 3:] > 0, 255, 0)
    segment = Segment(rgba, "ball")
    background = np.full((*size, 3), ground, np.uint8)
    layout = Layout(size, (Placement(0, (0, 0, size[1], size[0])),))
    scene = compose(background, layout, [segment], min_area=1)
    method = cv2.INTER_AREA if size[0] < 120 else cv2.INTER_CUBIC
    alpha = cv2.resize(rgba[..., 3].astype(np.float64), size[::-1], interpolation=method).clip(0, 255)
    assert scene.objects[0].alpha.shape == size
    expected = alpha + ground * (1 - alpha / 255)
    assert np.abs(scene.image - expected[..., None]).max() <= 1


@settings(max_examples=40)
@given(seeds, st.integers(1, 90), st.integers(1, 90))
def test_scaling_agrees_with_scaling_in_floats(seed, height, width):
    rng = np.random.default_rng(seed)
    rgba = rng.integers(0, 256, (30, 40, 4), dtype=np.uint8)
    rgba[::2, ::3, 3] = 0
    exact = rgba.astype(np.float64)
    exact[..., :3] *= exact[..., 3:] / 255
    method = cv2.INTER_AREA if height * width < 1200 else cv2.INTER_CUBIC
    if (height, width) != (30, 40):
        exact = cv2.resize(exact, (width, height), interpolation=method)
    exact = exact.clip(0, 255)
    exact[..., :3] = np.minimum(exact[..., :3], exact[..., 3:])
    scaled = resize_premultiplied(rgba, height, width)
    # Noise is the worst case of a cubic curve: rounding before it is amplified.
    assert np.abs(scaled - exact).max() <= (1.4 if method == cv2.INTER_AREA else 2.5)
    assert (scaled[..., :3] <= scaled[..., 3:]).all()


def test_blending_rounds_to_nearest():
    """All values of a ground under all values of alpha."""
    ground = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
    rgba = np.zeros((256, 256, 4), np.uint8)
    rgba[..., 3] = np.arange(256)
    layout = Layout((256, 256), (Placement(0, (0, 0, 256, 256)),))
    scene = compose(cv2.merge([ground] * 3), layout, [Segment(rgba, "shade")])
    exact = ground.astype(float) * (255 - np.arange(256.0)) / 255
    assert np.abs(scene.image - exact[..., None]).max() <= 0.5 + 1e-6


def test_flip_and_fit(rng):
    rgba = np.zeros((10, 20, 4), np.uint8)
    rgba[:, :10] = (255, 0, 0, 255)
    rgba[:, 10:] = (0, 0, 255, 255)
    layout = Layout((40, 40), (Placement(0, (0, 0, 40, 40), flipped=True),))
    scene = compose(np.zeros((40, 40, 3), np.uint8), layout, [Segment(rgba, "flag")])
    assert scene.objects[0].box == (0, 10, 40, 30)
    assert scene.image[20, 2].tolist() == [0, 0, 255]
    assert scene.image[20, 37].tolist() == [255, 0, 0]


@settings(max_examples=100)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 900), st.integers(1, 900), st.integers(-50, 50))
def test_fitted_boxes(width, height, segment_height, segment_width, corner):
    box = np.array([[corner, corner, corner + width, corner + height]])
    x0, y0, x1, y1 = fit_boxes(box, np.array([segment_height, segment_width]))[0]
    assert _fit_box(tuple(box[0].tolist()), (segment_height, segment_width)) == (x0, y0, x1, y1)
    assert corner <= x0 < x1 <= corner + width
    assert corner <= y0 < y1 <= corner + height
    # One side fills the box, and the other is right to half a pixel.
    scale = min(width / segment_width, height / segment_height)
    assert x1 - x0 == width or y1 - y0 == height
    assert abs((x1 - x0) - max(segment_width * scale, 1)) <= 0.5
    assert abs((y1 - y0) - max(segment_height * scale, 1)) <= 0.5


def square(color: tuple[int, int, int] = (200, 100, 50)) -> Segment:
    return Segment(np.full((10, 10, 4), (*color, 255), np.uint8), "square")


def compose_squares(*boxes, **limits) -> Scene:
    layout = Layout((40, 40), tuple(Placement(0, box) for box in boxes))
    return compose(np.zeros((40, 40, 3), np.uint8), layout, [square()], **limits)


def test_hidden_objects_are_left_out():
    back, half, front = (0, 0, 20, 20), (0, 0, 20, 20), (10, 0, 30, 20)
    scene = compose_squares(back, front)
    assert [item.visible_share for item in scene.objects] == [0.5, 1]
    # Nothing of `back` shows behind `half`, of which half shows.
    scene = compose_squares(back, half, front)
    assert [item.placement.box for item in scene.objects] == [half, front]
    assert scene.owner.max() == 2
    # `half` is hidden too far, and without it `back` has the same share: only `front` stays.
    scene = compose_squares(back, half, front, min_visible_share=0.6)
    assert [item.placement.box for item in scene.objects] == [front]
    assert not scene.image[:, :10].any()


def test_what_is_left_out_hides_nothing():
    back, middle, front = (0, 0, 20, 20), (0, 0, 16, 16), (4, 0, 20, 16)
    # A quarter of `middle` shows; with it, back would show 36 % less.
    scene = compose_squares(back, middle, front)
    assert [item.placement.box for item in scene.objects] == [front]
    scene = compose_squares(back, middle, front, min_visible_share=0.3)
    assert [item.placement.box for item in scene.objects] == [back, front]
    assert scene.objects[0].area == 400 - 256


def test_small_objects_are_left_out():
    assert not compose_squares((0, 0, 3, 3)).objects
    scene = compose_squares((0, 0, 3, 3), min_area=9)
    assert scene.objects[0].area == 9


def test_truncation_is_told():
    scene = compose_squares((-10, 0, 10, 20), (50, 50, 60, 60), (0, 35, 20, 55))
    assert [item.truncation for item in scene.objects] == [0.5, 0.75]
    assert [item.offset for item in scene.objects] == [(0, 0), (0, 35)]
    assert [item.visible_share for item in scene.objects] == [1, 1]


def test_words_travel_with_the_object(rng):
    words = {"sub_category": "red", "phrase": "a ball", "description": "A ball.", "attributes": ("red",)}
    segment = make_segment(rng, category="ball", source_id="b/1", **words)
    layout = Layout(CANVAS, (Placement(0, (0, 0, 30, 30)),))
    item = compose(np.zeros((*CANVAS, 3), np.uint8), layout, [segment]).objects[0]
    assert (item.category, item.segment_id) == ("ball", "b/1")
    assert {name: getattr(item, name) for name in words} == words


def test_compose_is_deterministic():
    first, second = random_scene(3)[-1], random_scene(3)[-1]
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.owner, second.owner)


def test_compose_refuses():
    segments, layout = [square()], Layout((40, 40), (Placement(0, (0, 0, 9, 9)),))
    ground = np.zeros((40, 40, 3), np.uint8)
    for background in (ground[:30], ground.astype(np.float32), ground[..., 0]):
        with pytest.raises(ValueError, match="`background` must be"):
            compose(background, layout, segments)
    for planned in (Placement(1, (0, 0, 9, 9)), Placement(-1, (0, 0, 9, 9))):
        with pytest.raises(ValueError, match="`segments` must hold"):
            compose(ground, Layout((40, 40), (planned,)), segments)
    for limits in ({"min_visible_share": 1.5}, {"min_area": 0}):
        with pytest.raises(ValueError, match=r"must be (an integer )?in"):
            compose(ground, layout, segments, **limits)
    with pytest.raises(ValueError, match="x0 < x1"):
        Layout((40, 40), (Placement(0, (5, 5, 5, 9)),))
    with pytest.raises(ValueError, match="`canvas` must be"):
        Layout((0, 40), ())


def test_scene_refuses():
    scene = compose_squares((0, 0, 20, 20), (20, 20, 40, 40))
    with pytest.raises(ValueError, match="`image` must be"):
        Scene(scene.image.astype(int), scene.objects)
    with pytest.raises(ValueError, match="z-order"):
        Scene(scene.image, scene.objects[::-1])
    first, *others = scene.objects
    x0, y0, x1, y1 = first.box
    for changed in (
        {"mask": first.mask.astype(np.uint8)},
        {"mask": first.mask[1:]},
        {"box": (x0 - 1, y0, x1 - 1, y1)},
        {"box": (x0, y0 + 40, x1, y1 + 40)},
    ):
        with pytest.raises(ValueError, match="fills its box"):
            Scene(scene.image, (replace(first, **changed), *others))
    for index in (-1, 2):
        with pytest.raises(IndexError, match=f"{index}"):
            scene.modal_mask(index)


def visible_shares(layout: Layout, segments) -> list[float]:
    """Share of each fitted box that no later one covers, counted pixel by pixel."""
    sizes = np.array([segments[planned.segment].size for planned in layout.placements])
    boxes = fit_boxes(np.array([planned.box for planned in layout.placements]), sizes)
    top = np.full(layout.canvas, -1)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        top[y0:y1, x0:x1] = index
    return [np.count_nonzero(top == index) / ((x1 - x0) * (y1 - y0)) for index, (x0, y0, x1, y1) in enumerate(boxes)]


@settings(max_examples=30)
@given(seeds, st.integers(5, 20))
def test_structured_layout_keeps_its_rules(seed, number):
    rng = np.random.default_rng(seed)
    segments = [make_segment(rng, *rng.integers(8, 60, 2)) for _ in range(number)]
    layout = StructuredLayout(crowded="fewer", max_enlargement=None).plan(rng, segments, (480, 640))
    boxes = np.array([planned.box for planned in layout.placements])
    assert (boxes >= 0).all()
    assert (boxes <= (640, 480, 640, 480)).all()
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    areas, aspects = widths * heights, widths / heights
    # Rounding to whole pixels moves a small box's area and aspect a little.
    assert (areas > 512 * 0.93).all()
    assert (areas <= 480 * 640 / 2 * 1.02).all()
    assert ((aspects > 0.45) & (aspects < 2.2)).all()
    classes = np.digitize(areas, [1024, 9216])
    slack = np.abs(areas[:, None] / np.array([1024, 9216]) - 1).min(axis=1) < 0.07
    assert (np.diff(classes[~slack]) <= 0).all()
    shares = visible_shares(layout, segments)
    assert min(shares) >= 0.5
    assert np.mean(shares) >= 0.8
    assert len({planned.segment for planned in layout.placements}) == len(layout.placements)


def test_structured_layout_draws_its_sizes(rng):
    segments = [make_segment(rng)] * 10
    areas = []
    for _ in range(150):
        layout = StructuredLayout(crowded="fewer", max_enlargement=None).plan(rng, segments, (480, 640))
        areas += [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (planned.box for planned in layout.placements)]
    share = np.bincount(np.digitize(areas, [1024, 9216]), minlength=3) / len(areas)
    # Crowded layouts lose some of the large ones.
    np.testing.assert_allclose(share, [0.42, 0.34, 0.24], atol=0.05)


def test_structured_layout_counts_and_repeats(rng):
    prior = StructuredLayout(counts=(2, 4))
    assert {prior.draw_count(rng) for _ in range(100)} == {2, 3, 4}
    segments = [make_segment(rng)] * 5
    first, second = (prior.plan(np.random.default_rng(1), segments, (300, 300)) for _ in range(2))
    assert first == second
    assert prior.plan(rng, [], (300, 300)).placements == ()


def test_impossible_layouts(rng):
    segments = [square()] * 12
    crowd = {"shares": {"large": 1.0, "medium": 0.0, "small": 0.0}, "restarts": 2, "attempts": 8}
    crowd["areas"] = {"large": (0.4, 0.5), "medium": (0.1, 0.2), "small": (0.0, 0.1)}
    with pytest.raises(LayoutError, match="12 objects do not fit a canvas of height and width"):
        StructuredLayout(**crowd).plan(rng, segments, (100, 100))
    layout = StructuredLayout(**crowd, crowded="fewer").plan(rng, segments, (100, 100))
    assert 1 <= len(layout.placements) < 12
    with pytest.raises(LayoutError, match="held 0"):
        StructuredLayout(**crowd, aspect=(9, 9), crowded="fewer").plan(rng, segments, (100, 100))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"counts": (5, 2)}, "`counts` must be"),
        ({"counts": (0, 2)}, "`counts` must be"),
        ({"shares": {"large": 1.0}}, "`shares` must have the keys"),
        ({"shares": {"large": 0.5, "medium": 0.5, "small": 0.5}}, "add up to 1"),
        ({"areas": {"large": (0.5, 2), "medium": (0, 1), "small": (0, 1)}}, r"`areas\['large'\]` must be"),
        ({"aspect": (0, 2)}, "`aspect`"),
        ({"min_visible": 2}, "`min_visible`"),
        ({"crowded": "few"}, "Did you mean 'fewer'"),
        ({"attempts": 0}, "`attempts`"),
        ({"asspect": (1, 2)}, "Did you mean 'aspect'"),
        ({"type": "StructuredLayuot"}, "Did you mean 'StructuredLayout'"),
    ],
)
def test_layout_options_are_checked(options, match):
    with pytest.raises(ValueError, match=match):
        build_layout({"type": "StructuredLayout", **options})
