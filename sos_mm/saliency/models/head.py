"""The diffusion head: training losses and the sampling of mask latents."""

from collections.abc import Iterator
from copy import deepcopy
from inspect import signature
from typing import Any, NamedTuple

from diffusers import SchedulerMixin
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.utils import get_object_from_string
from torch import Generator, Tensor, nn, zeros_like
from torch.nn import functional

from sos_mm.checks import check_choice
from sos_mm.saliency.models.afim import Context, FeatureInteraction, remove_cross_attention
from sos_mm.saliency.models.fusion import SalientFeatures


class SamplingStep(NamedTuple):
    """One step of sampling.

    Attributes:
        timestep: Timestep before the step, scalar int64.
        clean: The estimate of the noise-free mask latent, (B, C, h, w); the latent if the scheduler gives none.
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
        in_channels: Channels of the salient feature f; None where there is no f.
        unet: Config of the denoiser.
        afim: Config of the module that brings f into the U-Net. None where there is no f: the U-Net's cross-attention
            is removed, and it is given the latents alone.
        scheduler: Config of a diffusers scheduler, for example ``type='diffusers.DDIMScheduler'``.
        loss_diffusion: Config of the loss between the U-Net's prediction and its target; None to train by pixels.
        loss_aux: Config of the loss between a 3x3 convolution of f and the mask at f's stride; None to leave
            it out.
        aux_target: How the mask is resized to f's size for ``loss_aux``: ``area`` (the mean over each cell, default)
            or ``bilinear`` (between the four pixels in the middle of each cell, as the authors' released code does).
        loss_pixel: Config of the loss between the logits of a mask that was made in one step from zero noise, and
            the true mask. The gradient reaches the U-Net through the mask's decoder.

    Raises:
        ValueError: If the scheduler predicts epsilon and has zero terminal SNR, where epsilon says nothing of the mask;
            if there is an auxiliary loss and no f; if there is not exactly one of ``loss_diffusion`` and
            ``loss_pixel``; or if one step is to be trained and the schedule does not begin at pure noise.
    """

    def __init__(
        self,
        in_channels: int | None,
        unet: dict,
        afim: dict | None,
        scheduler: dict,
        loss_diffusion: dict | None,
        loss_aux: dict | None,
        loss_pixel: dict | None = None,
        aux_target: str = "area",
    ):
        super().__init__()
        check_choice("aux_target", aux_target, ("area", "bilinear"))
        self.aux_target = aux_target
        self.denoiser = MODELS.build(unet)
        self.afim = self._build_afim(in_channels, afim)
        if self.afim is None and loss_aux is not None:
            raise ValueError("`loss_aux` must be None where `afim` is: there is no feature that could show the mask.")
        self.scheduler = MODELS.build(scheduler)
        check_scheduler(self.scheduler.config)
        if (loss_diffusion is None) == (loss_pixel is None):
            raise ValueError("The head must have one of `loss_diffusion` and `loss_pixel`, and the other must be None.")
        if loss_pixel is not None:
            check_one_step(self.scheduler.config)
        self.loss_diffusion = MODELS.build(loss_diffusion) if loss_diffusion is not None else None
        self.loss_aux = MODELS.build(loss_aux) if loss_aux is not None else None
        self.auxiliary = nn.Conv2d(in_channels, 3, 3, padding=1) if loss_aux is not None else None
        self.loss_pixel = MODELS.build(loss_pixel) if loss_pixel is not None else None

    def _build_afim(self, in_channels: int | None, afim: dict | None) -> FeatureInteraction | None:
        """Builds the interaction and installs it in the U-Net, or removes the U-Net's cross-attention."""
        if afim is None:
            remove_cross_attention(self.denoiser.unet)
            return None
        sizes = dict(context_channels=self.denoiser.context_channels, levels=self.denoiser.levels)
        built = MODELS.build(dict(in_channels=in_channels, **sizes, **afim))
        built.install(self.denoiser.unet)
        return built

    def loss(
        self,
        features: SalientFeatures | None,
        image_latent: Tensor,
        mask_latent: Tensor,
        mask: Tensor,
        noise: Tensor,
        timesteps: Tensor,
    ) -> dict[str, Tensor]:
        """Computes the named losses of denoising.

        Args:
            features: f and its pyramid; None where there is no f.
            image_latent: (B, C, h, w).
            mask_latent: (B, C, h, w).
            mask: (B, 3, H, W) in [-1, 1], three equal channels.
            noise: (B, C, h, w).
            timesteps: (B,) int64.
        """
        noisy = self.scheduler.add_noise(mask_latent, noise, timesteps)
        assert self.loss_diffusion is not None, "a head that trains by pixels has no noise to predict"
        context = None if self.afim is None else self.afim(_pyramid(features))
        prediction = self.denoiser(image_latent, noisy, timesteps, self.context_at(context, timesteps))
        target = self._target(mask_latent, noise, timesteps)
        return dict(loss_diffusion=self.loss_diffusion(prediction, target), **self.auxiliary_loss(features, mask))

    def auxiliary_loss(self, features: SalientFeatures | None, mask: Tensor) -> dict[str, Tensor]:
        """Computes the auxiliary loss, where there is one, of f and the mask (B, 3, H, W) in [-1, 1]."""
        if self.auxiliary is None or self.loss_aux is None:
            return {}
        assert features is not None, "without an encoder `loss_aux` must be None"
        small = functional.interpolate(mask, features.f.shape[-2:], mode=self.aux_target)
        return dict(loss_aux=self.loss_aux(self.auxiliary(features.f), small))

    def _target(self, mask_latent: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        kind = self.scheduler.config.prediction_type
        if kind == "v_prediction":
            return self.scheduler.get_velocity(mask_latent, noise, timesteps)
        return noise if kind == "epsilon" else mask_latent

    def condition(self, features: SalientFeatures | None) -> Context | None:
        """Computes the context of the U-Net's cross-attention, keys and values, once for all steps and members."""
        if self.afim is None:
            return None
        return self.afim.with_projections(self.afim(_pyramid(features)), self.denoiser.unet)

    def context_at(self, context: Context | None, timesteps: Tensor) -> Context | None:
        """Returns the context at a timestep, () or (B,) int64."""
        return None if self.afim is None or context is None else self.afim.at(context, timesteps)

    def one_step(self, features: SalientFeatures | None, image_latent: Tensor) -> Tensor:
        """Predicts the mask latent (B, C, h, w) in one step from zero noise at the last timestep, with its gradient."""
        noise = zeros_like(image_latent[:, : self.denoiser.latent_channels])
        return next(self.sample(self.condition(features), image_latent, noise, 1)).latent

    def sample(
        self,
        context: Context | None,
        image_latent: Tensor,
        noise: Tensor,
        num_inference_steps: int,
        scheduler: dict | None = None,
        generators: list[Generator] | None = None,
    ) -> Iterator[SamplingStep]:
        """Denoises from noise to a mask latent, one step at a time.

        Args:
            context: The result of :meth:`condition`.
            image_latent: (B, C, h, w).
            noise: (B, C, h, w), standard normal.
            num_inference_steps: Number of steps, at least 1.
            scheduler: Config of another diffusers scheduler to sample with; missing options are those of training.
            generators: One generator for each image, for schedulers that add noise at each step.

        Raises:
            FloatingPointError: If the result is not finite, such as with some schedulers and zero terminal SNR.
        """
        sampler = self.sampler(scheduler)
        sampler.set_timesteps(num_inference_steps, device=noise.device)
        extra = dict(generator=generators) if "generator" in signature(sampler.step).parameters else {}
        latent = noise * sampler.init_noise_sigma
        for timestep in sampler.timesteps:
            scaled = sampler.scale_model_input(latent, timestep)
            prediction = self.denoiser(image_latent, scaled, timestep, self.context_at(context, timestep))
            step = sampler.step(prediction, timestep, latent, **extra)
            latent = step.prev_sample
            if timestep == sampler.timesteps[-1] and not latent.isfinite().all():
                raise FloatingPointError(
                    f"Sampling with {type(sampler).__name__} gave numbers that are not finite, as schedulers do "
                    "that cannot begin at pure noise: choose another `test_cfg.scheduler`."
                )
            yield SamplingStep(timestep, getattr(step, "pred_original_sample", latent), latent)

    def sampler(self, config: dict | None = None) -> SchedulerMixin:
        """Makes a new scheduler to sample with, since schedulers keep state between steps.

        Raises:
            ValueError: If it is not a scheduler, or cannot sample a mask.
        """
        if config is None:
            return deepcopy(self.scheduler)
        changes = {key: value for key, value in config.items() if key != "type"}
        cls = get_object_from_string(config["type"]) if "type" in config else type(self.scheduler)
        if cls is None:
            raise ValueError(
                f"`test_cfg.scheduler` must be of a type like 'diffusers.DDIMScheduler', but got {config['type']!r}."
            )
        scheduler = cls.from_config(self.scheduler.config, **changes)
        check_scheduler(scheduler.config)
        return scheduler

    def auxiliary_map(self, features: SalientFeatures) -> Tensor:
        """Predicts the mask from f alone, (B, 3, H/8, W/8), about [-1, 1].

        Raises:
            RuntimeError: If the head was built without the auxiliary loss.
        """
        if self.auxiliary is None:
            raise RuntimeError("This model has no auxiliary map: its config sets `loss_aux=None`.")
        return self.auxiliary(features.f)


def _pyramid(features: SalientFeatures | None) -> tuple[Tensor, ...]:
    """Returns the pyramid of features, which must not be None."""
    assert features is not None, "without an encoder `afim` must be None"
    return features.pyramid


def check_scheduler(config: Any) -> None:
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


def check_one_step(config: dict) -> None:
    """Raises ValueError for a schedule whose one step does not begin at pure noise."""
    if not config.get("rescale_betas_zero_snr") or config.get("timestep_spacing") != "trailing":
        raise ValueError(
            "`loss_pixel` trains one step from the last timestep, where there is nothing of the mask: the scheduler "
            "must have `rescale_betas_zero_snr=True` and `timestep_spacing='trailing'`."
        )
