"""YOLO's polygons, filled by both rules that readers use, against the masks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sos_mm.formats.yolo import outline
from sos_mm.synthesis.writers import build_formats
from tests.helpers.composed import VOCABULARY, Composed, category_id


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"), formats=["yolo"])


def fill_rounded_down(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As Ultralytics' trainers do: corners cut to whole pixels, filled with their border."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask.astype(bool)


def fill_centres(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres a ray crosses the polygon to an odd number of times, done the plain way."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


FILLS = pytest.mark.parametrize("fill", [fill_rounded_down, fill_centres])


def filled_holes(mask: np.ndarray) -> np.ndarray:
    """A mask without what it encloses: all that a walk from outside, along sides, does not reach."""
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    labels = cv2.connectedComponents(outside, connectivity=4)[1]
    return (labels != labels[0, 0])[1:-1, 1:-1]


def one_part(mask: np.ndarray) -> np.ndarray:
    """The largest of the parts that touch at sides or corners."""
    labels, stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[1:3]
    return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any)


@settings(max_examples=300)
@given(MASKS)
def test_outline_is_exact(mask):
    """Any connected mask without holes comes back pixel by pixel under both rules."""
    mask = filled_holes(one_part(mask))
    points = outline(mask)
    assert len(points) >= 3
    np.testing.assert_array_equal(fill_rounded_down(points, mask.shape), mask)
    np.testing.assert_array_equal(fill_centres(points, mask.shape), mask)


@settings(max_examples=300)
@given(MASKS)
def test_joined_parts_are_all_there(mask):
    """Lines without width join the parts: whoever fills centres gets all pixels, and no others."""
    truth = filled_holes(mask)
    # Parts inside holes of others vanish with the holes.
    np.testing.assert_array_equal(fill_centres(outline(mask), mask.shape), truth)
    drawn = fill_rounded_down(outline(mask), mask.shape)
    assert not np.any(truth & ~drawn)


def test_largest_part():
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:8], mask[10:18, 5:25] = True, True
    assert iou(fill_centres(outline(mask, "largest"), mask.shape), one_part(mask)) == 1


def read_labels(composed: Composed, index: int) -> list[tuple[int, np.ndarray]]:
    """Classes, and (N, 2) points in pixels."""
    height, width = composed.scenes[index].size
    rows = [line.split() for line in (composed.out / f"labels/{index:08d}.txt").read_text().splitlines()]
    return [(int(row[0]), np.array(row[1:], float).reshape(-1, 2) * (width, height)) for row in rows]


@FILLS
def test_labels(composed, fill):
    """At least 0.9 IoU for all over 300 pixels, holes filled: a polygon has none."""
    names, ious = sorted(VOCABULARY, key=VOCABULARY.get), []
    for index, scene in enumerate(composed.scenes):
        labels = read_labels(composed, index)
        assert len(labels) == len(scene.objects)
        for place, (label, points) in enumerate(labels):
            assert VOCABULARY[names[label]] == category_id(scene.objects[place].category)
            assert points.min() >= 0
            assert np.all(points <= scene.size[::-1])
            truth = filled_holes(scene.modal_mask(place))
            if truth.sum() > 300:
                ious.append(iou(fill(points, scene.size), truth))
    assert len(ious) > 30, "too few objects of that size for the mean to say much"
    assert min(ious) >= 0.9
    assert np.mean(ious) >= 0.97


def test_data_file(composed):
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load((composed.out / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == dict(enumerate(sorted(VOCABULARY, key=VOCABULARY.get)))
    assert (composed.out / data["train"] / "00000000.jpg").is_file()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"parts": "joined"}, "Did you mean 'join'"),
        ({"tolerance": -1}, "`tolerance`"),
        ({"holes": 1}, "key of the format"),
    ],
)
def test_options_are_checked(options, match):
    with pytest.raises(ValueError, match=match):
        build_formats([{"type": "yolo", **options}])
