"""Masks of run lengths and polygons, against pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.checks import FaultyInputError
from sos_mm.formats.rle import compress, decode_mask, decode_window, decompress, encode_mask, unpack_window
from tests.helpers.numba import needs_numba, with_and_without, without_numba

tools = pytest.importorskip("pycocotools.mask")
sides = st.integers(1, 60)


@given(sides, sides, st.floats(0, 1), st.integers(0, 2**32))
def test_run_lengths(height, width, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    encoded = tools.encode(np.asfortranarray(mask.view(np.uint8)))
    counts = encoded["counts"].decode()
    np.testing.assert_array_equal(decode_mask({"size": [height, width], "counts": counts}, mask.shape, "it"), mask)
    lengths = decompress([counts])[0]
    assert compress([lengths]) == [counts]
    plain = {"size": [height, width], "counts": lengths.tolist()}
    np.testing.assert_array_equal(decode_mask(plain, mask.shape, "it"), mask)


@given(sides, sides, st.integers(0, 20), st.integers(0, 20), st.floats(0, 1), st.integers(0, 2**32))
def test_masks_in_windows(height, width, room_above, room_beside, share, seed):
    """With the compiled loops, if numba is installed, and without: as pycocotools encodes the full mask."""
    rng = np.random.default_rng(seed)
    window = rng.random((height, width)) < share
    y, x = int(rng.integers(room_above + 1)), int(rng.integers(room_beside + 1))
    mask = np.zeros((height + room_above, width + room_beside), np.uint8, order="F")
    mask[y : y + height, x : x + width] = window
    expected = {"size": list(mask.shape), "counts": tools.encode(mask)["counts"].decode()}
    assert encode_mask(window, (x, y), mask.shape) == expected
    with without_numba():
        assert encode_mask(window, (x, y), mask.shape) == expected


@needs_numba
@given(sides, sides, st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]), st.integers(0, 2**32))
def test_masks_are_decoded_in_their_box(height, width, share, seed):
    """With the compiled loops and without: all pixels that pycocotools decodes, and no empty row or column around."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8, order="F")
    y, x = int(rng.integers(height)), int(rng.integers(width))
    mask[y : y + rng.integers(1, 61), x : x + rng.integers(1, 61)] = 1
    mask &= rng.random(mask.shape) < share
    packed = tools.encode(mask)
    for counts in (packed["counts"], packed["counts"].decode()):
        for window in with_and_without(lambda counts=counts: unpack_window(packed | {"counts": counts}, "it")):
            whole = np.zeros_like(mask)
            whole[window.part] = window.mask
            np.testing.assert_array_equal(whole, mask)
            if mask.any():
                borders = (window.mask[0], window.mask[-1], window.mask[:, 0], window.mask[:, -1])
                assert all(border.any() for border in borders)
            else:
                assert (window.mask.shape, window.x, window.y) == ((0, 0), 0, 0)


@needs_numba
@settings(max_examples=300)
@given(sides, sides, st.one_of(st.binary(max_size=40), st.lists(st.integers(48, 111), max_size=40).map(bytes)))
def test_any_run_lengths_are_decoded_or_refused(height, width, counts):
    """Those that add up become the mask that pycocotools decodes; memory outside the mask is never touched."""
    try:
        lengths = decompress([counts.decode("latin-1")])[0]
        adds_up = lengths.min() >= 0 and lengths.sum() == height * width
    except (TypeError, ValueError, OverflowError):
        adds_up = False
    packed = {"size": [height, width], "counts": counts}
    if not adds_up:
        with pytest.raises(FaultyInputError, match=f"it must add up to {height * width} pixels"):
            unpack_window(packed, "it")
        return
    window, whole = unpack_window(packed, "it"), np.zeros((height, width), np.uint8)
    whole[window.part] = window.mask
    np.testing.assert_array_equal(whole, tools.decode(packed))


