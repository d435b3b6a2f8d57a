"""Parity with the authors' released code: an ensemble's maps are stretched, reduced and resized as there.

The numbers come from their formulas (github.com/QuantumScriptHub/SOD-diffusion, commit 7960776), computed here by
numpy, by PIL and by diffusers' own U-Net, or by hand; nothing is computed by what is tested.
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from PIL import Image

from sos_mm.saliency import (
    LoadSaliencyImage,
    LoadSaliencyMask,
    ResizeSaliency,
)
from sos_mm.saliency.models.base_segmentor import resized
from sos_mm.saliency.models.settings import checked_test_cfg
from tests.saliency.conftest import CONFIGS
from tests.saliency.models.published import PUBLISHED, RELEASED, pipelines, small_model

# Three members of one row of four pixels. Stretched they are (0, 1, .25, .5), (0, .5, 1, .5), (.5, 0, 1, .25).
MEMBERS = torch.tensor([[0.2, 0.6, 0.3, 0.4], [0.0, 0.1, 0.2, 0.1], [0.7, 0.5, 0.9, 0.6]]).view(3, 1, 1, 4)


@pytest.mark.parametrize(
    ("stretch", "expected"),
    [
        (None, [0.2, 0.5, 0.3, 0.4]),
        (False, [0.2, 0.5, 0.3, 0.4]),
        ("result", [0.0, 1.0, 1 / 3, 2 / 3]),
        (True, [0.0, 1.0, 1 / 3, 2 / 3]),
        ("member", [0.0, 0.5, 1.0, 0.5]),
        ("released", [0.0, 0.5, 1.0, 0.5]),
    ],
)
def test_members_are_stretched_one_by_one_before_the_median(stretch, expected):
    assert filled(MEMBERS, stretch=stretch) == pytest.approx(expected, abs=1e-6)


def filled(members: torch.Tensor, size: tuple[int, int] = (1, 4), **settings) -> list[float]:
    """What is written of an ensemble's maps (members, 1, H, W)."""
    model = small_model(RELEASED)
    model.test_cfg = checked_test_cfg(dict(reduction="median", **settings))
    sample = SegDataSample(metainfo=dict(ori_shape=size))
    return model.fill(sample, members).pred_saliency.data.flatten().tolist()


def test_their_median_is_stretched_once_more():
    """Two members, (0, 1, .5) and (.5, 0, 1): the lower of each pair is (0, 0, .5), which is stretched to (0, 0, 1)."""
    members = torch.tensor([[0.2, 0.6, 0.4], [0.4, 0.3, 0.5]]).view(2, 1, 1, 3)
    assert filled(members, (1, 3), stretch="member") == pytest.approx([0, 0, 0.5], abs=1e-6)
    assert filled(members, (1, 3), stretch="released") == pytest.approx([0, 0, 1], abs=1e-6)
    constant = torch.full((2, 1, 1, 3), 0.4)
    assert filled(constant, (1, 3), stretch="released") == pytest.approx([0.4] * 3)


def test_ensemble_is_reduced_before_it_is_enlarged():
    expected = np.asarray(Image.fromarray(np.array([[0, 0.5, 1, 0.5]], np.float32)).resize((9, 3), Image.BICUBIC))
    found = filled(MEMBERS, (3, 9), stretch="released", upsampling="bicubic")
    np.testing.assert_allclose(found, expected.clip(0, 1).ravel(), atol=1e-5)


@pytest.mark.parametrize("stretch", ["members", 1.0, "median"])
def test_other_stretches_are_refused(stretch):
    with pytest.raises(ValueError, match=r"test_cfg\.stretch"):
        checked_test_cfg(dict(stretch=stretch))


# Height and width before and after: larger, smaller, and one of each.
SHAPES = [((40, 60), (64, 64)), ((600, 417), (384, 384)), ((384, 384), (333, 500)), ((5, 1), (9, 9))]


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_photographs_and_masks_are_resized_by_pil(tmp_path, before, after):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*before, 3), dtype=np.uint8)
    mask = rng.integers(0, 256, before, dtype=np.uint8)
    mask[0, 0] = 255
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    results = dict(img_path=str(tmp_path / "image.png"), mask_path=str(tmp_path / "mask.png"))
    results = LoadSaliencyMask()(LoadSaliencyImage()(results))
    results["aux"] = results["img"].copy()
    scale = after[::-1]
    results = ResizeSaliency(scale, keep_ratio=False, backend="pillow", interpolation="bicubic")(results)
    expected = np.asarray(Image.open(tmp_path / "image.png").resize(scale, Image.BICUBIC))
    assert np.array_equal(results["img"][..., ::-1], expected)
    assert np.array_equal(results["aux"], results["img"])
    grey = np.asarray(Image.open(tmp_path / "mask.png").resize(scale, Image.BICUBIC))
    assert results["gt_saliency"].dtype == np.float32
    np.testing.assert_array_equal(results["gt_saliency"], grey.astype(np.float32) / 255)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_maps_are_resized_as_by_pil(before, after, mode):
    saliency = np.random.default_rng(1).random(before, np.float32)
    expected = np.asarray(Image.fromarray(saliency).resize(after[::-1], getattr(Image, mode.upper())))
    maps = torch.from_numpy(saliency)[None, None]
    found = resized(maps, after, mode)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=5e-5)
    exact = resized(maps.double(), after, mode)[0, 0].numpy()
    np.testing.assert_allclose(exact, expected, atol=1e-6)


def test_shipped_configs_resize_by_pil_both_ways():
    for name in (RELEASED, PUBLISHED):
        config = Config.fromfile(CONFIGS / name)
        steps = [step for pipeline in pipelines(config) for step in pipeline if step.type == "ResizeSaliency"]
        assert len(steps) == 3
        wanted = dict(type="ResizeSaliency", scale=(384, 384), keep_ratio=False)
        assert all(step == dict(wanted, backend="pillow", interpolation="bicubic") for step in steps)
        assert config.model.test_cfg.upsampling == "bicubic"
        assert not any(step.type == "FlipSaliency" for pipeline in pipelines(config) for step in pipeline)
