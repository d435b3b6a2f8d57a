"""Every config loads; every model builds at full size without memory; its shrunk form makes a step."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.visits import Draws

CONFIGS = Path(__file__).parents[1] / "configs"
ALL = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.py"))
SALIENCY = sorted(path.name for path in CONFIGS.glob("sod_*.py"))
WITHOUT_WEIGHTS = {
    "model.backbone.pretrained": False,
    "model.codec.pretrained": None,
    "model.decode_head.unet.pretrained": None,
}


def saliency_model(name: str) -> Config:
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    options = WITHOUT_WEIGHTS if config.model.codec.type == "StableDiffusionVAE" else {}
    config.merge_from_dict(options)
    return config.model


@pytest.mark.parametrize("name", ALL)
def test_config_loads(name):
    assert len(Config.fromfile(CONFIGS / name))


def test_full_size_is_that_of_the_paper():
    with torch.device("meta"):
        model = MODELS.build(saliency_model("sod_diffusion_swinb.py"))
    unet = model.decode_head.denoiser.unet
    # 866 million parameters of Stable Diffusion 2's U-Net, with four more input channels.
    scales = sum(p.numel() for name, p in unet.named_parameters() if "position_scale" in name)
    assert sum(p.numel() for p in unet.parameters()) - scales == 865_910_724 + 4 * 320 * 9
    assert sum(p.numel() for p in model.codec.parameters()) == 83_653_863
    assert model.backbone.out_channels == (256, 512, 1024)


@pytest.mark.parametrize("name", SALIENCY)
def test_shrunk_model_makes_a_step(name):
    model = saliency_model(name)
    model.backbone.update(
        model_name="swin_tiny_patch4_window7_224", img_size=64, embed_dim=16, depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2), window_size=2,
    )  # fmt: skip
    unet = model.decode_head.unet.architecture
    unet.update(block_out_channels=[16] * len(unet.block_out_channels), norm_num_groups=4, cross_attention_dim=16)
    unet.update(attention_head_dim=[2] * len(unet.block_out_channels))
    if "architecture" in model.codec:
        model.codec.architecture.update(block_out_channels=[8] * 4, norm_num_groups=4)
    model = MODELS.build(model)
    model.draws = Draws(0)
    sample = SegDataSample(
        metainfo=dict(sample_idx=0, ori_shape=(64, 64)), gt_saliency=PixelData(data=torch.ones(1, 64, 64))
    )
    losses = model.loss(torch.rand(1, 3, 64, 64), [sample])
    sum(losses.values()).backward()
    # The last block's context reaches the output only through what it adds; every trained part has a gradient.
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    model.test_cfg.update(steps=2, ensemble=1)
    with torch.no_grad():
        predicted = model.eval().predict(torch.rand(1, 3, 64, 64))[0].pred_saliency.data
    assert predicted.shape == (1, 64, 64)
