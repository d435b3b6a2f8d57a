"""How much of an outline borders on other objects: by brute force, in hand cases, and through files and filters."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as tools

from sos_mm.errors import ErrorCollector
from sos_mm.formats.rle import decode_near, decode_window
from sos_mm.segments import Filters, SegmentBank, build_bank, build_index, read_annotated
from sos_mm.segments.bordering import bordering_share, bordering_shares
from sos_mm.segments.readers.coco import BORDERING

SIZE = (60, 80)


def rectangle(x, y, width, height):
    """The polygon that covers exactly those pixels."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def runs(mask):
    """A mask as COCO packs it."""
    packed = tools.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": packed["counts"].decode()}


def box_of(mask):
    return list(map(float, cv2.boundingRect(mask)))


def masks_of(shapes):
    """(H, W) masks of ellipses, overlapping as they come."""
    masks = []
    for x, y, width, height in shapes:
        mask = np.zeros(SIZE, np.uint8)
        cv2.ellipse(mask, (x, y), (width, height), 30, 0, 360, 1, -1)
        masks.append(mask)
    return masks


def brute_force(mask, others):
    """The share by its definition, pixel by pixel."""
    rows, columns = np.nonzero(mask)
    outline = []
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [0 <= b < SIZE[0] and 0 <= a < SIZE[1] and mask[b, a] for b, a in beside]
        if not all(inside):
            outline.append((y, x))
    if not others.any():
        return 0.0
    other = np.argwhere(others)
    near = [np.min(np.sum((other - point) ** 2, axis=1)) <= 4 for point in outline]
    return sum(near) / len(near)


SHAPE = st.tuples(st.integers(0, 79), st.integers(0, 59), st.integers(0, 14), st.integers(0, 9))


@settings(max_examples=60)
@given(st.lists(SHAPE, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_shares_are_those_of_brute_force(shapes, random):
    masks = masks_of(shapes)
    objects = [{"bbox": box_of(mask), "segmentation": runs(mask)} for mask in masks]
    wanted = random.sample(range(len(masks)), random.randint(1, len(masks)))
    found = bordering_shares(objects, wanted, SIZE)
    assert sorted(found) == sorted(wanted)
    for place in wanted:
        others = sum(mask for each, mask in enumerate(masks) if each != place) if len(masks) > 1 else np.zeros(SIZE)
        assert found[place] == pytest.approx(brute_force(masks[place], np.asarray(others) > 0))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-5, 90), st.floats(-5, 70)), min_size=3, max_size=9))
def test_windows_hold_the_whole_mask(points):
    polygons = [[float(each) for point in points for each in point]]
    whole = tools.decode(tools.merge(tools.frPyObjects(polygons, *SIZE)))
    if not whole.any():
        with pytest.raises(ValueError, match="must hold pixels"):
            decode_window(polygons, SIZE, "it")
        return
    window = decode_window(polygons, SIZE, "it")
    near = decode_near(polygons, SIZE, "it")
    pasted = np.zeros(SIZE, np.uint8)
    pasted[near.part] = near.mask
    # Edges that run exactly between two pixels may be rounded otherwise.
    assert np.count_nonzero(pasted != whole) <= 2
    for margin in (0, 3, 200):
        grown = window.grown(margin, SIZE)
        pasted = np.zeros(SIZE, np.uint8)
        pasted[grown.part] = grown.mask
        np.testing.assert_array_equal(pasted, whole)
    assert window.grown(200, SIZE).mask.shape == SIZE


@pytest.mark.parametrize(
    ("other", "near"),
    [
        # Beside it: all 5 pixels of its right side, and behind them those of its upper and its lower side.
        ((20, 10, 5, 5), 7),
        # A gap of one pixel: from centre to centre it is two to the right side alone. A gap of two is too wide.
        ((21, 10, 5, 5), 5),
        ((22, 10, 5, 5), 0),
        # Corner at corner: that corner, the root of 2 away; the pixels beside it are the root of 5 away.
        ((20, 15, 5, 5), 1),
        # All over it; on its middle, two pixels from which are one of the upper and one of the lower side.
        ((0, 0, 80, 60), 26),
        ((14, 12, 1, 1), 2),
    ],
)
def test_hand_cases(other, near):
    mask, others = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    mask[10:15, 10:20] = 1
    x, y, width, height = other
    others[y : y + height, x : x + width] = 1
    assert bordering_share(mask, others) == pytest.approx(near / 26)


