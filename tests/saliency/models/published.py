"""The configs of the authors' released code and of the published form, made small."""

import math

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.engine.randomness import RunRandomness
from tests.configs.test_models import shrink
from tests.saliency.conftest import CONFIGS

RELEASED = "sod_diffusion/sod_diffusion_swinb_released.py"
PUBLISHED = "sod_diffusion/sod_diffusion_swinb_published.py"


def small_config(name: str) -> Config:
    """A shipped config with shrunk networks for images of 64 x 64."""
    config = Config.fromfile(CONFIGS / name)
    init_default_scope("mmseg")
    leave_out_pretrained(config.model)
    config.model = shrink(config.model)
    # Twice as wide as f, so that repeating its channels shows.
    config.model.decode_head.unet.architecture.cross_attention_dim = 128
    for pipeline in pipelines(config):
        for step in pipeline:
            if step.type == "ResizeSaliency":
                step.scale = (64, 64)
    return config


def pipelines(config: Config) -> list:
    return [config[f"{kind}_dataloader"].dataset.pipeline for kind in ("train", "val", "test")]


def small_model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(small_config(name).model)
    model.draws = RunRandomness(0)
    return model


def samples(number: int) -> list[SegDataSample]:
    masks = torch.zeros(number, 1, 64, 64)
    masks[..., 16:41, 20:51] = 1
    return [
        SegDataSample(
            metainfo=dict(sample_idx=i, img_path=f"/data/{i}.jpg", ori_shape=(64, 64)),
            gt_saliency=PixelData(data=masks[i]),
        )
        for i in range(number)
    ]


def signal_shares() -> np.ndarray:
    """What is left of the mask's variance at each of 1000 timesteps: betas are squares of evenly spaced numbers."""
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=np.float64) ** 2
    return np.cumprod(1 - betas)
