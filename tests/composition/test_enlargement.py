"""The limit of enlargement: no layout goes beyond it, boxes go to segments that fill them, banks draw larger ones."""

import json
import math
from itertools import permutations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import LayoutError, Placement, SourceSizeLayout, build_layout, compose
from sos_mm.composition.layouts.enlargement import assign_boxes
from sos_mm.composition.place import place
from sos_mm.composition.planning import draft_and_redraw, plan_and_load
from sos_mm.segments import MixedBank, Segment, SegmentBank, build_index
from sos_mm.segments.enlargement import enlargement, enlargements
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.synthesis import Recipe, synthesize

seeds = st.integers(0, 2**31)
PRIORS = ("StructuredLayout", "RandomLayout", "DepthLayout", "CocoLayout", "SourceSizeLayout")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    """A COCO file of one image whose four boxes differ much in size."""
    boxes = [[0, 0, 190, 90], [10, 10, 60, 40], [100, 50, 20, 10], [150, 70, 5, 5]]
    items = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0}
        for number, box in enumerate(boxes, 1)
    ]
    content = {
        "images": [{"id": 1, "width": 200, "height": 100, "file_name": "a.jpg"}],
        "annotations": items,
        "categories": [{"id": 1, "name": "thing"}],
    }
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_text(json.dumps(content))
    return path


def prior_of(kind: str, annotations, **options):
    own = {"annotations": str(annotations), "counts": (1, 4)} if kind == "CocoLayout" else {}
    crowded = {} if kind == "RandomLayout" else {"crowded": "fewer"}
    return build_layout({"type": kind, **own, **crowded, **options})


@pytest.mark.parametrize("kind", PRIORS)
@settings(max_examples=25)
@given(seeds, st.integers(1, 4), st.floats(0.5, 4), st.sampled_from([0, 0, 25]))
def test_no_layout_enlarges_beyond_the_limit(kind, annotations, seed, number, limit, rotation):
    rng = np.random.default_rng(seed)
    segments = [SegmentInfo((int(h), int(w)), "dog", (300, 400)) for h, w in rng.integers(2, 200, (number, 2)).tolist()]
    prior = prior_of(kind, annotations, max_enlargement=limit, rotation=rotation)
    try:
        layout = prior.plan(rng, segments, (300, 500))
    except LayoutError:
        return
    free = prior_of(kind, annotations, max_enlargement=None, rotation=rotation)
    for planned in layout.placements:
        height, width = segments[planned.segment].size
        sine, cosine = abs(math.sin(math.radians(planned.rotation))), abs(math.cos(math.radians(planned.rotation)))
        x0, y0, x1, y1 = planned.box
        scale = min((y1 - y0) / (height * cosine + width * sine), (x1 - x0) / (height * sine + width * cosine))
        # Boxes have whole pixels, and one pixel is the least.
        assert scale * max(height, width) <= limit * max(height, width) + 1
    assert not any(planned.limited for planned in free.plan(rng, segments, (300, 500)).placements)


def test_the_pixels_are_enlarged_no_further(annotations):
    """Measured on what is painted: a disc of 20 pixels is at most 30 wide."""
    rgba = np.zeros((20, 20, 4), np.uint8)
    cv2.circle(rgba, (10, 10), 9, (200, 50, 50, 255), -1)
    for kind in ("StructuredLayout", "CocoLayout"):
        prior = prior_of(kind, annotations)
        rng = np.random.default_rng(3)
        for _ in range(20):
            segments = [Segment(rgba, "ball")] * 4
            layout = prior.plan(rng, segments, (300, 400))
            scene = compose(np.zeros((300, 400, 3), np.uint8), layout, segments, min_area=1)
            assert max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in (each.amodal_box for each in scene.objects)) <= 30


def test_a_limited_box_shrinks_about_its_centre(annotations):
    segments = [SegmentInfo((10, 10), "ball")] * 4
    layout = prior_of("CocoLayout", annotations, flip=0.0).plan(np.random.default_rng(0), segments, (100, 200))
    assert [planned.limited for planned in layout.placements] == [True, True, False, False]
    # 190x90 and 60x40 hold squares of 15; 20x10 and 5x5 those of 10 and 5.
    assert layout.placements[0].box == (87, 37, 102, 52)
    assert layout.placements[1].box == (32, 22, 47, 37)
    assert layout.placements[2].box == (100, 50, 120, 60)


