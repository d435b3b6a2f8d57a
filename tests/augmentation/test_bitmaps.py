"""Bitmaps after pasting: as computed pixel by pixel, with compiled loops and without."""

import numpy as np
import pytest

pytest.importorskip("mmcv")
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.augmentation import bitmaps
from sos_mm.augmentation.bitmaps import occlude, occlude_windows
from sos_mm.augmentation.rules import Rules
from tests.helpers.numba import needs_numba, with_and_without, without_numba

RULES = Rules(0.5, 3)


def random_masks(seed: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray, list]:
    """Masks with boxes, some of which do not contain them, and pasted rectangles: masks, boxes, cover, rectangles."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40), rng.integers(1, 40) * rng.choice([1, 15])
    masks = np.zeros((rng.integers(0, 5), height, width), dtype)
    boxes = rng.uniform(-5, 45, (len(masks), 4)).astype(np.float32)
    for mask, box in zip(masks, boxes, strict=True):
        x0, y0, x1, y1 = random_window(rng, height, width)
        density = rng.choice([0.0, 0.05, 0.9])
        mask[y0:y1, x0:x1] = (rng.random((y1 - y0, x1 - x0)) < density) * rng.integers(1, 256)
        if rng.random() < 0.6:
            box[:] = x0, y0, x1, y1
    cover, pasted = np.zeros((height, width), np.uint8), []
    for _ in range(rng.integers(0, 4)):
        x0, y0, x1, y1 = box = random_window(rng, height, width)
        pasted.append((box, cover[y0:y1, x0:x1] == 0))
        cover[y0:y1, x0:x1] = 1
    return masks, boxes, cover, pasted


def random_window(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    (y0, y1), (x0, x1) = (np.sort(rng.integers(0, side + 1, 2)) for side in (height, width))
    return x0, y0, x1, y1


def pixel_by_pixel(masks: np.ndarray, boxes: np.ndarray, cover: np.ndarray, pasted: list) -> tuple:
    """Which are kept, their boxes, and all masks, by full masks."""
    kept, new_boxes, new = [], boxes.copy(), []
    for mask, box in zip(masks, new_boxes, strict=True):
        left = np.where(cover == 0, mask, 0)
        before, after = np.count_nonzero(mask), np.count_nonzero(left)
        kept.append(before == after or after >= max(0.5 * before, 3))
        if kept[-1]:
            new.append(left)
        if kept[-1] and after < before:
            box[:] = tight(left)
    for (x0, y0, x1, y1), mask in pasted:
        new.append(np.zeros(cover.shape, bool))
        new[-1][y0:y1, x0:x1] = mask
    return np.array(kept, bool), new_boxes, np.array(new).reshape(-1, *cover.shape)


def tight(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def check_same(found: bitmaps.Occluded, truth: tuple) -> None:
    kept, boxes, masks = truth
    np.testing.assert_array_equal(found.kept, kept)
    np.testing.assert_array_equal(found.boxes, boxes)
    np.testing.assert_array_equal(found.whole(masks.shape[1:]), masks)
    for window, mask in zip(found.windows[: kept.sum()], masks, strict=False):
        np.testing.assert_array_equal(window, tight(mask) if mask.any() else np.zeros(4))


def in_windows(masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Windows that hold the pixels of masks, some with room around them, and the masks in them."""
    windows, (height, width) = np.zeros((len(masks), 4), np.int64), masks.shape[1:]
    for window, mask in zip(windows, masks, strict=True):
        window[:] = tight(mask) if mask.any() else random_window(rng, height, width)
        window[:2] -= np.minimum(window[:2], rng.integers(0, 4, 2))
        window[2:] = np.minimum(window[2:] + rng.integers(0, 4, 2), (width, height))
    return windows, [mask[y0:y1, x0:x1] for mask, (x0, y0, x1, y1) in zip(masks, windows.tolist(), strict=True)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.bool_, np.int64, np.float32]), st.booleans())
def check_occlusion(seed, dtype, cropped):
    given_arrays = random_masks(seed, dtype)
    before = [each.copy() for each in given_arrays[:3]]
    if cropped:
        windows, parts = in_windows(given_arrays[0], np.random.default_rng(seed))
        found = occlude_windows(windows, parts, *given_arrays[1:], RULES)
    else:
        found = occlude(*given_arrays, RULES)
    check_same(found, pixel_by_pixel(*given_arrays))
    assert found.boxes.dtype == np.float32
    assert {part.dtype for part in found.parts} <= {np.dtype(dtype if len(given_arrays[0]) else np.uint8)}
    for each, old in zip(given_arrays[:3], before, strict=True):
        np.testing.assert_array_equal(each, old)


def test_occlusion():
    """With numba, if it is installed."""
    check_occlusion()


def test_occlusion_without_numba():
    with without_numba():
        check_occlusion()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("pixel", [(1, 5), (5, 1), (5, 10), (10, 5), (1, 1), (10, 10)])
def test_pixels_beside_the_box_are_found(dtype, pixel):
    """Beyond each of its sides alone, and nowhere else."""
    masks = np.zeros((1, 12, 12), dtype)
    masks[0][pixel] = 1
    given_arrays = masks, np.array([[4, 4, 7, 7]], np.float32), np.zeros((12, 12), np.uint8), []
    check_same(occlude(*given_arrays, RULES), pixel_by_pixel(*given_arrays))


@pytest.mark.parametrize("width", [127, 128, 129, 255, 256, 257, 1000])
@pytest.mark.parametrize(("covered", "stays"), [(0.4, True), (0.6, False)])
def test_pixels_of_wide_rows_are_counted(width, covered, stays):
    """The compiled loops count them in runs."""
    cover = np.zeros((2, width), np.uint8)
    cover[:, : round(covered * width)] = 1
    found = occlude(np.ones((1, 2, width), np.uint8), np.array([[0, 0, width, 2]], np.float32), cover, [], RULES)
    assert found.kept.tolist() == [stays]
    assert not stays or found.boxes.tolist() == [[round(covered * width), 0, width, 2]]


@needs_numba
def test_compiled_loops_are_used_for_masks_of_one_byte():
    for dtype, expected in ((np.uint8, True), (np.bool_, True), (np.int64, False)):
        fast, plain = with_and_without(lambda dtype=dtype: bitmaps._loops_for(np.dtype(dtype)))
        assert (fast is not None) is expected
        assert plain is None


@needs_numba
@pytest.mark.parametrize("order", ["F", "reversed", "read-only"])
def test_any_layout_in_memory(order):
    """Masks as other transforms leave them: flipped views, transposed ones, and those of shared memory."""
    masks, boxes, cover, pasted = random_masks(7, np.uint8)
    assert len(masks)
    changed = {"F": np.asfortranarray, "reversed": lambda each: np.ascontiguousarray(each[..., ::-1])[..., ::-1]}
    masks = changed.get(order, np.copy)(masks)
    masks.flags.writeable = order != "read-only"
    check_same(occlude(masks, boxes, cover, pasted, RULES), pixel_by_pixel(masks, boxes, cover, pasted))
