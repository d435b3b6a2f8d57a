"""The diffusion head: training losses and the sampling of mask latents."""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from sos_mm.saliency.fusion import SalientFeatures


class SamplingStep(NamedTuple):
    """One step of sampling.

    Attributes:
        timestep: Where it started, scalar int64.
        clean: The estimate of the noise-free mask latent, (B, C, h, w); of schedulers that give none, the latent.
        latent: The latent after the step; after the last one it is the result.
    """

    timestep: Tensor
    clean: Tensor
    latent: Tensor


@MODELS.register_module()
class DiffusionSODHead(BaseModule):
    """Denoises a saliency mask in latent space, conditioned on the image.

    It is built by mmseg's ``MODELS`` like any decode head, but cannot stand in a plain ``EncoderDecoder``,
    which never hands the image to its head: use :class:`LatentDiffusionSegmentor`.

    Args:
        in_channels: Channels of the salient feature f.
        unet: Config of the denoiser.
        afim: Config of the module that brings f into the U-Net.
        scheduler: Config of a diffusers scheduler, for example ``type='diffusers.DDIMScheduler'``.
        loss_diffusion: Config of the loss between the U-Net's prediction and its target.
        loss_aux: Config of the loss between a 3x3 convolution of f and the mask at f's stride; None to leave
            it out.

    Raises:
        ValueError: If the scheduler predicts epsilon and has zero terminal SNR, where epsilon says nothing
            of the mask.
    """

    def __init__(
        self,
        in_channels: int,
        unet: dict,
        afim: dict,
        scheduler: dict,
        loss_diffusion: dict,
        loss_aux: dict | None,
    ):
        super().__init__()
        self.denoiser = MODELS.build(unet)
        sizes = dict(context_channels=self.denoiser.context_channels, levels=self.denoiser.levels)
        self.afim = MODELS.build(dict(in_channels=in_channels, **sizes, **afim))
        self.afim.install(self.denoiser.unet)
        self.scheduler = MODELS.build(scheduler)
        check_scheduler(self.scheduler.config)
        self.loss_diffusion = MODELS.build(loss_diffusion)
        self.loss_aux = MODELS.build(loss_aux) if loss_aux is not None else None
        self.auxiliary = nn.Conv2d(in_channels, 3, 3, padding=1) if loss_aux is not None else None

    def loss(
        self,
        features: SalientFeatures,
        image_latent: Tensor,
        mask_latent: Tensor,
        mask: Tensor,
        noise: Tensor,
        timesteps: Tensor,
    ) -> dict[str, Tensor]:
        """Named losses.

        Args:
            features: f and its pyramid.
            image_latent: (B, C, h, w).
            mask_latent: (B, C, h, w).
            mask: (B, 3, H, W) in [-1, 1], three equal channels.
            noise: (B, C, h, w), standard normal.
            timesteps: (B,) int64.
        """
        noisy = self.scheduler.add_noise(mask_latent, noise, timesteps)
        context = self.afim(features.pyramid)
        prediction = self.denoiser(image_latent, noisy, timesteps, context)
        losses = dict(loss_diffusion=self.loss_diffusion(prediction, self._target(mask_latent, noise, timesteps)))
        if self.auxiliary is not None:
            small = functional.interpolate(mask, features.f.shape[-2:], mode="area")
            losses["loss_aux"] = self.loss_aux(self.auxiliary(features.f), small)
        return losses

    def _target(self, mask_latent: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        kind = self.scheduler.config.prediction_type
        if kind == "v_prediction":
            return self.scheduler.get_velocity(mask_latent, noise, timesteps)
        return noise if kind == "epsilon" else mask_latent

    def sample(
        self, features: SalientFeatures, image_latent: Tensor, noise: Tensor, steps: int
    ) -> Iterator[SamplingStep]:
        """Denoises from noise to a mask latent, one step at a time.

        Args:
            features: f and its pyramid.
            image_latent: (B, C, h, w).
            noise: (B, C, h, w), standard normal.
            steps: How many steps, at least 1.
        """
        scheduler = deepcopy(self.scheduler)  # A scheduler keeps state between steps.
        scheduler.set_timesteps(steps, device=noise.device)
        context = self.afim(features.pyramid)
        latent = noise * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latent, timestep)
            prediction = self.denoiser(image_latent, scaled, timestep, context)
            step = scheduler.step(prediction, timestep, latent)
            latent = step.prev_sample
            yield SamplingStep(timestep, getattr(step, "pred_original_sample", latent), latent)

    def auxiliary_map(self, features: SalientFeatures) -> Tensor:
        """The mask as f alone shows it, (B, 3, H/8, W/8), about [-1, 1].

        Raises:
            RuntimeError: If the head was built without the auxiliary loss.
        """
        if self.auxiliary is None:
            raise RuntimeError("This model has no auxiliary map: its config sets `loss_aux=None`.")
        return self.auxiliary(features.f)


def check_scheduler(config: dict) -> None:
    """Raises ValueError for a scheduler that cannot train or sample a mask."""
    kinds = ("v_prediction", "epsilon", "sample")
    if config.prediction_type not in kinds:
        raise ValueError(
            f"The scheduler's `prediction_type` must be one of {kinds}, but got {config.prediction_type!r}."
        )
    if config.prediction_type == "epsilon" and config.get("rescale_betas_zero_snr"):
        raise ValueError(
            "The scheduler's `prediction_type` must be 'v_prediction' (or 'sample') with "
            "`rescale_betas_zero_snr=True`, but got 'epsilon': at the last timestep there is only noise, and "
            "recovering the mask from its noise divides by zero."
        )


def standard_normal(generators: list, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Noise (len(generators), *shape), each row from its own numpy generator, so the same on every device."""
    rows = [torch.from_numpy(generator.standard_normal(shape, dtype="float32")) for generator in generators]
    return torch.stack(rows).to(device)
