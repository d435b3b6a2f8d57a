"""Layout priors: the figures of the paper by counting, real sizes, taken boxes, impossible wishes, and turning."""

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sos_mm.composition import (
    CocoLayout,
    DepthLayout,
    Layout,
    LayoutError,
    Placement,
    RandomLayout,
    StructuredLayout,
    build_layout,
    compose,
)
from sos_mm.composition.layouts.depth import PHYSICAL_SIZES
from sos_mm.composition.layouts.occlusion import TakenBoxes
from sos_mm.composition.place import fit_boxes, place, rotate_premultiplied
from sos_mm.segments import Segment
from tests.conftest import make_segment

seeds = st.integers(0, 2**31)
FRAME = 640 * 480


def shapes(rng: np.random.Generator, number: int, category: str = "ball") -> list[Segment]:
    """Segments of which only the sizes matter."""
    sizes = rng.integers(8, 60, (number, 2))
    return [Segment(np.full((*size, 4), 255, np.uint8), category) for size in sizes]


def boxes_of(layout: Layout) -> np.ndarray:
    return np.array([planned.box for planned in layout.placements])


def sides_of(layout: Layout, segments) -> np.ndarray:
    """(N,) longer sides of what is placed."""
    sizes = np.array([segments[planned.segment].size for planned in layout.placements])
    boxes = fit_boxes(boxes_of(layout), sizes)
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1)


def visible_shares(layout: Layout, segments) -> list[float]:
    """Share of each fitted box that no later one covers, counted pixel by pixel."""
    sizes = np.array([segments[planned.segment].size for planned in layout.placements])
    boxes = fit_boxes(boxes_of(layout), sizes)
    top = np.full(layout.canvas, -1)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        top[y0:y1, x0:x1] = index
    return [np.count_nonzero(top == index) / ((x1 - x0) * (y1 - y0)) for index, (x0, y0, x1, y1) in enumerate(boxes)]


@pytest.fixture
def annotations(tmp_path):
    """A COCO file of images with 1, 3, 3 and 6 objects, a crowd and an empty box beside them."""
    rng = np.random.default_rng(3)
    images, items = [], []
    for image_id, number in enumerate((1, 3, 3, 6)):
        images.append({"id": image_id, "width": 200, "height": 100, "file_name": f"{image_id}.jpg"})
        for _ in range(number):
            x, y = rng.integers(0, 150), rng.integers(0, 60)
            box = [int(x), int(y), int(rng.integers(5, 50)), int(rng.integers(5, 40))]
            items.append({"id": len(items) + 1, "image_id": image_id, "category_id": 1, "bbox": box, "iscrowd": 0})
        items.append({"id": len(items) + 1, "image_id": image_id, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1})
        items.append({"id": len(items) + 1, "image_id": image_id, "category_id": 1, "bbox": [5, 5, 0, 9], "iscrowd": 0})
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": items, "categories": [{"id": 1, "name": "thing"}]}))
    return path, images, items


def test_structured_figures(rng):
    """24 % large, 34 % medium, 42 % small; areas from 512 to 1024 to 9216 of 640x480 to half; aspects 0.5 to 2."""
    areas, aspects = [], []
    # Few objects, so that all find a place and none of a class is lost.
    for _ in range(1500):
        layout = StructuredLayout(max_enlargement=None).plan(rng, shapes(rng, 2), (960, 1280))
        extents = np.diff(boxes_of(layout).reshape(-1, 2, 2), axis=1)[:, 0]
        areas += (extents.prod(axis=1) / (960 * 1280)).tolist()
        aspects += (extents[:, 0] / extents[:, 1]).tolist()
    areas = np.array(areas)
    shares = np.bincount(np.digitize(areas, [1024 / FRAME, 9216 / FRAME]), minlength=3) / len(areas)
    # Three standard deviations of 3000 draws, and what rounding moves over the limit.
    np.testing.assert_allclose(shares, [0.42, 0.34, 0.24], atol=0.035)
    assert areas.min() > 512 / FRAME * 0.95
    assert areas.max() <= 0.5 * 1.01
    large = areas[areas > 9216 / FRAME]
    assert abs(large.mean() - (9216 / FRAME + 0.5) / 2) < 0.03
    assert min(aspects) > 0.47
    assert max(aspects) < 2.1
    assert abs(np.mean(aspects) - 1.25) < 0.04