@settings(max_examples=60)
@given(seeds, st.integers(1, 5))
def test_boxes_go_to_segments_that_can_fill_them(seed, number):
    """As many boxes are filled as by the best of all assignments, where boxes and segments are squares."""
    rng = np.random.default_rng(seed)
    boxes = np.repeat(rng.integers(10, 200, (number, 1)), 2, axis=1).astype(float)
    sizes = np.repeat(rng.integers(10, 200, (number, 1)), 2, axis=1).astype(float)
    chosen = assign_boxes(rng, boxes, sizes, 1.5)
    assert sorted(chosen.tolist()) == list(range(number))
    # From the largest box down, each is filled if any segment that is left can fill it.
    left = set(range(number))
    for box in np.argsort(-boxes[:, 0], kind="stable").tolist():
        able = {segment for segment in left if boxes[box, 0] / sizes[segment, 0] <= 1.5}
        segment = int(chosen[box])
        if able:
            assert segment in able
        else:
            assert sizes[segment, 0] == max(sizes[each, 0] for each in left)
        left.remove(segment)


def test_assignment_is_uniform_where_all_can_fill(rng):
    found = [tuple(assign_boxes(rng, np.full((3, 2), 10.0), np.full((3, 2), 100.0), 1.5).tolist()) for _ in range(1200)]
    counts = [found.count(order) for order in permutations(range(3))]
    assert sum(counts) == 1200
    assert min(counts) > 140


def test_enlargements_by_hand():
    np.testing.assert_allclose(enlargements(np.array([[100, 50]]), np.array([[20, 20], [200, 25]])), [2.5, 0.5])
    assert [enlargement((100, 50), size) for size in ((20, 20), (200, 25))] == [2.5, 0.5]


def write_bank(folder, sides: dict[str, list[int]]) -> list[SegmentRecord]:
    records = []
    for category, listed in sides.items():
        for number, side in enumerate(listed):
            path = folder / f"{category}_{number}.png"
            cv2.imwrite(str(path), np.full((side, side, 4), 255, np.uint8))
            words = dict(sub_category="", phrase="", description="", attributes=())
            records.append(SegmentRecord(str(path), category, **words, source_id=path.stem))
    return records


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    records = write_bank(folder, {"ant": [8, 8, 8, 90], "bee": [8, 8], "cat": [60, 70, 80]})
    build_index(records, folder / "bank.arrow", progress=False)
    return records, SegmentBank.from_index(folder / "bank.arrow")


def test_redraw_finds_a_segment_of_the_category_that_fills(indexed, rng):
    _, bank = indexed
    assert bank.sized is True
    boxes = np.full((3, 2), 100.0)
    chosen = bank.redraw(rng, [0, 4, 6], boxes, 1.5)
    assert [bank.info(index).category for index in chosen] == ["ant", "bee", "cat"]
    assert bank.info(chosen[0]).size == (90, 90)
    assert bank.info(chosen[1]).size == (8, 8)
    assert bank.info(chosen[2]).size in ((70, 70), (80, 80))
    # What fills its box stays, and a segment that may not be drawn is not.
    assert bank.redraw(rng, [0, 4, 6], np.full((3, 2), 12.0), 1.5) == [0, 4, 6]
    assert bank.redraw(rng, [0], boxes[:1], 1.5, allowed=lambda index: index != 3)[0] != 3
    # None comes twice.
    twice = bank.redraw(rng, [0, 1], boxes[:2], 1.5)
    assert len(set(twice)) == 2
    assert twice.count(3) == 1


def test_redraw_of_a_mixture_stays_in_each_bank(indexed, rng):
    records, bank = indexed
    mixed = MixedBank([bank, bank.select(vocabulary=["ant"])])
    chosen = mixed.redraw(rng, [0, len(bank)], np.full((2, 2), 100.0), 1.5)
    assert chosen == [3, len(bank) + 3]
    assert mixed.redraw(rng, [], np.empty((0, 2)), 1.5) == []
    listed = SegmentBank(records)
    assert not listed.sized
    assert listed.redraw(rng, [0, 1], np.full((2, 2), 100.0), 1.5) == [0, 1]


