"""Codecs between pixels and latents. Only this file uses the scaling factor."""

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ModelMixin
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from sos_mm.saliency.models.pretrained import TINY_AUTOENCODERS, load_pretrained


class FrozenAutoencoder(nn.Module):
    """Base of codecs with weights, which are never trained.

    Args:
        vae: The autoencoder.
        scaling_factor: Factor of the latents, so that their variance is near one.
        shift_factor: What is subtracted from the latents before, so that their mean is near zero.
    """

    def __init__(self, vae: ModelMixin, scaling_factor: float, shift_factor: float = 0.0):
        super().__init__()
        self.vae = vae.requires_grad_(False).eval()
        self.scaling_factor = scaling_factor
        self.shift_factor = shift_factor

    @property
    def latent_channels(self) -> int:
        """Returns the channels of a latent."""
        return self.vae.config.latent_channels

    def train(self, mode: bool = True) -> "FrozenAutoencoder":
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    def scaled(self, latents: Tensor) -> Tensor:
        """Converts latents of the autoencoder to those of the diffusion."""
        return (latents - self.shift_factor) * self.scaling_factor

    def unscaled(self, latents: Tensor) -> Tensor:
        """Inverts :meth:`scaled`."""
        return latents / self.scaling_factor + self.shift_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes (B, C, H/8, W/8) to (B, 3, H, W), about [-1, 1]. Differentiable with respect to the latents."""
        return self.vae.decode(self.unscaled(latents)).sample


@MODELS.register_module()
class StableDiffusionVAE(FrozenAutoencoder):
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
        if pretrained is not None:
            vae = load_pretrained(AutoencoderKL, pretrained, "vae", architecture)
        else:
            vae = AutoencoderKL(**(architecture or {}))
        if checkpoint:
            vae.enable_gradient_checkpointing()
        super().__init__(vae, scaling_factor)

    @property
    def stride(self) -> int:
        """Returns the pixels per latent position along one side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes (B, 3, H, W) in [-1, 1] to (B, C, H/8, W/8), the scaled mean of the posterior.

        In 32 bits also under autocast: diffusers computes the noise schedule in the latents' precision, and in
        16 bits its ends are wrong.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.scaled(self.vae.encode(images.float()).latent_dist.mean)


@MODELS.register_module()
class TinyAutoencoder(FrozenAutoencoder):
    """A frozen tiny autoencoder, distilled from a base model's: diffusers' ``AutoencoderTiny``.

    Its latents are those of the base model, near enough, at a small share of the time: TAESD's are Stable Diffusion
    1's and 2's (4 channels), TAESD3's are Stable Diffusion 3's and TAEF1's are FLUX.1's (16 channels each).
    ``scaling_factor`` and ``shift_factor`` are those of the weights' ``config.json``; the three, which were distilled
    from scaled latents, have 1 and 0.

    Args:
        pretrained: Folder (diffusers' layout, with ``config.json``) or hub id of the autoencoder; None for random
            weights.
        architecture: Arguments of ``diffusers.AutoencoderTiny`` where ``pretrained`` is None.

    Raises:
        ValueError: If encoder and decoder are not of the same stride, or the weights are of another architecture.
        FileNotFoundError: If weights cannot be found or read; says how to get them.
    """

    def __init__(self, pretrained: str | None, architecture: dict | None = None):
        if pretrained is not None:
            vae = load_pretrained(AutoencoderTiny, pretrained, "", how_to_get=TINY_AUTOENCODERS)
        else:
            vae = AutoencoderTiny(**(architecture or {}))
        super().__init__(vae, vae.config.scaling_factor, vae.config.shift_factor)
        decoded = vae.config.upsampling_scaling_factor ** (len(vae.config.num_decoder_blocks) - 1)
        if decoded != self.stride:
            raise ValueError(
                f"The tiny autoencoder must have one stride, but its encoder's is {self.stride} and its decoder's "
                f"{decoded}: see `num_encoder_blocks`, `num_decoder_blocks` and `upsampling_scaling_factor`."
            )

    @property
    def stride(self) -> int:
        """Returns the pixels per latent position along one side."""
        return 2 ** (len(self.vae.config.num_encoder_blocks) - 1)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes (B, 3, H, W) in [-1, 1] to (B, C, H/stride, W/stride), scaled; there is nothing to sample.

        In 32 bits also under autocast, as :meth:`StableDiffusionVAE.encode`.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.scaled(self.vae.encode(images.float()).latents)


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