@settings(max_examples=25)
@given(seeds, st.integers(2, 20), st.floats(0, 1), st.floats(0, 1))
# Boxes held small that were judged a pixel wider than segments are placed.
@example(2073290, 14, 0.775390625, 0.0)
def test_structured_shares_by_brute_force(seed, number, least, mean):
    rng = np.random.default_rng(seed)
    segments = shapes(rng, number)
    prior = StructuredLayout(crowded="fewer", min_visible=least, min_mean_visible=mean, restarts=2)
    layout = prior.plan(rng, segments, (240, 320))
    shares = visible_shares(layout, segments)
    assert min(shares) >= least - 1e-9
    assert np.mean(shares) >= mean - 1e-9


@settings(max_examples=40)
@given(seeds, st.integers(0, 30), st.integers(1, 400), st.integers(1, 400))
def test_random_layout(seed, number, height, width):
    rng = np.random.default_rng(seed)
    segments = shapes(rng, number)
    layout = RandomLayout(max_enlargement=None).plan(rng, segments, (height, width))
    assert [planned.segment for planned in layout.placements] == list(range(number))
    if number:
        boxes = boxes_of(layout)
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        assert (boxes >= 0).all()
        assert (boxes <= (width, height, width, height)).all()
        short = min(height, width)
        assert (sides >= max(0.05 * short - 1, 1)).all()
        assert (sides <= 0.6 * short + 1).all()


def test_random_sides_are_uniform_in_the_logarithm(rng):
    segments = shapes(rng, 20)
    prior = RandomLayout(max_enlargement=None)
    sides = np.concatenate([sides_of(prior.plan(rng, segments, (2000, 2000)), segments) for _ in range(60)])
    places = np.sort(np.log(sides / 100) / np.log(12))
    # Kolmogorov-Smirnov at a level of 0.1 %.
    assert np.abs(places - (np.arange(1200) + 0.5) / 1200).max() < 1.95 / np.sqrt(1200)


@pytest.mark.parametrize("number", [1, 3, 6])
def test_coco_layout_takes_an_image_with_as_many(annotations, rng, number):
    path, _, items = annotations
    layout = CocoLayout(annotations=str(path), counts=(1, 6)).plan(rng, shapes(rng, number), (100, 200))
    assert sorted(planned.segment for planned in layout.placements) == list(range(number))
    taken = {planned.box for planned in layout.placements}
    real = [
        {(x, y, min(x + w, 200), min(y + h, 100)) for item in items for x, y, w, h in [item["bbox"]] if usable(item, i)}
        for i in range(4)
    ]
    assert taken in [boxes for boxes in real if len(boxes) == number]
    areas = np.diff(boxes_of(layout).reshape(-1, 2, 2), axis=1)[:, 0].prod(axis=1)
    assert (np.diff(areas) <= 0).all()


def usable(item, image_id) -> bool:
    return item["image_id"] == image_id and not item["iscrowd"] and min(item["bbox"][2:]) > 0


def test_coco_layout_counts(annotations, rng):
    path = str(annotations[0])
    prior = CocoLayout(annotations=path, counts=(1, 6))
    drawn = np.bincount([prior.draw_count(rng) for _ in range(400)], minlength=7)
    assert set(np.flatnonzero(drawn)) == {1, 3, 6}
    assert abs(drawn[3] / 400 - 0.5) < 0.1
    # No image has two or four: the next larger one gives its largest boxes.
    assert len(prior.plan(rng, shapes(rng, 4), (50, 50)).placements) == 4
    with pytest.raises(LayoutError, match="has 9 objects, at most 6"):
        prior.plan(rng, shapes(rng, 9), (50, 50))
    fewer = CocoLayout(annotations=path, counts=(1, 6), crowded="fewer").plan(rng, shapes(rng, 9), (50, 50))
    assert len(fewer.placements) == 6
    assert prior.plan(rng, [], (50, 50)).placements == ()


def test_coco_layout_scales_to_the_canvas(annotations, rng):
    prior = CocoLayout(annotations=str(annotations[0]), counts=(1, 6))
    small, large = (prior.plan(np.random.default_rng(0), shapes(rng, 6), size) for size in ((50, 400), (100, 200)))
    np.testing.assert_allclose(boxes_of(small) / (2, 0.5, 2, 0.5), boxes_of(large), atol=1.01)
    tiny = prior.plan(rng, shapes(rng, 6), (1, 1))
    assert {planned.box for planned in tiny.placements} == {(0, 0, 1, 1)}


