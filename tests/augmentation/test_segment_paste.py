"""SegmentPaste: after it, image and annotations agree, by brute force, for every kind of annotation."""

import pickle

import cv2
import numpy as np
import pytest

pytest.importorskip("mmcv")
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition.outlines import outlines
from tests.augmentation.samples import LAYOUT, SIZE, boxes_of, build, random_sample, tight


def expected_masks(sample: dict, cover: np.ndarray, rules=(0.5, 16)) -> tuple[list[int], list[np.ndarray]]:
    """Which old objects stay, and what is left of them, pixel by pixel."""
    kept, left = [], []
    for place, mask in enumerate(sample["masks"]):
        rest = mask.astype(bool) & ~cover
        if rest.sum() == mask.sum() or (rest.sum() >= rules[0] * mask.sum() and rest.sum() >= rules[1]):
            kept.append(place)
            left.append(rest)
    return kept, left


def cover_of(paste, results: dict) -> np.ndarray:
    """Where something was pasted, from what the transform says of the image: a saliency map that it fills."""
    return results["gt_saliency"] > 0


@settings(max_examples=500)
@given(seed=st.integers(0, 10**6))
def check_bitmaps(wrap, unwrap, paste, seed):
    sample = random_sample(seed)
    masks = sample.pop("masks")
    given_sample = {**sample, "gt_masks": wrap(masks), "gt_saliency": np.zeros(SIZE, np.float32)}
    frozen = pickle.dumps(given_sample)
    results = paste(dict(given_sample))
    assert pickle.dumps(given_sample) == frozen
    sample["masks"] = masks
    cover = cover_of(paste, results)
    kept, left = expected_masks(sample, cover)
    found = unwrap(results["gt_masks"])
    new = found[len(kept) :]
    assert len(found) == len(results["gt_bboxes_labels"]) == len(results["gt_ignore_flags"]) == len(boxes_of(results))
    assert found.shape[1:] == SIZE
    for place, rest, mask, box in zip(kept, left, found, boxes_of(results), strict=False):
        np.testing.assert_array_equal(mask > 0, rest)
        untouched = rest.sum() == masks[place].sum()
        np.testing.assert_array_equal(box, sample["gt_bboxes"][place] if untouched else tight(rest))
    # The new ones share no pixel, and are all that was pasted.
    np.testing.assert_array_equal(new.astype(int).sum(axis=0), cover.astype(int))
    for mask, box in zip(new, boxes_of(results)[len(kept) :], strict=True):
        np.testing.assert_array_equal(box, tight(mask))
    np.testing.assert_array_equal(results["gt_bboxes_labels"][: len(kept)], sample["gt_bboxes_labels"][kept])
    np.testing.assert_array_equal(results["gt_ignore_flags"][: len(kept)], sample["gt_ignore_flags"][kept])
    assert not results["gt_ignore_flags"][len(kept) :].any()
    # Beyond the objects' soft edges the image is what it was.
    far = cv2.dilate(cover.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(results["img"][far], sample["img"][far])
    assert results["img"].dtype == np.uint8


def test_bitmaps(bank_config):
    """As plain arrays."""
    check_bitmaps(lambda masks: masks, lambda found: found, build(bank_config))


def test_mmdet_bitmaps(bank_config):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)
    wrap = structures.BitmapMasks
    check_bitmaps(lambda masks: wrap(masks, *SIZE), lambda found: found.masks, build(bank_config))


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float32])
def test_pasting_twice_into_mmdet_bitmaps(bank_config, dtype):
    """The masks of the first time are windows, those of the second what whole ones give."""
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)
    paste = build(bank_config)
    for seed in range(10):
        sample = random_sample(seed)
        masks = sample.pop("masks").astype(dtype)
        once = paste({**sample, "gt_masks": structures.BitmapMasks(masks, *SIZE)})
        plain = paste({**sample, "gt_masks": masks})
        found = paste({**once, "img_path": "again.jpg"})["gt_masks"]
        truth = paste({**plain, "img_path": "again.jpg"})["gt_masks"]
        assert type(once["gt_masks"]).__name__ == type(found).__name__ == "WindowMasks"
        assert found.masks.dtype == truth.dtype
        np.testing.assert_array_equal(found.masks, truth)


def test_mmdet_polygons(bank_config):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)

    def wrap(masks):
        return structures.PolygonMasks([outlines(mask) for mask in masks], *SIZE)

    check_bitmaps(wrap, lambda found: found.to_ndarray(), build(bank_config))