def test_the_edge_of_a_hole_is_outline():
    mask, others = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    mask[10:25, 10:25] = 1
    mask[17, 17], others[17, 17] = 0, 1
    # 56 around, and the 4 beside the hole, which are the only ones within two pixels of what is seen through it.
    assert bordering_share(mask, others) == pytest.approx(4 / 60)


@pytest.fixture
def source(tmp_path):
    """A folder with a photograph, and a maker of annotation files of objects in it."""
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for name in ("1.png", "2.png"):
        assert cv2.imwrite(str(folder / name), image)

    def write(objects):
        entries = []
        for number, changes in enumerate(objects):
            box = changes.pop("box")
            entry = {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": list(box)}
            entries.append({**entry, "segmentation": rectangle(*box), **changes})
        data = {
            "images": [{"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in (1, 2)],
            "annotations": entries,
            "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        }
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(data))
        return path

    return folder, write


def scene():
    """Two neighbours, one of them a cat; one alone; one beside a crowd; one in the other photograph."""
    return [
        {"box": (10, 10, 10, 5)},
        {"box": (20, 10, 5, 5), "category_id": 2},
        {"box": (40, 10, 10, 10)},
        {"box": (40, 40, 10, 10)},
        {"box": (50, 30, 20, 25), "iscrowd": 1},
        {"box": (10, 10, 10, 5), "image_id": 2},
    ]


def found(records):
    return {int(record.source_id.split("/")[1]): record.bordering for record in records}


def test_the_reader_measures_and_limits(source):
    folder, write = source
    path = write(scene())
    shares = found(read_annotated(path, folder, max_bordering=1))
    assert shares == {0: 7 / 26, 1: pytest.approx(7 / 16), 2: 0, 3: pytest.approx(12 / 36), 5: 0}
    assert sorted(found(read_annotated(path, folder))) == [2, 5]
    assert sorted(found(read_annotated(path, folder, max_bordering=0.3))) == [0, 2, 5]
    assert found(read_annotated(path, folder, max_bordering=None)) == dict.fromkeys((0, 1, 2, 3, 5))
    # What is not listed is beside all the same.
    assert found(read_annotated(path, folder, include=["dog"], max_bordering=1))[0] == 7 / 26


def test_what_the_limit_drops_is_counted(source, tmp_path):
    folder, write = source
    config = {"type": "coco", "annotations": str(write(scene())), "images": str(folder)}
    bank = build_bank(config)
    assert (len(bank), bank.skipped) == (2, {BORDERING: 3})
    assert build_bank({**config, "broken": "skip", "filters": {"area": (1, 1e6)}}).skipped == {BORDERING: 3}
    assert build_bank({**config, "max_bordering": 1}).skipped == {}
    faults = ErrorCollector()
    build_index(read_annotated(**_reader(config), faults=faults), tmp_path / "b.arrow", faults=faults, progress=False)
    assert SegmentBank.from_index(tmp_path / "b.arrow").skipped == {BORDERING: 3}
    with pytest.raises(ValueError, match=r"none is left \(3 border on others\)"):
        build_bank({**config, "annotations": str(write(scene()[:2] + scene()[3:5]))})


def _reader(config):
    return {key: value for key, value in config.items() if key != "type"}


def test_filters_over_it(source, tmp_path):
    folder, write = source
    records = read_annotated(write(scene()), folder, max_bordering=1)
    records.append(replace(records[0], source_id="instances/9", bordering=None))
    build_index(records, tmp_path / "b.arrow", progress=False)
    indexed = SegmentBank.from_index(tmp_path / "b.arrow")
    assert found(indexed.records) == found(records)
    for bank in (SegmentBank(records), indexed):
        assert len(bank.select(Filters(bordering=1))) == 6
        # What is not known passes.
        assert sorted(found(bank.select(Filters(bordering=0.3)).records)) == [0, 2, 5, 9]
        assert sorted(found(bank.select(Filters(bordering=0)).records)) == [2, 5, 9]
        assert sorted(found(bank.select(Filters(bordering=0.5, area=(51, 1000))).records)) == [2, 3]
    assert not Filters(bordering=0.2).measured
    with pytest.raises(ValueError, match=r"`filters.bordering` must be in \[0, 1\], but got 2"):
        Filters(bordering=2)


def test_faulty_outlines_are_named_and_count_for_nothing(source):
    folder, write = source
    objects = scene()
    objects[1]["segmentation"] = [[1, 2, 3]]
    path = write(objects)
    with pytest.raises(ValueError, match=r"Annotation 1 of .*instances\.json: The outline .* must be polygons"):
        read_annotated(path, folder)
    faults = ErrorCollector("skip")
    shares = found(read_annotated(path, folder, max_bordering=1, faults=faults))
    assert shares == {0: 0, 2: 0, 3: pytest.approx(12 / 36), 5: 0}
    assert faults.counts == {"faulty outline": 1}


def panoptic(tmp_path, regions):
    """A panoptic file and its folder of one map, of (id, category, box) from back to front."""
    ids = np.zeros(SIZE, np.int32)
    for number, _, (x, y, width, height) in regions:
        ids[y : y + height, x : x + width] = number
    maps = tmp_path / "maps"
    maps.mkdir(exist_ok=True)
    cv2.imwrite(str(maps / "1.png"), np.dstack([ids >> 16, ids >> 8 & 255, ids & 255]).astype(np.uint8))
    info = [{"id": number, "category_id": category, "iscrowd": 0} for number, category, _ in regions]
    data = {
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": info}],
        "categories": [
            {"id": number, "name": name, "isthing": thing}
            for number, name, thing in ((1, "cup", 1), (2, "bowl", 1), (3, "floor", 0))
        ],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(data))
    return [str(tmp_path / "panoptic.json"), str(maps)]


def test_things_of_a_panoptic_map_count_too(source, tmp_path):
    folder, write = source
    path = write([{"box": (10, 10, 10, 5)}, {"box": (50, 40, 10, 10)}])
    own, far = (70000, 1, (10, 10, 10, 5)), (9, 1, (50, 40, 10, 10))

    def share(*regions):
        truth = panoptic(tmp_path, [own, far, *regions])
        return found(read_annotated(path, folder, max_bordering=1, panoptic=truth))[0]

    assert share() == 0
    assert share((5, 2, (20, 10, 5, 5))) == 7 / 26
    assert share((5, 3, (20, 10, 5, 5))) == 0, "stuff is no object"
    # A map that shows the object as something else, most of it as another thing, says nothing of it.
    assert share((5, 2, (10, 10, 5, 5)), (6, 2, (20, 10, 5, 5))) == 0
    assert share((5, 2, (10, 10, 30, 20))) == 0
    truth = panoptic(tmp_path, [own, far])
    cv2.imwrite(str(tmp_path / "maps" / "1.png"), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png must be of its image's size \(60, 80\), but is of \(5, 5\)"):
        read_annotated(path, folder, panoptic=truth)
    (tmp_path / "panoptic.json").write_text('{"annotations": []}')
    with pytest.raises(ValueError, match=r"panoptic\.json must be a JSON object with a list 'categories'"):
        read_annotated(path, folder, panoptic=truth)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_bordering": 1.5}, r"`max_bordering` must be in \[0, 1\], but got 1.5"),
        ({"max_bordering": "few"}, "`max_bordering` must be"),
        ({"panoptic": "p.json"}, "`panoptic` must be a JSON file and the folder of its maps, but got 'p.json'"),
        ({"soften": "much"}, r"`soften` must be 'auto' or in \[0, 16\], but got 'much'"),
        ({"soften": 17}, r"`soften` must be 'auto' or in \[0, 16\], but got 17"),
    ],
)
def test_bad_options(source, options, match):
    folder, write = source
    with pytest.raises(ValueError, match=match):
        read_annotated(write(scene()), folder, **options)
