"""The two denoising passes of IC-Light: the light is drawn first, and refined in the second pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import diffusers
import torch
from diffusers import SchedulerMixin, UNet2DConditionModel
from diffusers.utils.torch_utils import randn_tensor

from sos_mm.generation.relighting.settings import DEFAULT_SCHEDULER, Sampling

# Its noise comes from a tree over the complete batch, so that it depends on the batch size.
_UNSUITABLE = ("DPMSolverSDEScheduler",)


@dataclass(frozen=True)
class Conditions:
    """What the U-Net is conditioned on, for a batch of B images.

    Attributes:
        images: (B, C, h, w), the latents of the condition images, C a multiple of 4.
        prompts: (B, T, D), embeddings of the prompts.
        negative: (1, T, D), embeddings of the negative prompt.
        generators: One generator of noise an image, on the CPU.
    """

    images: torch.Tensor
    prompts: torch.Tensor
    negative: torch.Tensor
    generators: Sequence[torch.Generator]

    def part(self, positions: Sequence[int]) -> "Conditions":
        """Returns the conditions of some of the images."""
        index = torch.tensor(positions, device=self.images.device)
        generators = [self.generators[position] for position in positions]
        return Conditions(self.images[index], self.prompts[index], self.negative, generators)


def check_scheduler(config: Mapping[str, Any]) -> None:
    """Checks the name of a scheduler.

    Raises:
        ValueError: If it is no scheduler of diffusers, or one whose noise depends on the batch size.
    """
    name = config.get("type") if isinstance(config, Mapping) else None
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if name in _UNSUITABLE:
        raise ValueError(
            f"`scheduler` cannot be {name}, whose noise depends on the batch size: use {dict(DEFAULT_SCHEDULER)}."
        )
    if not isinstance(cls, type) or not issubclass(cls, SchedulerMixin):
        raise ValueError(f"`scheduler` must have the name of a scheduler of diffusers as `type`, but got {config!r}.")


def build_scheduler(config: Mapping[str, Any], base: Mapping[str, Any]) -> SchedulerMixin:
    """Builds a scheduler of diffusers.

    Args:
        config: ``type``, the name of its class, and options.
        base: The config of the base model's own scheduler, which holds its noise schedule; ``config`` goes before it.

    Raises:
        ValueError: As `check_scheduler`, and if an option is invalid.
    """
    check_scheduler(config)
    options = {key: value for key, value in config.items() if key != "type"}
    cls = getattr(diffusers, config["type"])
    known = signature(cls.__init__).parameters
    for key in options:
        if key not in known:
            raise ValueError(f"`scheduler` of type {config['type']} has no option {key!r}.")
    try:
        return cls.from_config(dict(base), **options)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(f"`scheduler` cannot be built from {dict(config)}: {error}") from error


class TwoPasses:
    """Denoises latents twice, as IC-Light does.

    Args:
        unet: The widened U-Net.
        scheduler: Any scheduler of diffusers that `check_scheduler` accepts.
        sampling: Numbers of steps and shares of the schedule.
    """

    def __init__(self, unet: UNet2DConditionModel, scheduler: SchedulerMixin, sampling: Sampling):
        self._unet, self._scheduler, self._sampling = unet, scheduler, sampling

    def first(self, conditions: Conditions, starts: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Draws images in their new light.

        Args:
            conditions: The conditions of B images.
            starts: For each image the (4, h, w) latents of the gradient to start from; None to start from noise.

        Returns:
            (B, 4, h, w) latents.
        """
        free = [position for position, start in enumerate(starts) if start is None]
        lit = [position for position, start in enumerate(starts) if start is not None]
        height, width = conditions.images.shape[-2:]
        found = conditions.images.new_empty(len(starts), 4, height, width)
        if free:
            part = conditions.part(free)
            self._scheduler.set_timesteps(self._sampling.steps, device=part.images.device)
            noise = _noise(part, (len(free), 4, height, width)) * self._scheduler.init_noise_sigma
            found[free] = self._denoise(noise, part, self._scheduler.timesteps)
        if lit:
            latents = torch.stack([start for start in starts if start is not None])
            found[lit] = self._renew(latents, conditions.part(lit), self._sampling.first_denoise)
        return found

    def second(self, conditions: Conditions, latents: torch.Tensor) -> torch.Tensor:
        """Refines (B, 4, h, w) latents of the first pass; returns latents of the same shape."""
        return self._renew(latents, conditions, self._sampling.second_denoise)

    def _renew(self, latents: torch.Tensor, conditions: Conditions, share: float) -> torch.Tensor:
        """Adds the noise of a share of the schedule, and removes it in the configured number of steps."""
        scheduler = self._scheduler
        number = round(self._sampling.steps / share)
        scheduler.set_timesteps(number, device=latents.device)
        first = (number - max(min(int(number * share), number), 1)) * scheduler.order
        timesteps = scheduler.timesteps[first:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        noise = _noise(conditions, tuple(latents.shape))
        noised = scheduler.add_noise(latents, noise, timesteps[:1].repeat(len(latents)))
        return self._denoise(noised, conditions, timesteps)

    def _denoise(self, latents: torch.Tensor, conditions: Conditions, timesteps: torch.Tensor) -> torch.Tensor:
        """Runs the U-Net at each timestep, with guidance if there is any."""
        scale, number = self._sampling.guidance_scale, len(latents)
        prompts, images = conditions.prompts, conditions.images
        if scale > 1:
            prompts = torch.cat([conditions.negative.expand(number, -1, -1), prompts])
            images = torch.cat([images, images])
        step = self._scheduler.step
        extra = {"generator": conditions.generators} if "generator" in signature(step).parameters else {}
        for timestep in timesteps:
            # 1. (B or 2 B, 4, h, w) noisy latents; 2. the condition's channels behind them.
            noisy = torch.cat([latents, latents]) if scale > 1 else latents
            noisy = self._scheduler.scale_model_input(noisy, timestep)
            noise = self._unet(torch.cat([noisy, images], 1), timestep, encoder_hidden_states=prompts).sample
            # 3. Away from the negative prompt; 4. one step back.
            if scale > 1:
                unlike, like = noise.chunk(2)
                noise = unlike + scale * (like - unlike)
            latents = step(noise, timestep, latents, **extra).prev_sample
        return latents


def _noise(conditions: Conditions, shape: tuple[int, ...]) -> torch.Tensor:
    """Draws the noise of each image from its own generator; the same in any precision."""
    like = conditions.images
    noise = randn_tensor(shape, generator=list(conditions.generators), device=like.device, dtype=torch.float32)
    return noise.to(like.dtype)
