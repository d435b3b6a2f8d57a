"""Masks kept as windows: every result is that of mmdet's `BitmapMasks`, which hold whole masks."""

import copy
import pickle

import cv2
import numpy as np
import pytest

pytest.importorskip("mmdet")
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from sos_mm.detection.window_masks import WindowMasks

DTYPES = st.sampled_from([np.uint8, np.bool_, np.int64, np.float32])
SEEDS = st.integers(0, 2**32 - 1)


def both(seed: int, dtype: type = np.uint8, number: int | None = None) -> tuple[BitmapMasks, WindowMasks]:
    """The same random masks whole and in windows, which may be empty, or larger than their pixels."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 30, 2).tolist()
    number = int(rng.integers(0, 5)) if number is None else number
    masks, windows, parts = np.zeros((number, height, width), dtype), [], []
    for mask in masks:
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, side + 1, 2)).tolist() for side in (height, width))
        # Floats of which the order of a sum counts.
        value = rng.integers(1, 256) / (7 if dtype is np.float32 else 1)
        part = (rng.random((y1 - y0, x1 - x0)) < rng.choice([0.0, 0.1, 1.0])) * value
        mask[y0:y1, x0:x1] = part
        windows.append((x0, y0, x1, y1))
        parts.append(part.astype(dtype))
    return BitmapMasks(masks, height, width), WindowMasks.from_windows(windows, parts, height, width)


def check_same(found, truth: BitmapMasks) -> None:
    assert isinstance(found, BitmapMasks)
    assert (len(found), found.height, found.width) == (len(truth), truth.height, truth.width)
    # mmdet's own results without masks are uint8 in any case.
    assert len(truth) == 0 or found.masks.dtype == truth.masks.dtype
    np.testing.assert_array_equal(found.masks, truth.masks)


def in_windows(masks: BitmapMasks) -> bool:
    return isinstance(masks, WindowMasks) and masks._windows is not None


def outcome(action, masks: BitmapMasks):
    """What an action returns, or the type of its error."""
    try:
        return action(masks)
    except (AssertionError, IndexError, TypeError, ValueError, cv2.error) as error:
        return type(error)


@settings(max_examples=100, deadline=None)
@given(SEEDS, DTYPES)
def test_whole_masks(seed, dtype):
    whole, windows = both(seed, dtype)
    assert in_windows(windows)
    assert repr(windows) == repr(whole).replace("BitmapMasks", "WindowMasks")
    check_same(windows, whole)
    assert not in_windows(windows)
    check_same(windows, whole)
    for one, other in zip(windows, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=300, deadline=None)
@given(SEEDS, DTYPES, st.data())
def test_choosing(seed, dtype, data):
    whole, windows = both(seed, dtype)
    number = len(whole)
    index = data.draw(
        st.one_of(
            st.integers(-6, 5),
            st.slices(number),
            st.lists(st.booleans(), min_size=number, max_size=number).map(lambda each: np.array(each, bool)),
            st.lists(st.integers(-number - 1, number), max_size=4).map(lambda each: np.array(each, np.int64)),
            st.lists(st.integers(-number - 1, number), max_size=4).map(lambda each: torch.tensor(each).long()),
            st.sampled_from([..., None, True, [], (), (0,), (..., 0), np.array([[0], [1]]), 0.0, np.zeros(0)]),
            st.sampled_from(["rows", "pixels"]),
        )
    )
    if isinstance(index, str):
        index = np.ones((number, whole.height, whole.width)[: 2 if index == "rows" else 3], bool)
    found, truth = (outcome(lambda masks: masks[index], masks) for masks in (windows, whole))
    if isinstance(truth, type):
        assert found is truth
    else:
        assert in_windows(found) or isinstance(index, tuple) or np.ndim(index) > 1
        check_same(found, truth)


@settings(max_examples=100, deadline=None)
@given(SEEDS, DTYPES, st.sampled_from(["horizontal", "vertical", "diagonal"]))
def test_mirroring(seed, dtype, direction):
    whole, windows = both(seed, np.uint8 if dtype in (np.bool_, np.int64) else dtype)  # OpenCV mirrors no others.
    found = windows.flip(direction)
    assert in_windows(found)
    check_same(found, whole.flip(direction))


@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@given(
    SEEDS,
    DTYPES,
    st.lists(st.integers(-5, 35), min_size=4, max_size=4),
    st.sampled_from([np.int64, np.int8, np.uint8, np.uint64, np.float32]),
)
def test_cropping(seed, dtype, box, kind):
    whole, windows = both(seed, dtype)
    box = np.array(box).astype(kind)
    found, truth = (outcome(lambda masks: masks.crop(box), masks) for masks in (windows, whole))
    if isinstance(truth, type):
        assert found is truth
    else:
        # Without masks mmdet crops beside the image too; the originals then do so with masks as well, and lose them.
        assert in_windows(found) or box.dtype.kind != "i" or not len(truth)
        check_same(found, truth)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from([0, 1]))
def test_padding(seed, shape, value):
    whole, windows = both(seed)
    found, truth = (outcome(lambda masks: masks.pad(shape, value), masks) for masks in (windows, whole))
    if isinstance(truth, type):
        assert found is truth
    else:
        assert in_windows(found) is (value == 0 and shape[0] >= whole.height and shape[1] >= whole.width)
        check_same(found, truth)


def test_sides_of_images_are_integers():
    """Not found out only when the masks are drawn."""
    _, windows = both(3, number=3)
    assert type(windows.pad(np.array([50, 60])).height) is int
    with pytest.raises(TypeError, match="integer"):
        windows.pad((50.0, 60.0))


@settings(max_examples=200, deadline=None)
@given(SEEDS, DTYPES)
def test_areas_boxes_and_tensors(seed, dtype):
    whole, windows = both(seed, dtype)
    kinds = (torch.bool, torch.uint8, torch.float32, None)
    tensors = [windows[:].to_tensor(kind, "cpu") for kind in kinds]
    boxes = windows.get_bboxes("hbox")
    assert torch.equal(windows.get_bboxes(HorizontalBoxes).tensor, boxes.tensor)
    # mmdet's own default is a name that it does not know.
    assert outcome(WindowMasks.get_bboxes, windows) is outcome(BitmapMasks.get_bboxes, whole) is AssertionError
    assert in_windows(windows)
    for kind, found in zip(kinds, tensors, strict=True):
        truth = whole.to_tensor(kind, "cpu")
        assert found.dtype == truth.dtype
        assert torch.equal(found, truth)
    truth = whole.get_bboxes("hbox")
    assert type(boxes) is type(truth)
    assert boxes.tensor.dtype == truth.tensor.dtype
    assert torch.equal(boxes.tensor, truth.tensor)
    assert windows.areas.dtype == whole.areas.dtype
    np.testing.assert_array_equal(windows.areas, whole.areas)


@pytest.mark.parametrize("changed", [lambda part: part[::-1, ::-1], np.asfortranarray, np.copy])
@pytest.mark.filterwarnings("error")
def test_tensors_of_any_layout_in_memory(changed):
    """Also of read-only parts, without torch's warning."""
    part = changed(np.arange(12, dtype=np.uint8).reshape(3, 4))
    part.flags.writeable = False
    torch.set_warn_always(True)
    try:
        found = WindowMasks.from_windows([(2, 1, 6, 4)], [part], 5, 7).to_tensor(torch.uint8, "cpu")
    finally:
        torch.set_warn_always(False)
    np.testing.assert_array_equal(found.numpy(), np.pad(part, ((1, 1), (2, 1)))[None])


sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@settings(max_examples=300, deadline=None)
@given(SEEDS, sizes, st.one_of(sizes, st.floats(0.05, 5), st.integers(1, 3)), st.booleans())
def test_scaling(seed, size, scale, drawn):
    """To any size, or with the aspect ratio kept, also to where nothing is left of a mask."""
    whole, windows = both(seed, number=int(np.random.default_rng(seed).integers(0, 4)))
    for action in (lambda masks: masks.resize(size), lambda masks: masks.rescale(scale)):
        masks = copy.deepcopy(windows)
        if drawn:
            assert masks.masks is not None
        found, truth = outcome(action, masks), outcome(action, whole)
        # OpenCV scales to no side of 0.
        if truth is cv2.error:
            assert found is cv2.error
        else:
            assert in_windows(found) is not drawn or len(found) == 0
            check_same(found, truth)


@settings(max_examples=300, deadline=None)
@given(SEEDS, sizes, st.integers(-95, 95), st.integers(-95, 95), st.sampled_from(["horizontal", "vertical"]), DTYPES)
def test_moving(seed, size, offset, other_offset, direction, dtype):
    """Into images of any size, also past their borders; in both directions, which not every mmdet knows, as in two."""
    whole, windows = both(seed, dtype)
    found = windows.translate(size, offset, direction)
    assert in_windows(found)
    directions = ("horizontal", "vertical") if direction == "horizontal" else ("vertical", "horizontal")
    twice = found.translate(size, other_offset, directions[1])
    offsets = (offset, other_offset) if direction == "horizontal" else (other_offset, offset)
    check_same(windows.translate(size, offsets, "both"), copy.deepcopy(twice))
    truth = outcome(lambda masks: masks.translate(size, offset, direction), whole)
    # OpenCV moves no bools and no integers of 64 bits.
    if isinstance(truth, BitmapMasks):
        check_same(found, truth)
    else:
        assert truth is cv2.error
        assert dtype in (np.bool_, np.int64)


