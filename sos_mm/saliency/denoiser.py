"""The U-Net that denoises mask latents, given image latents beside them."""

import torch
from diffusers import UNet2DConditionModel
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from sos_mm.saliency.pretrained import load_pretrained


@MODELS.register_module()
class LatentDenoiser(BaseModule):
    """A U-Net of Stable Diffusion whose input is the image's latent and the noisy mask's, concatenated.

    Args:
        pretrained: Folder (diffusers' layout) or hub id of the base model; None for random weights. Its
            first convolution, made for one latent, is duplicated over both and halved, so that the first
            step starts from the activations the rest was trained on.
        architecture: Arguments of ``diffusers.UNet2DConditionModel`` where ``pretrained`` is None.
        checkpoint: Whether to trade time for memory in training (gradient checkpointing).
    """

    def __init__(self, pretrained: str | None, architecture: dict | None = None, checkpoint: bool = False):
        super().__init__()
        if pretrained is not None:
            self.unet = load_pretrained(UNet2DConditionModel, pretrained, "unet")
        else:
            self.unet = UNet2DConditionModel(**(architecture or {}))
        if self.unet.config.in_channels == self.unet.config.out_channels:
            widen_input(self.unet)
        if self.unet.config.in_channels != 2 * self.unet.config.out_channels:
            channels = f"{self.unet.config.in_channels} and {self.unet.config.out_channels}"
            raise ValueError(f"The U-Net must take one or two latents and give one, but its channels are {channels}.")
        if checkpoint:
            self.unet.enable_gradient_checkpointing()

    @property
    def latent_channels(self) -> int:
        """Channels of one latent."""
        return self.unet.config.out_channels

    @property
    def context_channels(self) -> int:
        """Channels of the cross-attention context."""
        return self.unet.config.cross_attention_dim

    @property
    def levels(self) -> int:
        """Resolutions that the U-Net works at."""
        return len(self.unet.config.block_out_channels)

    def forward(self, image_latent: Tensor, noisy_latent: Tensor, timesteps: Tensor, context: tuple) -> Tensor:
        """Two latents (B, C, h, w), timesteps (B,) or (), contexts of all levels -> prediction (B, C, h, w)."""
        stacked = torch.cat([image_latent, noisy_latent], 1)
        return self.unet(stacked, timesteps, encoder_hidden_states=context, return_dict=False)[0]


def widen_input(unet: UNet2DConditionModel) -> None:
    """Doubles the input channels of a U-Net: the first kernel is duplicated over both latents and halved."""
    old = unet.conv_in
    new = nn.Conv2d(2 * old.in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        new.weight.copy_(old.weight.repeat(1, 2, 1, 1) / 2)
        new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=new.in_channels)
