"""Encoder, fusion, AFIM, denoiser and codec, against timm and diffusers themselves."""

import pytest
import timm
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from sos_mm.saliency import (
    AttentionFeatureInteraction,
    CBAMFusion,
    LatentDenoiser,
    SalientEncoder,
    SpaceToDepthCodec,
    StableDiffusionVAE,
)
from sos_mm.saliency.models.afim import Context, ContextAttention, grid_positions

SWIN = dict(embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=2, img_size=64)


@pytest.mark.parametrize(("name", "options"), [("swin_tiny_patch4_window7_224", SWIN), ("resnet10t", {})])
def test_encoder_gives_the_maps_of_timm_channels_first(name, options):
    encoder = SalientEncoder(name, out_indices=(1, 2, 3), **options).eval()
    image = torch.rand(2, 3, 64, 64)
    maps = encoder(image)
    assert [m.shape[1] for m in maps] == list(encoder.out_channels)
    mean, std = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
    normalised = torch.stack([(image[:, c] - mean[c]) / std[c] for c in range(3)], 1)
    for ours, theirs in zip(maps, encoder.timm_model(normalised), strict=True):
        theirs = theirs if theirs.shape[1] == ours.shape[1] else theirs.permute(0, 3, 1, 2)
        torch.testing.assert_close(ours, theirs)