@settings(max_examples=150, deadline=None)
@given(SEEDS, DTYPES, st.integers(-3, 40), st.integers(-3, 40), st.integers(1, 90), st.integers(1, 90))
def test_placing_in_larger_images(seed, dtype, top, left, height, width):
    whole, windows = both(seed, dtype)
    fits = 0 <= top <= height - whole.height and 0 <= left <= width - whole.width
    found, truth = (outcome(lambda masks: masks.expand(height, width, top, left), each) for each in (windows, whole))
    assert in_windows(found) is (fits and (dtype is np.uint8 or len(whole) == 0))
    if isinstance(truth, BitmapMasks):
        check_same(found, truth)
    else:
        assert found is truth


@pytest.mark.parametrize("scale", [0, -1.0, "2", None])
def test_scales_that_are_none_are_refused(scale):
    whole, windows = both(3, number=2)
    for masks in (whole, windows):
        with pytest.raises((ValueError, TypeError), match="cale"):
            masks.rescale(scale)


@pytest.mark.parametrize(
    "action",
    [
        lambda masks: masks.resize((31, 17), "bilinear"),
        lambda masks: masks.rescale((40, 50), "area"),
        lambda masks: masks.translate((30, 30), 3.5),
        lambda masks: masks.translate((30, 30), 3, border_value=1),
        lambda masks: masks.shear((masks.height, masks.width), 0.4),
        lambda masks: masks.rotate((masks.height, masks.width), 20),
        lambda masks: masks.crop_and_resize(np.array([[1.0, 0, 9, 8]] * 2, np.float32), (7, 7), np.array([0, 2])),
    ],
)
def test_all_else_is_done_with_whole_masks(action):
    for seed in range(5):
        whole, windows = both(seed, number=3)
        check_same(action(windows), action(whole))


def test_joining_with_whole_masks():
    """As mosaics do, of images of which some were pasted into."""
    whole, windows = both(3, number=3)
    drawn = WindowMasks(whole.masks, whole.height, whole.width)
    for masks in ([windows[:1], windows[1:]], [windows, whole], [whole, windows], [windows, drawn], [drawn, windows]):
        for kind in (WindowMasks, BitmapMasks):
            joined = kind.cat([copy.copy(each) for each in masks])
            assert in_windows(joined) is (kind is WindowMasks and all(in_windows(each) for each in masks))
            truth = np.concatenate([copy.copy(each).masks for each in masks])
            check_same(joined, BitmapMasks(truth, whole.height, whole.width))
    assert in_windows(windows)


