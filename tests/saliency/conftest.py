"""Small models made of the real classes, and small saliency data."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "configs"

UNET = dict(
    sample_size=8,
    in_channels=4,
    out_channels=4,
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    block_out_channels=[32, 64],
    layers_per_block=1,
    attention_head_dim=[2, 4],
    cross_attention_dim=32,
    norm_num_groups=8,
    use_linear_projection=True,
)
VAE = dict(
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    block_out_channels=[8, 8, 16, 16],
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=4,
)


@pytest.fixture(scope="session")
def base_model(tmp_path_factory) -> str:
    """A folder in the layout of a Stable Diffusion base model, with small random weights."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("base_model")
    torch.manual_seed(0)
    UNet2DConditionModel(**UNET).save_pretrained(folder / "unet")
    AutoencoderKL(**VAE).save_pretrained(folder / "vae")
    return str(folder)


def write_saliency_data(root: Path, number: int, height: int = 40, width: int = 48) -> Path:
    """Noise images with a bright rectangle each, and its mask."""
    rng = np.random.default_rng(number)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(number):
        image = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        y, x = rng.integers(4, 16, 2)
        mask[y : y + 16, x : x + 20] = 255
        image[mask > 0] += 120
        cv2.imwrite(str(root / "images" / f"{index}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
    return root


@pytest.fixture
def data_root(tmp_path) -> Path:
    return write_saliency_data(tmp_path / "data", 6)


# What makes configs/sod_diffusion/sod_diffusion_tiny.py small enough to be stepped in a second.
SMALL = {
    "model.backbone.img_size": 64,
    "model.backbone.embed_dim": 16,
    "model.backbone.window_size": 2,
    "model.decode_head.unet.architecture.block_out_channels": [16, 32],
    "model.decode_head.unet.architecture.norm_num_groups": 8,
    "model.decode_head.unet.architecture.attention_head_dim": [2, 2],
}


def small_config(data_root: Path, work_dir: Path, **options) -> Config:
    """The tiny config on small data, six images of 64 x 64, one epoch of three steps."""
    config = Config.fromfile(CONFIGS / "sod_diffusion/sod_diffusion_tiny.py")
    config.merge_from_dict(SMALL)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        config[loader].update(batch_size=2, num_workers=0, persistent_workers=False)
        # Serialising collects garbage, which takes seconds beside torch.
        config[loader].dataset.update(data_root=str(data_root), serialize_data=False)
        for step in config[loader].dataset.pipeline:
            if step.type == "ResizeSaliency":
                step.scale = (64, 64)
    config.merge_from_dict({"train_cfg.max_epochs": 1, "default_hooks.logger.interval": 1, "work_dir": str(work_dir)})
    config.merge_from_dict(options)
    return config


@pytest.fixture
def small_model(data_root, tmp_path):
    """The tiny model, made smaller, with draws as in a run of seed 0."""
    import torch

    from sos_mm.engine.randomness import RunRandomness

    torch.manual_seed(0)
    model = MODELS.build(small_config(data_root, tmp_path).model)
    model.draws = RunRandomness(0)
    return model.eval()
