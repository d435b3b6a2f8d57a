"""Outlines of masks give their pixels back, as pycocotools fills them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition.outlines import outlines


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_outlines_give_the_pixels_back(seed, height, width):
    mask_tools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), float(rng.uniform(0.2, 3)))
    mask = noise > np.quantile(noise, rng.uniform(0.1, 0.95))
    polygons = [polygon.tolist() for polygon in outlines(mask)]
    if not mask.any():
        assert not polygons
        return
    decoded = mask_tools.decode(mask_tools.merge(mask_tools.frPyObjects(polygons, height, width)))
    np.testing.assert_array_equal(decoded > 0, mask)