@pytest.mark.parametrize(
    "polygons", [[[5.0, 5.0]], [[5.0, 5.0, 9.0, 9.0]], [[0.0] * 6], [[5.0, 5.0, 5.0, 9.0, 5.0, 30.0]]]
)
def test_degenerate_polygons_hold_nothing_and_stay(bank_config, polygons):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)
    polygons = [np.array(each) for each in polygons]
    whole = [np.array([10.0, 10.0, 60.0, 10.0, 60.0, 60.0])]
    for seed in range(20):
        sample = random_sample(seed, 0)
        del sample["masks"]
        sample.update(gt_bboxes=np.array([[10, 10, 60, 60], [5, 5, 9, 9]], np.float32))
        sample.update(gt_bboxes_labels=np.array([0, 1]), gt_ignore_flags=np.zeros(2, bool))
        results = build(bank_config)({**sample, "gt_masks": structures.PolygonMasks([whole, polygons], *SIZE)})
        masks = results["gt_masks"].masks
        assert len(masks) == len(results["gt_bboxes"]) == len(results["gt_bboxes_labels"])
        place = results["gt_bboxes"].tolist().index([5, 5, 9, 9])
        assert [each.tolist() for each in masks[place]] == [each.tolist() for each in polygons]


def test_objects_without_polygons_are_dropped(bank_config):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)
    sample = random_sample(0, 0)
    sample.update(gt_bboxes=np.array([[1, 1, 5, 5], [5, 5, 9, 9]], np.float32), gt_bboxes_labels=np.array([0, 1]))
    del sample["masks"], sample["gt_ignore_flags"]
    masks = structures.PolygonMasks([[np.array([1.0, 1, 5, 1, 5, 5])], []], *SIZE)
    results = build(bank_config)({**sample, "gt_masks": masks})
    assert [5, 5, 9, 9] not in results["gt_bboxes"].tolist()
    assert len(results["gt_masks"]) == len(results["gt_bboxes"]) == len(results["gt_bboxes_labels"])


def test_mmdet_boxes(bank_config):
    boxes = pytest.importorskip("mmdet.structures.bbox", exc_type=ImportError)
    paste = build(bank_config)
    for seed in range(50):
        sample = random_sample(seed)
        del sample["masks"]
        given_boxes = boxes.HorizontalBoxes(torch.from_numpy(sample["gt_bboxes"].copy()))
        results = paste({**sample, "gt_bboxes": given_boxes})
        plain = paste(dict(sample))
        assert type(results["gt_bboxes"]) is boxes.HorizontalBoxes
        assert results["gt_bboxes"].tensor.dtype == torch.float32
        np.testing.assert_array_equal(results["gt_bboxes"].tensor.numpy(), plain["gt_bboxes"])
        np.testing.assert_array_equal(given_boxes.tensor.numpy(), sample["gt_bboxes"])
    with pytest.raises(ValueError, match="`gt_bboxes` must be HorizontalBoxes"):
        paste({**(sample := random_sample(1)), "gt_bboxes": sample["gt_bboxes"].tolist()})