def test_an_encoder_whose_features_do_not_name_their_format_has_its_own_statistics():
    encoder = SalientEncoder("tf_efficientnet_lite0", out_indices=(2, 3, 4)).eval()
    assert not hasattr(encoder.timm_model, "output_fmt")
    image = torch.rand(1, 3, 64, 64)
    maps = encoder(image)
    assert [tuple(m.shape[1:]) for m in maps] == [(40, 8, 8), (112, 4, 4), (320, 2, 2)]
    for ours, theirs in zip(maps, encoder.timm_model(image * 2 - 1), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_swin_strides():
    maps = SalientEncoder("swin_tiny_patch4_window7_224", **SWIN).eval()(torch.rand(1, 3, 64, 64))
    assert [tuple(m.shape[-2:]) for m in maps] == [(8, 8), (4, 4), (2, 2)]


def test_maps_as_high_as_they_have_channels_are_turned_too():
    encoder = SalientEncoder("swin_tiny_patch4_window7_224", out_indices=(1,), **SWIN | {"img_size": 256}).eval()
    image = torch.rand(1, 3, 256, 256)
    (ours,), (theirs,) = encoder(image), encoder.timm_model((image - encoder.mean) / encoder.std)
    assert ours.shape == (1, 32, 32, 32)
    torch.testing.assert_close(ours, theirs.permute(0, 3, 1, 2))


def test_encoder_without_weights_says_how_to_get_them(no_hub):
    with pytest.raises(RuntimeError, match=r"hf download timm/resnet10t\.c3_in1k model.*pretrained=False"):
        SalientEncoder("resnet10t", pretrained="/nowhere/model.safetensors")


def test_fusion_gives_a_pyramid_of_halving_maps():
    neck = CBAMFusion(in_channels=(8, 16, 32), out_channels=16, levels=4)
    features = neck([torch.rand(2, c, s, s) for c, s in ((8, 16), (16, 8), (32, 4))])
    assert [tuple(m.shape) for m in features.pyramid] == [(2, 16, s, s) for s in (16, 8, 4, 2)]
    assert features.f is features.pyramid[0]


def test_level_attention_without_positions_is_that_of_diffusers():
    torch.manual_seed(0)
    layer = Attention(query_dim=16, cross_attention_dim=12, heads=2, dim_head=8)
    processor = ContextAttention(level=1, index=0, positions=True)
    torch.nn.init.zeros_(processor.position_scale)
    hidden, context = torch.rand(2, 12, 16), torch.rand(2, 12, 3, 4)
    ours = processor(layer, hidden, Context((None, context)))
    theirs = AttnProcessor2_0()(layer, hidden, context.flatten(2).transpose(1, 2))
    torch.testing.assert_close(ours, theirs)


def test_level_attention_refuses_another_grid():
    layer = Attention(query_dim=16, cross_attention_dim=12, heads=2, dim_head=8)
    with pytest.raises(ValueError, match="context is 3x4"):
        ContextAttention(0, 0, True)(layer, torch.rand(1, 9, 16), Context((torch.rand(1, 12, 3, 4),)))


def test_positions_are_nearest_to_themselves():
    positions = grid_positions(6, 5, 16, torch.device("cpu"))
    products = positions @ positions.T
    assert (products.argmax(1) == torch.arange(30)).all()


def test_afim_gives_every_cross_attention_the_context_of_its_level():
    unet = UNet2DConditionModel(
        sample_size=16,
        down_block_types=["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2,
        block_out_channels=[16, 16, 32],
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=8,
        norm_num_groups=4,
    )
    afim = AttentionFeatureInteraction(in_channels=4, context_channels=8, levels=3)
    afim.install(unet)
    levels = {
        name.split(".attentions")[0]: p.level for name, p in unet.named_modules() if isinstance(p, ContextAttention)
    }
    assert levels == {"down_blocks.0": 0, "down_blocks.1": 1, "mid_block": 2, "up_blocks.1": 1, "up_blocks.2": 0}
    context = afim(tuple(torch.rand(1, 4, s, s) for s in (16, 8, 4)))
    assert [tuple(c.shape) for c in context.maps] == [(1, 8, s, s) for s in (16, 8, 4)]
    image = torch.rand(1, 4, 16, 16)
    output = unet(image, 3, encoder_hidden_states=context).sample
    torch.testing.assert_close(unet(image, 3, encoder_hidden_states=context).sample, output)
    # Each level's context matters to the output.
    for level in range(3):
        other = tuple(c + (i == level) * torch.randn_like(c) for i, c in enumerate(context.maps))
        assert not torch.allclose(output, unet(image, 3, Context(other)).sample, atol=1e-6)


def test_widened_input_keeps_the_pretrained_activations(base_model):
    original = UNet2DConditionModel.from_pretrained(base_model, subfolder="unet")
    denoiser = LatentDenoiser(pretrained=base_model)
    assert denoiser.unet.config.in_channels == 8
    latent = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(denoiser.unet.conv_in(torch.cat([latent, latent], 1)), original.conv_in(latent))


@pytest.mark.parametrize("build", [LatentDenoiser, StableDiffusionVAE])
def test_missing_base_model_says_how_to_get_it(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)nowhere.*hf download"):
        build(pretrained=str(tmp_path / "nowhere"))


def test_pickled_weights_are_refused(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"weights\.bin is a file of another kind: convert"):
        StableDiffusionVAE(pretrained=str(path))


def test_vae_codec_is_that_of_diffusers(base_model):
    reference = AutoencoderKL.from_pretrained(base_model, subfolder="vae").eval()
    codec = StableDiffusionVAE(pretrained=base_model).train()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    latent = codec.encode(image)
    assert (latent.shape, codec.stride, codec.latent_channels) == ((2, 4, 4, 4), 8, 4)
    with torch.no_grad():
        torch.testing.assert_close(latent, reference.encode(image).latent_dist.mode() * 0.18215)
        torch.testing.assert_close(codec.decode(latent), reference.decode(latent / 0.18215).sample)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(codec.encode(image), latent)
    assert not any(p.requires_grad for p in codec.parameters())
    assert not codec.vae.training


def test_space_to_depth_is_lossless():
    codec = SpaceToDepthCodec(stride=4)
    image = torch.rand(2, 3, 16, 24)
    latent = codec.encode(image)
    assert latent.shape == (2, codec.latent_channels, 4, 6)
    assert torch.equal(codec.decode(latent), image)
