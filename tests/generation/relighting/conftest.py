"""The small models are saved once for all tests of relighting."""

import cv2
import numpy as np
import pytest

from tests.generation.relighting.models import make_base, save_offsets


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Arguments of `ICLightRelighter`: the small models, and few steps."""
    folder = tmp_path_factory.mktemp("weights")
    base, offsets = make_base(folder / "base"), save_offsets(folder / "iclight_sd15_fc.safetensors")
    return {"base": str(base), "offsets": str(offsets), "steps": 2, "added_prompt": "", "device": "cpu"}


@pytest.fixture(scope="session")
def scenes():
    """Four pairs of an image with a disc and the disc's soft alpha."""
    rng = np.random.default_rng(3)
    pairs = []
    for place in range(4):
        image = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        alpha = np.zeros((64, 64), np.uint8)
        cv2.circle(alpha, (20 + 6 * place, 30), 14, 255, -1)
        pairs.append((image, cv2.GaussianBlur(alpha, (5, 5), 0)))
    return pairs
