"""The arms of `photograph_saliency.py`: shipped configs in `saliency_study.py`'s tiny form, on pretrained parts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from saliency_study import CONFIGS, TINY
from taef2 import LATENT_CHANNELS


@dataclass(frozen=True)
class Arm:
    """A model to train.

    Attributes:
        about: What the tables say of it.
        config: The shipped config whose tiny form it is; None for the tiny config itself.
        options: What differs from it.
        compared: Whether it is trained with all seeds, or with the first alone.
        start: The arm whose trained encoder and fusion, of the same seed, it starts from.
    """

    about: str
    config: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    compared: bool = False
    start: str | None = None


CHANNELS = 64  # Of f, as at full size.
BRANCH = {"model.decode_head.decoder.in_channels": CHANNELS}
# F3Net's surroundings are 31 of 352 pixels.
PIXEL_LOSS = {"model.decode_head.loss_pixel.kernel": 17}
# A gradient through TAEF2's decoder takes four times as long as all else of a step.
LIGHT = {"model.mask_decoder": dict(type="MaskDecoder"), **PIXEL_LOSS}
ARMS = {
    "branch": Arm("branch alone", "sod_diffusion_swinb_branch.py", BRANCH | PIXEL_LOSS, compared=True),
    "one_step": Arm("one step, pixel loss, light decoder", "sod_diffusion_swinb_1step.py", LIGHT, compared=True),
    "full": Arm("full, 4 steps", compared=True),
    "plain_attention": Arm(
        "plain cross-attention for the AFIM", "sod_diffusion_swinb_plain_attention.py", compared=True
    ),
    "no_cbam": Arm("full without CBAM", "sod_diffusion_swinb_no_cbam.py"),
    "no_aux": Arm("full without auxiliary loss", "sod_diffusion_swinb_no_aux.py"),
    "no_encoder": Arm("full without a second encoder", "sod_diffusion_swinb_no_swin.py"),
    # Remedies: what may keep the diffusion below the branch.
    "one_step_from_branch": Arm(
        "one step, from the branch's encoder and fusion",
        "sod_diffusion_swinb_1step.py",
        LIGHT,
        compared=True,
        start="branch",
    ),
    "full_from_branch": Arm("full, from the branch's encoder and fusion", start="branch"),
    # Encoder and fusion have been trained as long as those of the remedies.
    "branch_from_branch": Arm(
        "branch alone, trained on",
        "sod_diffusion_swinb_branch.py",
        BRANCH | PIXEL_LOSS,
        compared=True,
        start="branch",
    ),
}

ENCODER = dict(
    _delete_=True,
    type="SalientEncoder",
    model_name="tf_efficientnet_lite0",
    pretrained=False,
    out_indices=(2, 3, 4),
)


def arm_config(name: str, configs: Path, weights: Path, latents: Path, pixels: int) -> Config:
    """Returns an arm's config, with neither data nor schedule.

    Args:
        name: The arm.
        configs: Folder of the configs' tiny forms.
        weights: Folder of the autoencoder's weights.
        latents: Folder of the latents that it has computed.
        pixels: Side of the images.
    """
    arm = ARMS[name]
    config = Config.fromfile(TINY if arm.config is None else configs / arm.config)
    if config.model.backbone is not None:
        config.merge_from_dict({"model.backbone": ENCODER, "model.neck.out_channels": CHANNELS})
    if config.model.codec is not None:
        codec = dict(type="Taef2Codec", weights=str(weights))
        # Stable Diffusion's schedule: the tiny config's is for the many channels of its lossless codec.
        schedule = Config.fromfile(CONFIGS.parent / "_base_/models/sod_diffusion_swinb.py").model.decode_head.scheduler
        architecture = dict(in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS)
        config.merge_from_dict(
            {
                "model.codec": dict(_delete_=True, type="RememberingCodec", codec=codec, folder=str(latents)),
                "model.decode_head.unet.architecture": architecture,
                "model.decode_head.scheduler": dict(_delete_=True, **schedule),
            }
        )
        if config.model.decode_head.afim is not None:
            config.model.decode_head.in_channels = CHANNELS
    config.merge_from_dict(arm.options)
    for loader in ("train_dataloader", "test_dataloader"):
        # A flipped image would have latents of its own, which take longer to compute than to compose another image.
        steps = [step for step in config[loader].dataset.pipeline if step.type != "FlipSaliency"]
        for step in steps:
            if step.type == "ResizeSaliency":
                step.scale = (pixels, pixels)
        config[loader].dataset.pipeline = steps
    return config