def test_planning_draws_large_boxes_for_large_segments(indexed):
    """Of ants one in four can fill a large box; drawn anew, most that get one can."""
    _, bank = indexed
    prior = build_layout(
        {
            "type": "StructuredLayout",
            "counts": (1, 1),
            "shares": {"large": 1.0, "medium": 0.0, "small": 0.0},
            "areas": {"large": (0.2, 0.2), "medium": (0.1, 0.2), "small": (0.05, 0.1)},
            "aspect": (1.0, 1.0),
        }
    )
    limited = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        draft, drawn = draft_and_redraw(prior, rng, bank, bank.select(vocabulary=["ant"]).sample(rng, 1), (250, 250))
        layout, _ = plan_and_load(prior, rng, bank, drawn, (250, 250), draft)
        limited.append(layout.placements[0].limited)
    # 12 draws of one in four all fail in 3 % of cases; without them it would be 75 %.
    assert np.mean(limited) < 0.12


def test_source_sizes_are_kept(rng):
    """A 40x20 cut-out of a 400x200 image takes a tenth of a canvas's sides, times a jitter; not distorted."""
    segment = SegmentInfo((40, 20), "dog", (400, 200))
    plain = SourceSizeLayout(jitter=(1.0, 1.0), counts=(1, 1))
    box = plain.plan(rng, [segment], (600, 300)).placements[0].box
    assert (box[3] - box[1], box[2] - box[0]) == (60, 30)
    # A wide canvas: the image is scaled to lie inside.
    box = plain.plan(rng, [segment], (400, 900)).placements[0].box
    assert (box[3] - box[1], box[2] - box[0]) == (40, 20)
    prior = SourceSizeLayout(jitter=(0.5, 1.5), counts=(1, 1), max_enlargement=None)
    factors = []
    for _ in range(800):
        x0, y0, x1, y1 = prior.plan(rng, [segment], (4000, 2000)).placements[0].box
        assert 0 <= x0 < x1 <= 2000
        assert 0 <= y0 < y1 <= 4000
        factors.append((y1 - y0) / 400)
    places = np.sort(np.log(np.array(factors) / 0.5) / np.log(3))
    assert np.abs(places - (np.arange(800) + 0.5) / 800).max() < 1.95 / np.sqrt(800)


def test_source_size_layout_refuses_segments_of_no_image(rng):
    with pytest.raises(ValueError, match="segments that were cut from images"):
        SourceSizeLayout().plan(rng, [SegmentInfo((40, 20), "dog")], (100, 100))
    with pytest.raises(ValueError, match="`jitter`"):
        SourceSizeLayout(jitter=(2, 1))
    for value in (0, "2", -1):
        with pytest.raises(ValueError, match="`max_enlargement`"):
            SourceSizeLayout(max_enlargement=value)


def test_larger_ones_lie_behind(rng):
    segments = [
        SegmentInfo((20, 20), "a", (100, 100)),
        SegmentInfo((60, 60), "b", (100, 100)),
        SegmentInfo((40, 40), "c", (99, 99)),
    ]
    prior = SourceSizeLayout(jitter=(1.0, 1.0), min_visible=0.0, min_mean_visible=0.0)
    assert [planned.segment for planned in prior.plan(rng, segments, (100, 100)).placements] == [1, 2, 0]


def test_data_sets_count_what_the_limit_holds_small(tmp_path):
    """The bundled segments have at most 256 pixels: in 1024 they cannot fill what is large."""
    layout = {
        "type": "StructuredLayout",
        "counts": (2, 2),
        "shares": {"large": 1.0, "medium": 0.0, "small": 0.0},
        "areas": {"large": (0.45, 0.5), "medium": (0.1, 0.2), "small": (0.05, 0.1)},
        "min_visible": 0.0,
        "min_mean_visible": 0.0,
    }
    recipe = Recipe(canvas=(1024, 1024), layout=layout, min_visible_share=0.0, formats=("objects",))
    report = synthesize(recipe, tmp_path / "out", 3, progress=False)
    assert report.limited == report.objects == 6
    assert "6 objects (100.0%) are smaller than drawn" in report.describe()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["limited"] == 6
    lines = (tmp_path / "out" / "annotations" / "objects.jsonl").read_text().splitlines()
    assert all(each["placement"]["limited"] for line in lines for each in json.loads(line)["objects"])
    free = synthesize(
        Recipe(canvas=(1024, 1024), layout={**layout, "max_enlargement": None}), tmp_path / "free", 2, progress=False
    )
    assert free.limited == 0
    assert "smaller than drawn" not in free.describe()


def test_a_placement_at_the_limit_is_placed_as_planned():
    segment = Segment(np.full((10, 20, 4), 255, np.uint8), "tile")
    sprite = place(segment, Placement(0, (5, 5, 35, 20), limited=True), (100, 100))
    assert sprite.extent == (5, 5, 35, 20)