def test_coco_layout_refuses(tmp_path, annotations):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        CocoLayout(annotations=str(tmp_path / "none.json"))
    with pytest.raises(ValueError, match="must have an image with"):
        CocoLayout(annotations=str(annotations[0]), counts=(4, 5))
    for content in ("[]", "{", '{"images": []}'):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ValueError, match=r"other\.json"):
            CocoLayout(annotations=str(tmp_path / "other.json"))


def one_lens(**options) -> DepthLayout:
    """No lens, no zoom, no limit on sides: what is left is depth and size."""
    return DepthLayout(focal=(24, 24), zoom=(1, 1), side=(0.001, 1), max_enlargement=None, **options)


def test_depth_zones(rng):
    """40 % near, 35 % in the middle, 25 % far, as multiples of the distance that the median size gives."""
    prior, zones = one_lens(median_side=0.05), np.zeros(3)
    distance = 24 / 36 * PHYSICAL_SIZES["dog"] / 0.05
    for _ in range(800):
        layout = prior.plan(rng, shapes(rng, 4, "dog"), (600, 800))
        multiples = np.array([planned.depth for planned in layout.placements]) / distance
        assert multiples.min() >= 0.7 - 1e-9
        assert multiples.max() <= 4 + 1e-9
        zones += np.bincount(np.digitize(multiples, [1.0, 1.8]), minlength=3)
    np.testing.assert_allclose(zones / zones.sum(), [0.40, 0.35, 0.25], atol=0.03)


@settings(max_examples=30)
@given(seeds, st.integers(1, 12), st.floats(20, 200), st.floats(1, 2))
def test_depth_layout_sees_real_sizes(seed, number, focal, zoom):
    """Sides are those of a pinhole camera: size over depth, times one number for all."""
    rng = np.random.default_rng(seed)
    names = rng.choice(["dog", "cat", "chair", "person"], number)
    segments = [shapes(rng, 1, str(name))[0] for name in names]
    options = {"side": (0.001, 1), "median_side": 0.04, "max_enlargement": None, "crowded": "fewer"}
    prior = DepthLayout(focal=(focal, focal), zoom=(zoom, zoom), **options)
    layout = prior.plan(rng, segments, (1000, 1000))
    depths = np.array([planned.depth for planned in layout.placements])
    sizes = np.array([PHYSICAL_SIZES[segments[planned.segment].category] for planned in layout.placements])
    expected = focal / 36 * 1000 * zoom * sizes / depths
    boxes = boxes_of(layout)
    np.testing.assert_allclose((boxes[:, 2:] - boxes[:, :2]).max(axis=1), np.minimum(expected, 1000), atol=0.51)
    # Nearer in front.
    assert (np.diff(depths) <= 0).all()


def test_longer_lenses_flatten(rng):
    """From further back, depths and so sizes differ less."""
    segments, spreads = shapes(rng, 10, "dog"), []
    for focal in ((24, 24), (24, 85)):
        prior = DepthLayout(focal=focal, zoom=(1, 1), side=(0.001, 1), crowded="fewer")
        layouts = [prior.plan(np.random.default_rng(seed), segments, (800, 800)) for seed in range(60)]
        depths = [[planned.depth for planned in layout.placements] for layout in layouts]
        spreads.append(np.mean([max(each) / min(each) for each in depths]))
    assert spreads[1] < 0.8 * spreads[0]


def test_zoom_enlarges(rng):
    segments = shapes(rng, 5, "dog")
    one, two = (
        replace(one_lens(median_side=0.04), zoom=(zoom, zoom)).plan(np.random.default_rng(3), segments, (1000, 1000))
        for zoom in (1, 2)
    )
    assert [planned.segment for planned in one.placements] == [planned.segment for planned in two.placements]
    np.testing.assert_allclose(sides_of(two, segments) / sides_of(one, segments), 2, rtol=0.06)


def test_depth_ground(rng):
    """What is nearer stands lower in the image, but for the freedom that is given."""
    lows = []
    for _ in range(60):
        layout = one_lens(median_side=0.05).plan(rng, shapes(rng, 6, "dog"), (1000, 1000))
        depths = [planned.depth for planned in layout.placements]
        lows.append(np.corrcoef(np.reciprocal(depths), boxes_of(layout)[:, 3])[0, 1])
    assert np.median(lows) > 0.7


