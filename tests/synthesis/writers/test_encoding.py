"""Encoders of masks and label maps against those that are known to be right, byte for byte where bytes matter."""

import hashlib
import io

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.formats.panoptic import ids_to_rgb
from sos_mm.formats.png import encode_png
from sos_mm.formats.rle import encode_mask, encode_masks


@st.composite
def windows(draw):
    """A canvas, a mask in a window of it, and where the window is; often along the border, empty or full."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom = draw(st.one_of(st.just(height), st.integers(top + 1, height)))
    right = draw(st.one_of(st.just(width), st.integers(left + 1, width)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    noise = cv2.blur(rng.random((bottom - top, right - left)), (draw(st.integers(1, 9)),) * 2)
    return (height, width), noise < draw(st.floats(0, 1)), (left, top)


@settings(max_examples=300)
@given(windows())
def test_run_lengths_are_those_of_pycocotools(window):
    mask_tools = pytest.importorskip("pycocotools.mask")
    canvas, mask, (left, top) = window
    whole = np.zeros(canvas, np.uint8, order="F")
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    expected = mask_tools.encode(whole)
    assert encode_mask(mask, (left, top), canvas) == {"size": list(canvas), "counts": expected["counts"].decode()}


def test_long_runs():
    """Numbers of one to six characters, on either side of each limit, and of both signs; and several masks at once."""
    mask_tools = pytest.importorskip("pycocotools.mask")
    canvas, masks = (4000, 4000), []
    for area in (15, 16, 511, 512, 16383, 16384, 524287, 524288, 15_999_999):
        flat = np.zeros(canvas[0] * canvas[1], bool)
        flat[7 : 7 + area] = True
        flat[8 : 8 + area : 900_000] = False
        masks.append(flat.reshape(canvas[::-1]).T)
    told = encode_masks([(mask, (0, 0)) for mask in masks], canvas)
    expected = [mask_tools.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode() for mask in masks]
    assert [each["counts"] for each in told] == expected
    assert encode_masks([], canvas) == []


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.sampled_from([256, 2**16, 2**24]))
def test_label_maps_keep_their_ids(seed, height, width, limit):
    """As panopticapi counts them, and as mmcv's readers of colour do."""
    ids = np.random.default_rng(seed).integers(0, limit, (height, width)).astype(np.int32)
    content = encode_png(ids_to_rgb(ids))
    pillow = np.array(PIL.Image.open(io.BytesIO(content)), np.uint32)
    np.testing.assert_array_equal(pillow @ np.array([1, 256, 65536], np.uint32), ids)
    color = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(np.int32)
    np.testing.assert_array_equal(color @ np.array([1, 256, 65536], np.int32), ids)
    np.testing.assert_array_equal(ids_to_rgb(ids[:, ::-1].astype(np.int64)), ids_to_rgb(ids)[:, ::-1])


def test_bytes_of_label_maps():
    """What level 1 of ISA-L made with and without AVX2 and AVX-512; level 3 made other bytes on each."""
    y, x = np.mgrid[:400, :400]
    ids = np.zeros((400, 400), np.int32)
    for number in range(12):
        ids[(y - 37 * number % 400) ** 2 + (x - 91 * number % 400) ** 2 < (10 + 7 * number) ** 2] = number + 1
    digest = hashlib.sha256(encode_png(ids_to_rgb(ids))).hexdigest()
    assert digest == "2eee1f1564cdb0884f6cdc42def108239241bcb8bb1ae28cae677adcc9021425"
