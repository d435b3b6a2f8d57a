"""Loading of masks in windows: the samples of mmdet's `LoadAnnotations`."""

import copy

import numpy as np
import pytest

pytest.importorskip("mmdet")
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from pycocotools import mask as tools

from sos_mm import LoadWindowMasks
from sos_mm.detection import WindowMasks
from tests.helpers.numba import without_numba

HEIGHT, WIDTH = 23, 31
corners = st.one_of(st.floats(-9, 40), st.integers(-9, 40))
polygons = st.lists(st.lists(corners, min_size=4, max_size=12), min_size=0, max_size=3)
pixels = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((HEIGHT, WIDTH)) < np.random.default_rng(seed).choice([0, 0.1, 1])
)


def compressed(mask: np.ndarray) -> dict:
    packed = tools.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}


def plain(mask: np.ndarray) -> dict:
    flat = mask.ravel(order="F")
    bounds = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *bounds, flat.size]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": [0, *lengths] if flat[0] else lengths}


masks = st.one_of(
    polygons, pixels.map(compressed), pixels.map(plain), st.just({"size": [HEIGHT, WIDTH]}), st.just({"counts": [1]})
)


def sample(outlines: list) -> dict:
    instances = [dict(bbox=[0, 0, 5, 5], bbox_label=1, ignore_flag=0, mask=mask) for mask in outlines]
    return dict(instances=instances, ori_shape=(HEIGHT, WIDTH), img_path="one.jpg")


def check_loading(outlines: list) -> None:
    theirs = LoadAnnotations(with_mask=True)(copy.deepcopy(sample(outlines)))
    ours = LoadWindowMasks()(copy.deepcopy(sample(outlines)))
    assert isinstance(ours["gt_masks"], WindowMasks)
    assert ours["gt_masks"].windows is not None
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(ours["gt_ignore_flags"], theirs["gt_ignore_flags"])
    np.testing.assert_array_equal(ours["gt_bboxes"].tensor, theirs["gt_bboxes"].tensor)
    np.testing.assert_array_equal(ours["gt_masks"].areas, theirs["gt_masks"].areas)
    assert ours["gt_masks"].windows is not None
    np.testing.assert_array_equal(ours["gt_masks"].masks, theirs["gt_masks"].masks)
    assert ours["gt_masks"].masks.dtype == theirs["gt_masks"].masks.dtype


@settings(max_examples=200, deadline=None)
@given(st.lists(masks, max_size=4))
def test_samples_are_those_of_load_annotations(outlines):
    """With polygons, also outside and of too few corners, both kinds of run lengths, and annotations that are none."""
    check_loading(outlines)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), np.array([HEIGHT, WIDTH]), [float(HEIGHT), float(WIDTH)]])
def test_sizes_of_data_sets_in_python(size):
    """Not from a JSON file."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 5:20] = True
    check_loading([compressed(mask) | {"size": size}, plain(mask) | {"size": size}])


def test_samples_without_numba():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 5:20] = True
    with without_numba():
        check_loading([compressed(mask), plain(mask), [[1, 1, 9, 1, 9, 9]], compressed(mask & False)])


def test_other_arguments_are_those_of_load_annotations():
    outlines = [[[1, 1, 9, 1, 9, 9]]]
    kept = LoadWindowMasks(poly2mask=False)(sample(outlines))["gt_masks"]
    assert type(kept) is PolygonMasks
    assert "gt_masks" not in LoadWindowMasks(with_mask=False)(sample(outlines))
    assert "gt_bboxes" not in LoadWindowMasks(with_bbox=False)(sample(outlines))
    assert type(LoadAnnotations(with_mask=True)(sample(outlines))["gt_masks"]) is BitmapMasks


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ({"size": [5, 4], "counts": [20]}, r"of one\.jpg is for an image of \[5, 4\] .*, but that has \[23, 31\]"),
        ({"size": [HEIGHT, WIDTH], "counts": "1"}, r"of one\.jpg must add up to 713 pixels"),
        ([[0, 0, 1e9, 0, 0, 1e9]], r"of one\.jpg"),
    ],
)
def test_outlines_of_other_images_are_refused(mask, said):
    with pytest.raises(ValueError, match=said):
        LoadWindowMasks()(sample([mask]))