@needs_numba
@pytest.mark.parametrize("place", [0, 1, 6, 7, 8, 35, 36, 41, 42])
@pytest.mark.parametrize("inside", [False, True])
def test_runs_of_length_zero_have_no_place_in_the_box(place, inside):
    """One of them between any two pixels of a 6x7 mask, which is a pixel in its middle, or empty."""
    (first, one), (second, other) = sorted([(place, 0), (20, int(inside))])
    lengths = np.array([first, one, second - first - one, other, 42 - second - other])
    packed = {"size": [6, 7], "counts": compress([lengths])[0]}
    for window in with_and_without(lambda: unpack_window(packed, "it")):
        assert (window.mask.tolist(), window.x, window.y) == (([[1]], 3, 2) if inside else ([], 0, 0))


# A run of 713 pixels, the whole of a 23x31 mask, without a pixel inside.
WHOLE = compress([np.array([713])])[0]


@needs_numba
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(chr(ord(WHOLE[0]) - 64) + WHOLE[1:], id="before the first character"),
        pytest.param(chr(ord(WHOLE[0]) + 64) + WHOLE[1:], id="after the last"),
        pytest.param(WHOLE + "P", id="goes on"),
        pytest.param(WHOLE[:-1] + chr(ord(WHOLE[-1]) + 32) + "P" * 9 + "0", id="too long"),
        pytest.param(compress([np.array([720, -7])])[0], id="below zero"),
        pytest.param(compress([np.array([0, 720, -7])])[0], id="below zero inside"),
        pytest.param(compress([np.array([-7, 720])])[0], id="starts below zero"),
        pytest.param(compress([np.array([2**40, 713 - 2**40])])[0], id="huge"),
    ],
)
def test_strings_that_are_no_run_lengths_are_refused(counts):
    """Each character and each run is checked, not only what they add up to."""
    assert unpack_window({"size": [23, 31], "counts": WHOLE}, "it").mask.size == 0
    with pytest.raises(FaultyInputError, match="it must add up to 713 pixels"):
        unpack_window({"size": [23, 31], "counts": counts.encode("latin-1")}, "it")


@given(st.lists(st.integers(0, 2**33), min_size=1, max_size=20))
def test_long_runs(lengths):
    np.testing.assert_array_equal(decompress(compress([np.array(lengths, np.int64)]))[0], lengths)


# Corners inside and outside, also halfway between pixels, where rounding decides.
corners = st.one_of(st.floats(-20, 80), st.integers(-20, 80), st.integers(-40, 160).map(lambda value: value / 2))


@settings(max_examples=400)
@given(sides, sides, st.lists(st.lists(st.tuples(corners, corners), min_size=3, max_size=9), min_size=1, max_size=3))
def test_polygons(height, width, polygons):
    flat = [[float(value) for corner in polygon for value in corner] for polygon in polygons]
    encoded = tools.frPyObjects(flat, height, width)
    expected = tools.decode(tools.merge(encoded))
    np.testing.assert_array_equal(decode_mask(flat, (height, width), "it"), expected)
    if expected.any():
        window = decode_window(flat, (height, width), "it")
        assert (window.x, window.y) == (expected.any(0).argmax(), expected.any(1).argmax())
        np.testing.assert_array_equal(window.mask, expected[window.part])
        assert window.mask.sum() == expected.sum()


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        ({"size": [4, 5], "counts": "0"}, r"object 3 .*image of \[4, 5\]"),
        ({"size": [5, 4], "counts": "\x01"}, "object 3 cannot be read"),
        ({"size": [5, 4], "counts": ""}, "object 3 cannot be read"),
        ({"size": [5, 4], "counts": "P"}, "object 3 cannot be read"),
        ({"size": [5, 4], "counts": [7, 12]}, "object 3 must add up to 20 pixels"),
        ({"size": [5, 4], "counts": [30, -10]}, "object 3 must add up"),
        ({"size": [5, 4], "counts": {}}, "object 3 cannot be read"),
        ([[1, 2, 3, 4]], "object 3 must be polygons"),
        ("somewhere", "object 3 must be polygons"),
    ],
)
def test_faulty_outlines_are_named(outline, said):
    with pytest.raises(ValueError, match=said):
        decode_mask(outline, (5, 4), "object 3")