def test_what_cannot_be_joined_is_refused():
    _, windows = both(3, number=3)
    small = WindowMasks.from_windows([(0, 0, 1, 1)], [np.ones((1, 1), np.uint8)], 1, 1)
    for refused, error in (([], "empty"), ([windows, small], "dimensions")):
        with pytest.raises(ValueError, match=error):
            WindowMasks.cat(copy.deepcopy(refused))
    for kind in (WindowMasks, BitmapMasks):
        with pytest.raises(AssertionError):
            kind.cat(each for each in [windows])


@pytest.mark.parametrize(("first", "second"), [(np.bool_, np.uint8), (np.uint8, np.int64), (np.bool_, np.float32)])
@pytest.mark.parametrize("numbers", [(2, 3), (0, 3), (2, 0)])
def test_joining_masks_of_several_dtypes(first, second, numbers):
    whole = [
        BitmapMasks(np.full((number, 4, 5), 200, dtype), 4, 5)
        for number, dtype in zip(numbers, (first, second), strict=True)
    ]
    windows = [WindowMasks.from_windows([(0, 0, 5, 4)] * len(each), list(each.masks), 4, 5) for each in whole]
    check_same(WindowMasks.cat(windows), BitmapMasks.cat(whole))


def test_assignment_replaces_the_masks():
    """As `CopyPaste` covers masks."""
    whole, windows = both(5, number=3)
    for masks in (whole, windows):
        masks.masks = np.where(np.arange(masks.width) % 2, 0, masks.masks)
    check_same(windows, whole)
    np.testing.assert_array_equal(windows.areas, whole.areas)
    windows.masks[:] = 1
    assert windows.areas.tolist() == [whole.height * whole.width] * 3


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda masks: pickle.loads(pickle.dumps(masks))])
def test_copies(copied):
    whole, windows = both(6, number=4)
    found = copied(windows)
    assert in_windows(found)
    assert in_windows(windows)
    check_same(found, whole)
    check_same(copied(windows), whole)


def test_windows_are_what_is_sent_between_processes():
    part = np.ones((10, 10), np.uint8)
    masks = WindowMasks.from_windows([(0, 0, 10, 10)] * 20, [part.copy() for _ in range(20)], 1024, 1024)
    assert len(pickle.dumps(masks)) < 20 * (part.size + 500)


def test_instances_of_a_sample():
    whole, windows = both(8, number=4)
    found, truth = (InstanceData(masks=masks, labels=torch.arange(4)) for masks in (windows, whole))
    for index in (2, slice(1, 3), torch.tensor([True, False, True, False]), torch.tensor([3, 0])):
        assert in_windows(found[index].masks)
        check_same(found[index].masks, truth[index].masks)


@pytest.mark.parametrize(
    ("window", "shape"),
    [((0, 0, 5, 4), (4, 4)), ((-1, 0, 4, 4), (4, 5)), ((8, 0, 12, 4), (4, 4)), ((4, 0, 2, 4), (4, 2))],
)
def test_windows_that_do_not_fit_are_refused(window, shape):
    with pytest.raises(ValueError, match="must fill its window"):
        WindowMasks.from_windows([window], [np.ones(shape, np.uint8)], 10, 10)


def test_parts_of_several_dtypes_are_refused():
    parts = [np.ones((1, 1), kind) for kind in (np.uint8, np.int64)]
    with pytest.raises(ValueError, match="one dtype, but got int64 and uint8"):
        WindowMasks.from_windows([(0, 0, 1, 1)] * 2, parts, 10, 10)


def test_number_of_parts_is_checked():
    with pytest.raises(ValueError, match="zip"):
        WindowMasks.from_windows([(0, 0, 1, 1)] * 2, [np.ones((1, 1), np.uint8)], 10, 10)
