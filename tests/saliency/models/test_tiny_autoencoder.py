"""The tiny autoencoder's codec against diffusers' own pipelines with the same autoencoder in their VAE's place."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxImg2ImgPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusionImg2ImgPipeline,
    UNet2DConditionModel,
)
from mmengine.registry import MODELS

from sos_mm.saliency import TinyAutoencoder
from tests.helpers.requirements import needs_flux
from tests.saliency.conftest import UNET, VAE, small_config

SMALL = dict(encoder_block_out_channels=[8] * 4, decoder_block_out_channels=[8] * 4)
# The published ones have a factor of 1 and a shift of 0; others do not, and show what is done with them.
TAESD = SMALL
SCALED = SMALL | dict(scaling_factor=0.25)
TAESD3 = SMALL | dict(latent_channels=16, scaling_factor=1.5305, shift_factor=0.0609)
TAEF1 = SMALL | dict(latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159)


def save_autoencoder(folder: Path, architecture: dict) -> str:
    """A folder in diffusers' layout of a tiny autoencoder with random weights."""
    torch.manual_seed(0)
    AutoencoderTiny(**architecture).save_pretrained(folder)
    return str(folder)


def stable_diffusion(vae: AutoencoderTiny):
    """Stable Diffusion's image to image, and the arguments that its text encoder would give."""
    parts = dict(
        unet=UNet2DConditionModel(**UNET),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
    )
    pipeline = StableDiffusionImg2ImgPipeline(
        vae, text_encoder=None, tokenizer=None, feature_extractor=None, requires_safety_checker=False, **parts
    )
    return pipeline, dict(prompt_embeds=torch.rand(1, 4, 32), guidance_scale=1.0)


def stable_diffusion_3(vae: AutoencoderTiny):
    """Stable Diffusion 3's, likewise."""
    transformer = SD3Transformer2DModel(
        sample_size=4, patch_size=1, in_channels=16, out_channels=16, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, caption_projection_dim=16, joint_attention_dim=16, pooled_projection_dim=16,
    )  # fmt: skip
    without = dict.fromkeys(f"{part}{number}" for part in ("text_encoder", "tokenizer") for number in ("", "_2", "_3"))
    scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline = StableDiffusion3Img2ImgPipeline(transformer=transformer, scheduler=scheduler, vae=vae, **without)
    words = dict(prompt_embeds=torch.rand(1, 4, 16), pooled_prompt_embeds=torch.rand(1, 16), guidance_scale=1.0)
    return pipeline, words


def flux(vae: AutoencoderTiny):
    """FLUX.1's, likewise."""
    transformer = FluxTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 4, 8],
    )  # fmt: skip
    without = dict.fromkeys(f"{part}{number}" for part in ("text_encoder", "tokenizer") for number in ("", "_2"))
    scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline = FluxImg2ImgPipeline(transformer=transformer, scheduler=scheduler, vae=vae, **without)
    return pipeline, dict(prompt_embeds=torch.rand(1, 4, 16), pooled_prompt_embeds=torch.rand(1, 16))


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        (TAESD, stable_diffusion),
        (SCALED, stable_diffusion),
        (TAESD3, stable_diffusion_3),
        pytest.param(TAEF1, flux, marks=needs_flux),
    ],
)
def test_latents_and_images_are_those_of_the_pipelines(architecture, family, tmp_path, monkeypatch):
    """With no noise added, the latent that a pipeline starts from is the image's; its image is the last latent's."""
    folder = save_autoencoder(tmp_path / "tiny", architecture)
    pipeline, words = family(AutoencoderTiny.from_pretrained(folder))
    pipeline.set_progress_bar_config(disable=True)
    noiseless = "add_noise" if family is stable_diffusion else "scale_noise"
    monkeypatch.setattr(pipeline.scheduler, noiseless, lambda latent, *rest: latent)
    seen = {}
    start = pipeline.prepare_latents

    def watched(*args, **kwargs):
        made = start(*args, **kwargs)
        seen["first"] = made[0] if isinstance(made, tuple) else made
        return made

    monkeypatch.setattr(pipeline, "prepare_latents", watched)

    def keep(pipeline, step, timestep, tensors):
        seen["last"] = tensors["latents"]
        return {}

    torch.manual_seed(1)
    image = torch.rand(1, 3, 64, 64)
    settings = dict(strength=1.0, num_inference_steps=1, output_type="pt", callback_on_step_end=keep, **words)
    if family is not stable_diffusion:
        settings.update(height=64, width=64)
    expected = pipeline(image=image, **settings).images

    def unpacked(latent):
        return pipeline._unpack_latents(latent, 64, 64, pipeline.vae_scale_factor) if family is flux else latent

    codec = TinyAutoencoder(pretrained=folder)
    latent = codec.encode(image * 2 - 1)
    assert latent.shape == (1, codec.latent_channels, 8, 8)
    torch.testing.assert_close(latent, unpacked(seen["first"]))
    assert not torch.allclose(seen["first"], seen["last"], atol=1e-2)
    decoded = (codec.decode(unpacked(seen["last"])) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(decoded, expected)
    assert decoded.std() > 0.01


def test_codec_is_frozen_exact_under_autocast_and_differentiable_in_the_latents(tmp_path):
    folder = save_autoencoder(tmp_path / "tiny", SCALED)
    codec = TinyAutoencoder(pretrained=folder).train()
    reference = AutoencoderTiny.from_pretrained(folder)
    image = torch.rand(2, 3, 32, 48) * 2 - 1
    latent = codec.encode(image)
    assert (codec.stride, codec.latent_channels, tuple(latent.shape)) == (8, 4, (2, 4, 4, 6))
    torch.testing.assert_close(latent, 0.25 * reference.encoder.layers((image + 1) / 2).detach())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.encode(image), latent)
    assert not any(parameter.requires_grad for parameter in codec.parameters())
    assert not codec.vae.training
    latent.requires_grad_()
    codec.decode(latent).sum().backward()
    assert latent.grad.abs().sum() > 0


