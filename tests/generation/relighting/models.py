"""A small random pipeline of the kind of Stable Diffusion 1.5, saved by diffusers, and offsets for it."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from tests.helpers.pipelines import clip_text_model, clip_tokenizer

CHANNELS = {"fc": 8, "fbc": 12}


def make_unet(**options) -> UNet2DConditionModel:
    defaults = dict(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    return UNet2DConditionModel(**defaults | options).eval()


def make_base(folder: Path, seed: int = 0) -> Path:
    """Saves the pipeline into a folder; returns the folder."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = clip_tokenizer(folder / "tokenizer")
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=clip_text_model(tokenizer).eval(),
        tokenizer=tokenizer,
        unet=make_unet(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def make_offsets(variant: str = "fc", seed: int = 1, scale: float = 0.02) -> dict[str, torch.Tensor]:
    """Random offsets for the small U-Net, in float16 as the published ones are."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: each.shape for key, each in make_unet(in_channels=CHANNELS[variant]).state_dict().items()}
    return {key: (scale * torch.randn(shape, generator=generator)).half() for key, shape in shapes.items()}


def save_offsets(path: Path, variant: str = "fc") -> Path:
    save_file(make_offsets(variant), path)
    return path
