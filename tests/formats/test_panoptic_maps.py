"""Label maps as PNG files: the same bytes with the compiled loops and without, which OpenCV decodes to the ids."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.formats.panoptic import encode_map
from tests.helpers.numba import needs_numba, with_and_without

sides = st.integers(1, 50)


@needs_numba
@settings(max_examples=60, deadline=None)
@given(
    sides,
    st.integers(1, 110),
    st.sampled_from([(1, np.uint8), (255, np.uint8), (256, np.int32), (70_000, np.int32), (2**24 - 1, np.int32)]),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_label_maps(height, width, kind, share, seed):
    """Of some maps most rows are like those above. OpenCV checks the checksums."""
    rng, (largest, dtype) = np.random.default_rng(seed), kind
    ids = rng.integers(0, largest, (height, width), dtype, endpoint=True)
    ids[1:][rng.random(height - 1) < share] = ids[0]
    fast, plain = with_and_without(lambda: encode_map(ids))
    assert fast == plain
    blue, green, red = cv2.split(cv2.imdecode(np.frombuffer(fast, np.uint8), cv2.IMREAD_COLOR).astype(np.int32))
    np.testing.assert_array_equal(red + 256 * green + 65536 * blue, ids)