def test_random_weights_are_of_the_published_architecture():
    with torch.device("meta"):
        codec = TinyAutoencoder(pretrained=None)
    # TAESD's encoder and decoder, 1,222,532 and 1,222,531 parameters, as its repository has them.
    assert [sum(p.numel() for p in part.parameters()) for part in (codec.vae.encoder, codec.vae.decoder)] == [
        1_222_532,
        1_222_531,
    ]
    assert (codec.stride, codec.latent_channels, codec.scaling_factor, codec.shift_factor) == (8, 4, 1.0, 0.0)


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)AutoencoderTiny .*nowhere.*hf download madebyollin/taesd "):
        TinyAutoencoder(pretrained=str(tmp_path / "nowhere"))


def test_a_file_is_refused_with_the_remedy(tmp_path):
    folder = save_autoencoder(tmp_path / "tiny", SMALL)
    with pytest.raises(ValueError, match=r"must be a folder .* is a file: name its folder"):
        TinyAutoencoder(pretrained=f"{folder}/diffusion_pytorch_model.safetensors")


def test_weights_of_another_class_are_refused(tmp_path):
    """diffusers only warns, and leaves all parameters at random."""
    AutoencoderKL(**VAE).save_pretrained(tmp_path / "vae")
    with pytest.raises(ValueError, match=r"are not of a AutoencoderTiny: \d+ parts are missing or unknown"):
        TinyAutoencoder(pretrained=str(tmp_path / "vae"))


def test_weights_of_another_architecture_are_refused(tmp_path):
    folder = save_autoencoder(tmp_path / "tiny", SMALL)
    config = json.loads(Path(folder, "config.json").read_text())
    Path(folder, "config.json").write_text(json.dumps(config | dict(latent_channels=16)))
    with pytest.raises(ValueError, match=r"architecture in its config\.json: .*encoder\.layers\.14\.weight"):
        TinyAutoencoder(pretrained=folder)


def test_encoder_and_decoder_of_different_strides_are_refused():
    with pytest.raises(ValueError, match="its encoder's is 8 and its decoder's 4"):
        TinyAutoencoder(None, SMALL | dict(decoder_block_out_channels=[8] * 3, num_decoder_blocks=[1] * 3))


def tiny_codec_model(data_root, tmp_path, architecture: dict, channels: int):
    """The small model with a tiny autoencoder and a U-Net of so many latent channels."""
    unet = "model.decode_head.unet.architecture"
    codec = dict(type="TinyAutoencoder", pretrained=save_autoencoder(tmp_path / "tiny", architecture))
    changes = {f"{unet}.in_channels": channels, f"{unet}.out_channels": channels}
    config = small_config(data_root, tmp_path, **changes)
    config.model.codec = codec
    return MODELS.build(config.model)


def test_latents_of_another_base_model_are_refused(data_root, tmp_path):
    with pytest.raises(ValueError, match="codec's 16 latent channels, but predicts 4: choose a codec"):
        tiny_codec_model(data_root, tmp_path, TAESD3, channels=4)


@pytest.mark.parametrize(("architecture", "channels"), [(TAESD, 4), (TAESD3, 16)])
def test_models_predict_with_it(data_root, tmp_path, architecture, channels):
    model = tiny_codec_model(data_root, tmp_path, architecture, channels).eval()
    with torch.no_grad():
        found = model.predict(torch.rand(1, 3, 64, 64))[0].pred_saliency.data
    assert found.shape == (1, 64, 64)
    assert found.isfinite().all()
