"""The settings of IC-Light's passes and images. Imports no torch, so that a recipe checks them without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sos_mm.checks import check_boolean, check_choice, check_integer, check_range, check_text

# Variant -> the images that condition it, in the order of their channels.
CONDITIONS = MappingProxyType({"fc": ("foreground",), "fbc": ("foreground", "background")})
DEFAULT_BASE = "stablediffusionapi/realistic-vision-v51"
DEFAULT_SCHEDULER: Mapping[str, Any] = MappingProxyType(
    {"type": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}
)


@dataclass(frozen=True)
class Sampling:
    """The settings of both passes; the defaults are those of the released code of SOS.

    Attributes:
        steps: Number of denoising steps of each pass.
        guidance_scale: Weight of the prompt against the negative prompt; 1 for no guidance, at half the cost.
        first_denoise: Share of the noise schedule that the first pass runs from a gradient, in (0, 1].
        second_denoise: Share of the noise schedule that the second pass runs, in (0, 1].

    Raises:
        ValueError: If a value is out of its range.
    """

    steps: int = 25
    guidance_scale: float = 2.0
    first_denoise: float = 0.9
    second_denoise: float = 0.5

    def __post_init__(self):
        check_integer("steps", self.steps, 1, 1000)
        check_range("guidance_scale", self.guidance_scale, 1, 100)
        for name in ("first_denoise", "second_denoise"):
            check_range(name, getattr(self, name), 0.01, 1)


@dataclass(frozen=True)
class ImageOptions:
    """Options of how IC-Light's pipeline relights an image.

    Attributes:
        variant: 'fc', conditioned on the foreground, or 'fbc', on foreground and background.
        added_prompt: Words behind each prompt.
        negative_prompt: What the images must not look like.
        max_side: Longer side at which images are relit, in pixels; larger ones are reduced for it.
        upscale: Size of the second pass as a multiple of that of the first.
        reencode: Whether the first pass's image is decoded and encoded again for the second, as in the released code.
            Otherwise its latents are passed on where both sizes are equal, which saves a decoding and an encoding.

    Raises:
        ValueError: If a value is invalid.
    """

    variant: str = "fc"
    added_prompt: str = ""
    negative_prompt: str = ""
    max_side: int = 1024
    upscale: float = 1.0
    reencode: bool = True

    def __post_init__(self):
        check_choice("variant", self.variant, CONDITIONS)
        for name in ("added_prompt", "negative_prompt"):
            check_text(name, getattr(self, name))
        check_integer("max_side", self.max_side, 64, 4096)
        check_range("upscale", self.upscale, 1, 4)
        check_boolean("reencode", self.reencode)