def test_boxes_alone(bank_config):
    """Judged by the pixels of the box; boxes that stay are not touched."""
    paste = build(bank_config)
    dropped = 0
    for seed in range(500):
        sample = random_sample(seed)
        del sample["masks"]
        results = paste({**sample, "gt_saliency": np.zeros(SIZE, np.float32)})
        cover = cover_of(paste, results)
        expected = []
        for place, (x0, y0, x1, y1) in enumerate(sample["gt_bboxes"].astype(int)):
            area, hidden = (x1 - x0) * (y1 - y0), cover[y0:y1, x0:x1].sum()
            if hidden == 0 or (area - hidden >= 0.5 * area and area - hidden >= 16):
                expected.append(place)
        dropped += len(sample["gt_bboxes"]) - len(expected)
        np.testing.assert_array_equal(results["gt_bboxes"][: len(expected)], sample["gt_bboxes"][expected])
        assert len(results["gt_bboxes"]) == len(results["gt_bboxes_labels"])
        for box in results["gt_bboxes"][len(expected) :].astype(int):
            assert cover[box[1] : box[3], box[0] : box[2]].any(axis=0).all()
            assert cover[box[1] : box[3], box[0] : box[2]].any(axis=1).all()
    assert dropped > 20


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_maps(bank_config, dtype):
    """Label maps and saliency: pasted pixels get the new value, all others keep theirs, and the type stays."""
    paste = build(bank_config, saliency=0.0)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        sample = random_sample(seed, 0)
        labels = rng.integers(0, 200, SIZE).astype(dtype)
        saliency = np.full(SIZE, 0.5, np.float32)
        maps = {"gt_seg_map": labels.copy(), "gt_saliency": saliency}
        results = paste({**sample, **maps, "gt_masks": sample.pop("masks")})
        np.testing.assert_array_equal(maps["gt_seg_map"], labels)
        assert (saliency == 0.5).all()
        assert results["gt_seg_map"].dtype == dtype
        assert results["gt_saliency"].dtype == np.float32
        cover = results["gt_saliency"] == 0
        np.testing.assert_array_equal(results["gt_seg_map"][~cover], labels[~cover])
        assert (results["gt_saliency"][~cover] == 0.5).all()
        for mask, label in zip(results["gt_masks"], results["gt_bboxes_labels"], strict=True):
            assert (results["gt_seg_map"][mask > 0] == label).all()
            assert label in (0, 2)
    with pytest.raises(ValueError, match="`gt_seg_map` must be of the image's shape"):
        paste({**random_sample(1), "gt_seg_map": np.zeros((5, 5), np.uint8)})
    many = build(bank_config, classes=[*map(str, range(300)), "dog", "apple"])
    with pytest.raises(ValueError, match="must hold labels up to 30"):
        many({"img": sample["img"], "gt_seg_map": np.zeros(SIZE, np.uint8)})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_keep_their_values_elsewhere(bank_config, dtype):
    paste = build(bank_config)
    image = np.random.default_rng(0).uniform(0, 255, (*SIZE, 3)).astype(dtype)
    results = paste({"img": image, "img_path": "a.jpg", "gt_saliency": np.zeros(SIZE, np.float32)})
    assert results["img"].dtype == dtype
    far = cv2.dilate((results["gt_saliency"] > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(results["img"][far], image[far])
    whole = paste({"img": np.rint(image).astype(np.uint8), "img_path": "a.jpg"})["img"]
    inside = results["gt_saliency"] > 0
    assert np.abs(whole[inside] - results["img"][inside]).max() <= 0.5


@pytest.mark.parametrize("light", [(), "default"])
def test_channel_order(bank_config, light):
    image = random_sample(0)["img"]
    bgr = build(bank_config, effects=light)({"img": image, "img_path": "a"})["img"]
    rgb = build(bank_config, effects=light, channel_order="rgb")({"img": image[..., ::-1], "img_path": "a"})["img"]
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])


def test_colors_are_those_of_the_segments():
    """The mean of what was pasted over black is the apple's own red, in the pipeline's order."""
    bank = {"type": "sample", "vocabulary": ["apple"], "attributes": ["red"]}
    image = {"img": np.zeros((*SIZE, 3), np.uint8), "img_path": "a.jpg", "gt_saliency": np.zeros(SIZE, np.float32)}
    results = build(bank, classes=None)(image)
    blue, green, red = results["img"][results["gt_saliency"] > 0].mean(axis=0)
    assert red > 2 * max(blue, green)


def test_samples_that_cannot_hold_an_object_are_handed_on(bank_config):
    small = {"img": np.zeros((2, 2, 3), np.uint8), "img_path": "a.jpg", "gt_saliency": np.zeros((2, 2), np.float32)}
    results = build(bank_config)(small)
    assert not results["gt_saliency"].any()


def test_everything_covered(bank_config):
    """All old objects may go; empty annotations keep their shapes and types."""
    layout = {**LAYOUT, "counts": (1, 1), "areas": {**LAYOUT["areas"], "large": (0.9, 1.0)}, "aspect": (1.0, 1.3)}
    layout["shares"] = {"large": 1.0, "medium": 0.0, "small": 0.0}
    paste = build(bank_config, layout=layout)
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 40:50, 50:60] = 1
    for seed in range(20):
        sample = random_sample(seed, 0)
        sample.update(gt_bboxes=np.array([[50, 40, 60, 50]], np.float32), gt_bboxes_labels=np.array([1]))
        sample.update(gt_masks=mask, gt_ignore_flags=np.array([True]))
        del sample["masks"]
        results = paste(sample)
        if len(results["gt_bboxes"]) == 1:
            assert results["gt_masks"].shape == (1, *SIZE)
            assert results["gt_ignore_flags"].tolist() == [False]
            return
    raise AssertionError("nothing was covered")
