"""Objects that the border of their image cut off go to the same border of the canvas."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition.layouts.borders import moved_to_borders, spanning_scales
from sos_mm.composition.layouts.prior import build_layout
from sos_mm.composition.layouts.source_size import SourceSizeLayout
from sos_mm.composition.place import place
from sos_mm.segments import SegmentBank, build_index
from sos_mm.segments.readers.coco import read_annotated
from sos_mm.segments.record import SegmentInfo
from sos_mm.segments.sides import Sides, sides_at_border

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


def test_sides_are_those_where_less_than_a_pixel_is_left():
    for sides, box in BOXES.items():
        assert sides_at_border(box, (100, 160)) == sides
    assert sides_at_border((0.9, 1.0, 10, 10), (100, 160)) == Sides.LEFT
    assert sides_at_border((0, 0, 160, 100), (100, 160)) == Sides.ALL


def test_records_bank_and_index_know_the_sides(annotated, tmp_path):
    expected = [int(sides) for sides in BOXES]
    records = read_annotated(*annotated, truncated=True, max_bordering=None)
    assert [record.cut_sides for record in records] == expected
    build_index(records, tmp_path / "bank.arrow", copies=(10,), progress=False)
    for bank in (SegmentBank(records), SegmentBank.from_index(tmp_path / "bank.arrow")):
        assert [bank.info(index).cut_sides for index in range(len(bank))] == expected
        assert [bank.load(index).cut_sides for index in range(len(bank))] == expected
    assert [record.cut_sides for record in read_annotated(*annotated, max_bordering=None)] == [0]


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
    assert scales.tolist() == [0, 0, 3, 4, 4]


@pytest.mark.parametrize("kind", ["SourceSizeLayout", "StructuredLayout", "RandomLayout", "DepthLayout", "CocoLayout"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_layout_puts_them_at_the_border(kind, annotated, seed):
    options = dict(annotations=str(annotated[0])) if kind == "CocoLayout" else {}
    layout = build_layout(dict(type=kind, counts=(1, 7), rotation=30, **options))
    bank = SegmentBank(read_annotated(*annotated, truncated=True, max_bordering=None))
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


def test_an_object_cut_off_above_and_below_is_as_high_as_the_canvas():
    info = SegmentInfo((100, 15), "person", (100, 160), int(Sides.TOP | Sides.BOTTOM))
    for seed in range(5):
        (placed,) = SourceSizeLayout(counts=(1, 1)).plan(np.random.default_rng(seed), [info], CANVAS).placements
        assert (placed.box[1], placed.box[3]) == (0, 120)


def test_a_cut_side_has_no_soft_edge(annotated):
    record = read_annotated(*annotated, truncated=True, max_bordering=None, soften=2.0)[1]
    alpha = record.read().rgba[..., 3]
    assert (alpha[alpha.shape[0] // 2, :5] >= 128).all()
    assert alpha[alpha.shape[0] // 2, 0] == 255