def test_depth_sizes_can_be_told(rng):
    segments = [*shapes(rng, 3, "dog"), *shapes(rng, 3, "thimble")]
    layout = one_lens(sizes={"thimble": 0.4}, median_side=0.05).plan(rng, segments, (1000, 1000))
    depths = np.array([planned.depth for planned in layout.placements])
    sizes = np.array([0.4 if planned.segment > 2 else 0.8 for planned in layout.placements])
    scale = sides_of(layout, segments) * depths / sizes
    np.testing.assert_allclose(scale, 24 / 36 * 1000, rtol=0.08)
    with pytest.raises(ValueError, match=r"`sizes\['thimble'\]`"):
        DepthLayout(sizes={"thimble": 0})


PRIORS = ("StructuredLayout", "RandomLayout", "DepthLayout", "CocoLayout")


@pytest.mark.parametrize("kind", PRIORS)
def test_layouts_repeat(kind, annotations, rng):
    options = {"annotations": str(annotations[0]), "counts": (1, 6)} if kind == "CocoLayout" else {}
    prior = build_layout({"type": kind, "rotation": 20, "hue": 0.5, **options})
    segments = shapes(rng, 6)
    first, again, other = (prior.plan(np.random.default_rng(seed), segments, (500, 400)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert prior.draw_count(np.random.default_rng(4)) == prior.draw_count(np.random.default_rng(4))


@pytest.mark.parametrize("kind", PRIORS)
def test_variation(kind, annotations, rng):
    options = {"annotations": str(annotations[0]), "counts": (1, 6)} if kind == "CocoLayout" else {}
    segments, turns, hues, flips = shapes(rng, 6), [], [], []
    prior = build_layout({"type": kind, "rotation": 20, "hue": 0.25, "flip": 0.75, **options})
    for _ in range(100):
        placements = prior.plan(rng, segments, (500, 400)).placements
        turns += [planned.rotation for planned in placements]
        hues += [planned.hue for planned in placements]
        flips += [planned.flipped for planned in placements]
    assert -20 <= min(turns) < -17
    assert 17 < max(turns) <= 20
    assert abs(np.mean(turns)) < 2
    assert abs(np.mean(np.array(hues) > 0) - 0.25) < 0.06
    assert max(hues) > 300
    assert abs(np.mean(flips) - 0.75) < 0.06
    plain = build_layout({"type": kind, **options}).plan(rng, segments, (500, 400))
    assert {(planned.rotation, planned.hue) for planned in plain.placements} == {(0, 0)}
    with pytest.raises(ValueError, match="`rotation`"):
        build_layout({"type": kind, "rotation": 200, **options})


@pytest.mark.parametrize("kind", ["StructuredLayout", "DepthLayout"])
@settings(max_examples=25)
@given(seeds, st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.booleans())
def test_any_wish_comes_to_an_end(kind, seed, number, height, width, least, fewer):
    """A layout, fewer objects, or an error that says so; after no more boxes than `attempts` and `restarts` allow."""
    rng = np.random.default_rng(seed)
    options = {"min_visible": least, "min_mean_visible": 1.0, "attempts": 16, "restarts": 2}
    prior = build_layout({"type": kind, "crowded": "fewer" if fewer else "raise", **options})
    segments = shapes(rng, number)
    with mock.patch.object(TakenBoxes, "add_first", autospec=True, side_effect=TakenBoxes.add_first) as batches:
        try:
            placed = len(prior.plan(rng, segments, (height, width)).placements)
        except LayoutError:
            placed = 0
    # With 'fewer', nothing is the error that not even one object fits.
    assert placed <= number if fewer else placed in (0, number)
    # The 16 attempts of an object are one batch of boxes.
    assert batches.call_count <= 2 * number


def test_depth_layout_refuses(rng):
    prior = DepthLayout(zoom=(4, 4), median_side=0.6, min_mean_visible=1.0, attempts=8, restarts=2)
    with pytest.raises(LayoutError, match="30 objects do not fit"):
        prior.plan(rng, shapes(rng, 30), (100, 100))
    for options, match in (
        ({"shares": {"near": 1.0}}, "`shares` must have the keys"),
        ({"shares": {"near": 1.0, "mid": 1.0, "far": 0.0}}, "add up to 1"),
        ({"depths": {"near": (2, 1), "mid": (1, 2), "far": (2, 3)}}, r"`depths\['near'\]`"),
        ({"focal": (0, 10)}, "`focal`"),
        ({"zoom": (0.5, 2)}, "`zoom`"),
        ({"horizon": (0, 1)}, "`horizon`"),
    ):
        with pytest.raises(ValueError, match=match):
            DepthLayout(**options)


@pytest.mark.parametrize("options", [{"counts": (2.5, 7)}, {"attempts": 1.5}, {"restarts": "2"}])
def test_numbers_of_objects_and_attempts_are_whole(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
        StructuredLayout(**options)


def turned_scene(seed: int):
    """Turned ellipses around a canvas."""
    rng = np.random.default_rng(seed)
    segments = [make_segment(rng, *rng.integers(8, 50, 2)) for _ in range(5)]
    placements = []
    for index in range(5):
        x, y, width, height = rng.integers((-20, -20, 4, 4), (70, 60, 60, 60)).tolist()
        turn = float(rng.uniform(-180, 180))
        placements.append(Placement(index, (x, y, x + width, y + height), bool(rng.random() < 0.5), turn))
    layout = Layout((60, 70), tuple(placements))
    return layout, segments, compose(np.zeros((60, 70, 3), np.uint8), layout, segments)


@settings(max_examples=40)
@given(seeds)
def test_masks_of_turned_objects(seed):
    """Owners by a loop over pixels; tight boxes; inside the planned box."""
    layout, segments, scene = turned_scene(seed)
    owner = np.zeros(scene.size, int)
    for index, item in enumerate(scene.objects):
        x, y = item.offset
        for row, column in np.ndindex(item.alpha.shape):
            if item.alpha[row, column] >= 128:
                owner[y + row, x + column] = index + 1
        x0, y0, x1, y1 = item.placement.box
        # A pixel for rounding, and one that the cubic curve reaches further.
        assert x0 - 2 <= x <= x + item.alpha.shape[1] <= x1 + 2
        assert y0 - 2 <= y <= y + item.alpha.shape[0] <= y1 + 2
    np.testing.assert_array_equal(scene.owner, owner)
    for index, item in enumerate(scene.objects):
        rows, columns = np.nonzero(owner == index + 1)
        assert item.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert item.area == len(rows)
        sprite = place(segments[item.placement.segment], item.placement, layout.canvas)
        assert (sprite.rgba[..., :3] <= sprite.rgba[..., 3:]).all()
        np.testing.assert_array_equal(item.alpha, sprite.rgba[..., 3])


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_are_exact(rng, quarter):
    segment = make_segment(rng, 40, 30)
    pixels = cv2.cvtColor(segment.rgba, cv2.COLOR_RGBA2mRGBA)
    turned = rotate_premultiplied(pixels, 90 * quarter, *np.rot90(pixels, quarter).shape[:2])
    assert np.abs(turned.astype(int) - np.rot90(pixels, quarter)).max() <= 1


@settings(max_examples=30)
@given(st.floats(-180, 180))
def test_turning_keeps_area_and_goes_anticlockwise(degrees):
    rgba = np.zeros((60, 60, 4), np.uint8)
    rgba[10:20, 25:35] = 255
    turned = rotate_premultiplied(rgba, degrees, 90, 90)[..., 3].astype(float)
    assert abs(turned.sum() / rgba[..., 3].sum() - 1) < 0.02
    y, x = ((turned * grid).sum() / turned.sum() - 44.5 for grid in np.mgrid[:90, :90])
    # From 15 pixels over the centre.
    angle = np.deg2rad(90 + degrees)
    np.testing.assert_allclose((x, y), (15 * np.cos(angle), -15 * np.sin(angle)), atol=0.15)


def test_coco_layout_knows_its_boxes(annotations, tmp_path):
    """The same boxes in another file are the same source; a moved box is another."""
    path = annotations[0]
    content = json.loads(Path(path).read_text())
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps({**content, "info": "a copy"}))
    before = CocoLayout(annotations=str(path), counts=(1, 6)).fingerprint
    assert CocoLayout(annotations=str(copy), counts=(1, 6)).fingerprint == before
    content["annotations"][0]["bbox"][0] += 1
    other = tmp_path / "other_boxes.json"
    other.write_text(json.dumps(content))
    assert CocoLayout(annotations=str(other), counts=(1, 6)).fingerprint != before
