"""Objects that the border of their image cut off go to the same border of the canvas."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition.compositor import compose
from sos_mm.composition.layouts.borders import moved_to_borders, spanning_scales
from sos_mm.composition.layouts.occlusion import TakenBoxes
from sos_mm.composition.layouts.prior import Layout, build_layout
from sos_mm.composition.layouts.source_size import SourceSizeLayout
from sos_mm.composition.place import place
from sos_mm.composition.scene import Placement
from sos_mm.formats.objects import object_record
from sos_mm.referring.from_scene import annotated as annotated_scene
from sos_mm.segments import SegmentBank, build_index
from sos_mm.segments.readers.coco import read_annotated
from sos_mm.segments.record import SegmentInfo
from sos_mm.segments.segment import Segment
from sos_mm.segments.sides import Sides

CANVAS = (120, 200)
# A photograph of 100 by 160 pixels with objects that are cut off here; x, y, width, height.
BOXES = {
    Sides.NONE: (40, 30, 20, 30),
    Sides.LEFT: (0, 30, 30, 20),
    Sides.TOP: (60, 0, 20, 40),
    Sides.RIGHT: (130, 10, 30, 30),
    Sides.BOTTOM: (90, 60, 20, 40),
    Sides.LEFT | Sides.BOTTOM: (0, 70, 30, 30),
    Sides.TOP | Sides.BOTTOM: (110, 0, 15, 100),
}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """An annotation file of those objects, and the folder of its photograph."""
    folder = tmp_path_factory.mktemp("cut_off")
    cv2.imwrite(str(folder / "photo.png"), np.full((100, 160, 3), 90, np.uint8))
    annotations = [
        dict(
            id=index + 1,
            image_id=1,
            category_id=1,
            bbox=[x, y, w, h],
            area=w * h,
            iscrowd=0,
            segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
        )
        for index, (x, y, w, h) in enumerate(BOXES.values())
    ]
    file = dict(
        images=[dict(id=1, file_name="photo.png", height=100, width=160)],
        categories=[dict(id=1, name="person")],
        annotations=annotations,
    )
    (folder / "instances.json").write_text(json.dumps(file))
    return folder / "instances.json", folder


def test_records_bank_and_index_know_the_sides(annotated, tmp_path):
    expected = [int(sides) for sides in BOXES]
    records = read_annotated(*annotated, max_bordering=None)
    assert [record.cut_sides for record in records] == expected
    build_index(records, tmp_path / "bank.arrow", copies=(10,), progress=False)
    for bank in (SegmentBank(records), SegmentBank.from_index(tmp_path / "bank.arrow")):
        assert [bank.info(index).cut_sides for index in range(len(bank))] == expected
        # From the index, of a copy.
        assert [bank.load(index, (2, 2)).cut_sides for index in range(len(bank))] == expected
    changed = [replace(record, cut_sides=0) for record in records]
    assert SegmentBank(changed).fingerprint != SegmentBank(records).fingerprint
    assert [record.cut_sides for record in read_annotated(*annotated, truncated=False, max_bordering=None)] == [0]


@given(
    st.lists(
        st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 60)] * 2, st.integers(0, 15)), min_size=1, max_size=6
    )
)
def test_boxes_keep_their_sizes_and_touch_the_borders(drawn):
    corners, extents = np.array(drawn)[:, :2], np.array(drawn)[:, 2:4]
    boxes, sides = np.concatenate([corners, corners + extents], axis=1), np.array(drawn)[:, 4]
    moved = moved_to_borders(boxes, extents[:, ::-1], sides, CANVAS)
    for old, (x0, y0, x1, y1), side in zip(boxes, moved, sides, strict=True):
        assert (x1 - x0, y1 - y0) == (old[2] - old[0], old[3] - old[1])
        expected_x = 0 if side & Sides.LEFT else 200 - (x1 - x0) if side & Sides.RIGHT else old[0]
        expected_y = 120 - (y1 - y0) if side & Sides.BOTTOM else 0 if side & Sides.TOP else old[1]
        assert (x0, y0) == (expected_x, expected_y)


def test_scales_span_the_canvas_between_opposite_sides():
    sides = np.array(
        [Sides.NONE, Sides.LEFT | Sides.TOP, Sides.TOP | Sides.BOTTOM, Sides.LEFT | Sides.RIGHT, Sides.ALL]
    )
    scales = spanning_scales(np.full((5, 2), (40.0, 50.0)), sides, CANVAS)
    assert scales.tolist() == [0, 0, 121 / 40, 201 / 50, 201 / 50]


@pytest.mark.parametrize("kind", ["SourceSizeLayout", "StructuredLayout", "RandomLayout", "DepthLayout", "CocoLayout"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_layout_puts_them_at_the_border(kind, annotated, seed):
    options = dict(annotations=str(annotated[0])) if kind == "CocoLayout" else {}
    layout = build_layout(dict(type=kind, counts=(1, 7), rotation=30, **options))
    bank = SegmentBank(read_annotated(*annotated, max_bordering=None))
    infos = [bank.info(index) for index in range(len(bank))]
    planned = layout.plan(np.random.default_rng(seed), infos, CANVAS)
    for each in planned.placements:
        sides = infos[each.segment].cut_sides
        if not sides:
            continue
        assert each.rotation == 0
        assert not (each.flipped and sides & (Sides.LEFT | Sides.RIGHT))
        # As the compositor places it.
        x0, y0, x1, y1 = place(bank.load(each.segment), each, CANVAS).extent
        assert x0 == 0 or not sides & Sides.LEFT
        assert x1 == 200 or not sides & Sides.RIGHT
        assert y1 == 120 or not sides & Sides.BOTTOM
        assert y0 == 0 or not sides & Sides.TOP or sides & Sides.BOTTOM


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ((100, 15), Sides.TOP | Sides.BOTTOM),
        ((100, 150), Sides.TOP | Sides.BOTTOM | Sides.LEFT),
        ((20, 160), Sides.LEFT | Sides.RIGHT),
        ((90, 160), Sides.LEFT | Sides.RIGHT | Sides.BOTTOM),
        ((100, 160), Sides.ALL),
    ],
)
@pytest.mark.parametrize("canvas", [CANVAS, (200, 120), (100, 160)])
def test_no_cut_is_seen_of_an_object_that_was_cut_off_on_opposite_sides(size, sides, canvas):
    segment = Segment(np.full((*size, 4), 255, np.uint8), "person", source_size=(100, 160), cut_sides=int(sides))
    for seed in range(5):
        layout = SourceSizeLayout(counts=(1, 1), max_enlargement=None).plan(
            np.random.default_rng(seed), [segment], canvas
        )
        x0, y0, x1, y1 = place(segment, layout.placements[0], canvas).extent
        assert x0 <= 0 or not sides & Sides.LEFT
        assert x1 >= canvas[1] or not sides & Sides.RIGHT
        assert y0 <= 0 or not sides & Sides.TOP
        assert y1 >= canvas[0] or not sides & Sides.BOTTOM


def test_objects_in_one_corner_are_tried_once(monkeypatch):
    tries = []
    add_first = TakenBoxes.add_first
    monkeypatch.setattr(TakenBoxes, "add_first", lambda self, boxes: tries.append(1) or add_first(self, boxes))
    info = SegmentInfo((90, 90), "person", (100, 160), int(Sides.LEFT | Sides.BOTTOM))
    layout = SourceSizeLayout(counts=(2, 2), jitter=(1, 1), restarts=3, crowded="fewer")
    assert len(layout.plan(np.random.default_rng(0), [info] * 2, CANVAS).placements) == 1
    assert len(tries) == 2 * 3


def test_a_cut_off_object_is_not_taken_as_complete():
    segment = Segment(np.full((50, 20, 4), 255, np.uint8), "person", cut_sides=int(Sides.BOTTOM))
    layout = Layout(CANVAS, (Placement(0, (60, 70, 80, 120)),))
    (instance,) = annotated_scene(compose(None, layout, [segment])).instances
    assert instance.truncated
    scene = compose(None, layout, [replace(segment, cut_sides=0)])
    assert not annotated_scene(scene).instances[0].truncated
    assert "cut_off" not in object_record(scene.objects[0], 1)
    assert object_record(compose(None, layout, [segment]).objects[0], 1)["cut_off"] is True
