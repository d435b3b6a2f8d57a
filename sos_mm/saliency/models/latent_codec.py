"""Codecs between pixels and latents. Only this file uses the scaling factor."""

import torch
from diffusers import AutoencoderKL
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from sos_mm.saliency.models.pretrained import load_pretrained


@MODELS.register_module()
class StableDiffusionVAE(nn.Module):
    """The frozen variational autoencoder of Stable Diffusion.

    Args:
        pretrained: Folder (diffusers' layout), hub id or single ``.safetensors`` file of the base model; None for
            random weights.
        architecture: Arguments of ``diffusers.AutoencoderKL`` where ``pretrained`` is None or a single file.
        scaling_factor: Factor of the latents, so that their variance is near one.
        checkpoint: Whether to use gradient checkpointing in the decoder, which saves memory and costs time.
    """

    def __init__(
        self,
        pretrained: str | None,
        architecture: dict | None = None,
        scaling_factor: float = 0.18215,
        checkpoint: bool = False,
    ):
        super().__init__()
        if pretrained is not None:
            self.vae = load_pretrained(AutoencoderKL, pretrained, "vae", architecture)
        else:
            self.vae = AutoencoderKL(**(architecture or {}))
        if checkpoint:
            self.vae.enable_gradient_checkpointing()
        self.scaling_factor = scaling_factor
        self.vae.requires_grad_(False)

    @property
    def latent_channels(self) -> int:
        """Returns the channels of a latent."""
        return self.vae.config.latent_channels

    @property
    def stride(self) -> int:
        """Returns the pixels per latent position along one side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def train(self, mode: bool = True) -> "StableDiffusionVAE":
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes (B, 3, H, W) in [-1, 1] to (B, C, H/8, W/8), the scaled mean of the posterior.

        In 32 bits also under autocast: diffusers computes the noise schedule in the latents' precision, and in
        16 bits its ends are wrong.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.vae.encode(images.float()).latent_dist.mean * self.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes (B, C, H/8, W/8) to (B, 3, H, W), about [-1, 1]. Differentiable with respect to the latents."""
        return self.vae.decode(latents / self.scaling_factor).sample


@MODELS.register_module()
class SpaceToDepthCodec(nn.Module):
    """A lossless codec without weights: each block of pixels becomes the channels of one latent position.

    For models small enough to train from scratch, where no pretrained autoencoder fits.

    Args:
        stride: Pixels per latent position along one side.
    """

    def __init__(self, stride: int = 8):
        super().__init__()
        self.stride = stride
        self.latent_channels = 3 * stride**2

    def encode(self, images: Tensor) -> Tensor:
        """Encodes (B, 3, H, W) in [-1, 1] to (B, 3 stride^2, H/stride, W/stride)."""
        return functional.pixel_unshuffle(images, self.stride)

    def decode(self, latents: Tensor) -> Tensor:
        """Inverts :meth:`encode`."""
        return functional.pixel_shuffle(latents, self.stride)
