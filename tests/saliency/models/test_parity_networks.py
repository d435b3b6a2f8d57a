"""Parity with the authors' released code: the encoder, the auxiliary target, the context and the widened input.

The numbers come from their formulas (github.com/QuantumScriptHub/SOD-diffusion, commit 7960776), computed here by
numpy, by PIL and by diffusers' own U-Net, or by hand; nothing is computed by what is tested.
"""

import pytest
import torch
from diffusers import UNet2DConditionModel
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.saliency import (
    LatentDenoiser,
    PlainCrossAttention,
)
from tests.configs.test_models import shrink
from tests.saliency.conftest import CONFIGS
from tests.saliency.models.published import PUBLISHED, RELEASED, small_config, small_model


def test_auxiliary_target_lies_between_the_four_middle_pixels():
    """Bilinear by a factor of 1/8, without antialiasing."""
    model = small_model(RELEASED)
    head, features = model.decode_head, model.extract_feat(torch.rand(2, 3, 64, 64))
    mask = torch.rand(2, 1, 64, 64).repeat(1, 3, 1, 1) * 2 - 1
    middle = sum(mask[..., 3 + i :: 8, 3 + j :: 8] for i in (0, 1) for j in (0, 1)) / 4
    assert head.aux_target == "bilinear"
    for kind, target in (("bilinear", middle), ("area", functional.avg_pool2d(mask, 8))):
        head.aux_target = kind
        found = head.auxiliary_loss(features, mask)["loss_aux"]
        torch.testing.assert_close(found, ((head.auxiliary(features.f) - target) ** 2).mean())


@pytest.mark.parametrize("name", [RELEASED, PUBLISHED])
def test_drop_path_grows_to_a_fifth(name):
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    leave_out_pretrained(config.model)
    with torch.device("meta"):
        backbone = MODELS.build(config.model.backbone)
    paths = [module for module in backbone.modules() if hasattr(module, "drop_path1")]
    # 24 blocks; the first, whose rate is 0, has nothing to drop.
    rates = [getattr(path.drop_path1, "drop_prob", 0.0) for path in paths]
    assert rates == pytest.approx([0.2 * index / 23 for index in range(24)])


def test_context_repeats_64_channels_to_1024():
    config = Config.fromfile(CONFIGS / RELEASED).model.decode_head
    options = {key: value for key, value in config.afim.items() if key != "type"}
    width = config.unet.architecture.cross_attention_dim
    module = PlainCrossAttention(config.in_channels, width, levels=4, **options)
    f = torch.rand(2, 64, 48, 48)
    (context,) = module((f,)).maps
    assert context.shape == (2, 1024, 48, 48)
    for channel in (0, 63, 64, 700, 1023):
        assert torch.equal(context[:, channel], f[:, channel % 64])
    assert [module.level(level) for level in range(4)] == [0] * 4


def test_widened_input_keeps_its_bias(tmp_path):
    architecture = shrink(small_config(RELEASED).model).decode_head.unet.architecture
    torch.manual_seed(0)
    original = UNet2DConditionModel(**architecture)
    torch.nn.init.normal_(original.conv_in.bias)
    original.save_pretrained(tmp_path / "unet")
    widen = Config.fromfile(CONFIGS / RELEASED).model.decode_head.unet.widen
    widened = LatentDenoiser(str(tmp_path), widen=widen).unet.conv_in
    assert torch.equal(widened.bias, original.conv_in.bias)
    assert widened.weight.shape == (16, 8, 3, 3)
    assert not torch.isclose(widened.weight[:, :4], original.conv_in.weight / 2).any()
    # The published form fixes this: the kernel over both latents, halved.
    fixed = LatentDenoiser(str(tmp_path)).unet.conv_in
    torch.testing.assert_close(fixed.weight, torch.cat([original.conv_in.weight / 2] * 2, 1))
