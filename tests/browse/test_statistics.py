"""Figures of the report, counted again the plain way."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.browse import statistics
from sos_mm.browse.dataset import AnnotatedImage, Annotation, DataSet

CATEGORIES = ("ant", "bee", "cat", "dog")
annotations = st.builds(
    Annotation,
    category=st.sampled_from(CATEGORIES[:3]),
    box=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(20, 40), st.integers(20, 30)),
    role=st.sampled_from(("object", "object", "stuff", "ignore")),
    area=st.integers(1, 20_000).map(float),
    visible_share=st.none() | st.floats(0, 1),
    segment_id=st.sampled_from(("", "a", "b")),
)
images = st.builds(AnnotatedImage, st.just("x.png"), st.just((30, 40)), st.lists(annotations, max_size=6).map(tuple))
data_sets = st.lists(images, max_size=5).map(lambda found: DataSet(Path("x"), "made up", tuple(found), CATEGORIES))


def objects(data_set):
    return [[each for each in image.annotations if each.role == "object"] for image in data_set.images]


@given(data_sets)
def test_counts(data_set):
    told, listed = statistics.figures(data_set), objects(data_set)
    of_class, images_with = statistics.per_class(told)
    for place, name in enumerate(CATEGORIES):
        assert of_class[place] == sum(each.category == name for found in listed for each in found)
        assert images_with[place] == sum(any(each.category == name for each in found) for found in listed)
    of_image, classes = statistics.per_image(told)
    assert of_image.tolist() == [len(found) for found in listed]
    assert classes.tolist() == [len({each.category for each in found}) for found in listed]
    for role, number in (("stuff", told.stuff), ("ignore", told.ignored)):
        assert number == sum(each.role == role for image in data_set.images for each in image.annotations)
    uses = Counter(each.segment_id for found in listed for each in found)
    del uses[""]
    assert statistics.segment_uses(told.segment_id) == uses


@given(data_sets)
def test_sizes_and_places(data_set):
    told, flat = statistics.figures(data_set), [each for found in objects(data_set) for each in found]
    small = sum(each.area < 1024 for each in flat)
    large = sum(each.area >= 9216 for each in flat)
    shares = np.array([small, len(flat) - small - large, large]) / max(len(flat), 1)
    np.testing.assert_allclose(statistics.size_shares(told.area), shares)
    np.testing.assert_allclose(statistics.relative_sizes(told), [(each.area / 1200) ** 0.5 for each in flat])
    expected = np.zeros((4, 4))
    for each in flat:
        x, y = (each.box[0] + each.box[2]) / 2, (each.box[1] + each.box[3]) / 2
        expected[int(y / 30 * 4), int(x / 40 * 4)] += 1 / len(flat)
    np.testing.assert_allclose(statistics.position_map(told, 4), expected)


def test_centres_on_the_border_count_in_the_last_cell():
    image = AnnotatedImage("x.png", (30, 40), (Annotation("ant", (40, 30, 40, 30)), Annotation("ant", (-9, 0, 1, 0))))
    told = statistics.figures(DataSet(Path("x"), "made up", (image,), CATEGORIES))
    assert np.argwhere(statistics.position_map(told, 4)).tolist() == [[0, 0], [3, 3]]


@pytest.mark.filterwarnings("error")
def test_a_box_far_beyond_its_image_counts_in_the_last_cell():
    image = AnnotatedImage("x.png", (30, 40), (Annotation("ant", (0, 0, 1e300, 1)),))
    told = statistics.figures(DataSet(Path("x"), "made up", (image,), CATEGORIES))
    assert np.argwhere(statistics.position_map(told, 4)).tolist() == [[0, 3]]


def test_shares_leave_out_what_is_not_said_and_gather_what_is_beyond():
    values = np.array([np.nan, -5, 0.1, 0.5, 0.99, 1.0, 7.0])
    np.testing.assert_allclose(statistics.shares(values, np.array([0, 0.5, 1])), [2 / 6, 4 / 6])
    np.testing.assert_array_equal(statistics.shares(np.array([np.nan]), np.array([0, 0.5, 1])), [0, 0])


def test_identical_files(tmp_path):
    contents = {"a": b"12", "b": b"21", "c": b"12", "d": b"123", "e": b"", "f": b"12", "g": b"", "h": b"321"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = statistics.identical_files(tmp_path / name for name in contents)
    assert [[path.name for path in group] for group in found] == [["a", "c", "f"], ["e", "g"]]


@pytest.mark.parametrize("box", [(3, 0, 2, 1), (0, 3, 1, 2), (0, 0, float("inf"), 1), (0, 0, float("nan"), 1)])
def test_boxes_that_are_none(box):
    with pytest.raises(ValueError, match="The box must have finite numbers"):
        Annotation("ant", box)


@pytest.mark.parametrize("size", [(0, 3), (3, -1), (3, None), (2.5, 3)])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match=r"Height and width of x.png must be integers over 0"):
        AnnotatedImage("x.png", size, ())
