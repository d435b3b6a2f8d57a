"""`ICLightRelighter`: IC-Light for recipes. Imports torch and loads weights only when the first image is relit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sos_mm.checks import check_choice, check_text, require
from sos_mm.composition.effects.relighting import register_relighter
from sos_mm.composition.scene import Light
from sos_mm.generation.relighting.light_prompts import (
    DEFAULT_DIRECTIONS,
    check_directions,
    draw_light,
    read_light_prompts,
)
from sos_mm.generation.relighting.settings import DEFAULT_BASE, DEFAULT_SCHEDULER, ImageOptions, Sampling

if TYPE_CHECKING:
    from sos_mm.generation.relighting.pipeline import ICLightPipeline

_ADDED = "empty background without objects, best quality"
_NEGATIVE = "objects in the background, changed objects, text, lowres, cropped, worst quality"


@register_relighter
@dataclass(frozen=True)
class ICLightRelighter:
    """Relights images by IC-Light: two denoising passes of Stable Diffusion 1.5, conditioned on the objects.

    Prompt, light direction and noise are drawn for each image; the scene's own light is not used. The variant 'fc'
    draws a new background; 'fbc' keeps to the image's background, whose light it takes, and so has no light direction.

    In a recipe each worker process loads its own copy of the weights and relights one image at a time. For a GPU, one
    worker is best there, and `sos-mm relight` better: it relights complete data sets in batches.

    Args:
        base: Folder, ``.safetensors`` file or hub id of a model of the kind of Stable Diffusion 1.5.
        offsets: The ``.safetensors`` file of IC-Light's offsets, or ``"OWNER/NAME:FILE"`` on the hub; None for the
            published file of the variant, from the hub.
        variant: 'fc' or 'fbc'.
        prompts: Text file with one illumination prompt a line; None for the 350 of this package.
        directions: Weights of 'none', 'left', 'right', 'top' and 'bottom'; None for 4:1:1:1:1, or for 'none' with
            'fbc'.
        added_prompt, negative_prompt: See `ImageOptions`.
        steps, guidance_scale, first_denoise, second_denoise: See `Sampling`.
        scheduler: ``type``, a scheduler of diffusers, and its options; None for DPM++ SDE with Karras's schedule.
        max_side, upscale, reencode: See `ImageOptions`.
        dtype: 'float32', 'bfloat16', or 'float16' on a GPU.
        device: A device of torch; 'auto' for a GPU where there is one.

    Raises:
        FileNotFoundError, ValueError: If an argument is invalid, or the file of prompts is.

    Source: github.com/lllyasviel/IC-Light; settings of the released code of "SOS", arXiv 2510.09110.
    """

    base: str = DEFAULT_BASE
    offsets: str | None = None
    variant: str = "fc"
    prompts: str | None = None
    directions: Mapping[str, float] | None = None
    added_prompt: str = _ADDED
    negative_prompt: str = _NEGATIVE
    steps: int = 25
    guidance_scale: float = 2.0
    first_denoise: float = 0.9
    second_denoise: float = 0.5
    scheduler: Mapping[str, Any] | None = None
    max_side: int = 1024
    upscale: float = 1.0
    reencode: bool = True
    dtype: str = "float32"
    device: str = "auto"

    def __post_init__(self):
        check_choice("dtype", self.dtype, ("float32", "bfloat16", "float16"))
        for name, optional in (("base", False), ("offsets", True), ("device", False)):
            value = getattr(self, name)
            if not (optional and value is None):
                check_text(name, value)
        if self.scheduler is not None and not isinstance(dict(self.scheduler).get("type"), str):
            raise ValueError(f"`scheduler` must have a `type`, but got {self.scheduler!r}.")
        # Reading these checks the other settings.
        _ = self._sampling, self._options, self._prompts
        check_directions(self._directions)
        if self.variant == "fbc" and any(self._directions.get(name) for name in ("left", "right", "top", "bottom")):
            raise ValueError("`directions` must be None with the variant 'fbc', whose light is that of the background.")

    @property
    def _sampling(self) -> Sampling:
        return Sampling(self.steps, self.guidance_scale, self.first_denoise, self.second_denoise)

    @property
    def _options(self) -> ImageOptions:
        texts = self.added_prompt, self.negative_prompt
        return ImageOptions(self.variant, *texts, self.max_side, self.upscale, self.reencode)

    @cached_property
    def _prompts(self) -> tuple[str, ...]:
        return read_light_prompts(self.prompts)

    @property
    def _directions(self) -> Mapping[str, float]:
        if self.directions is not None:
            return self.directions
        return DEFAULT_DIRECTIONS if self.variant == "fc" else {"none": 1.0}

    @cached_property
    def pipeline(self) -> "ICLightPipeline":
        """The loaded pipeline.

        Raises:
            ImportError: If torch or diffusers is missing.
            FileNotFoundError: If weights are; names the files, their size and licence.
            ValueError: If they are of another model.
        """
        for module in ("torch", "diffusers", "transformers"):
            require(module, "`ICLightRelighter`", "pip install -e '.[onedl]', or use `GradientRelighter`")
        from sos_mm.generation.relighting.pipeline import ICLightPipeline

        scheduler = self.scheduler or DEFAULT_SCHEDULER
        return ICLightPipeline.load(
            self.base,
            self.offsets,
            scheduler,
            self._sampling,
            self._options,
            dtype=self.dtype,
            device=self.device,
        )

    def plan(self, light: Light, rng: np.random.Generator) -> dict[str, Any]:
        """Draws ``prompt``, ``direction`` and ``seed``; see `draw_light`."""
        return draw_light(rng, self._prompts, self._directions)

    def relight_batch(
        self, images: Sequence[np.ndarray], alphas: Sequence[np.ndarray], plans: Sequence[Mapping[str, Any]]
    ) -> list[np.ndarray]:
        """Relights images of one size at once; see `BatchRelighter`."""
        return self.pipeline.relight(images, alphas, plans)

    def relight(self, image: np.ndarray, alpha: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
        """Relights one image; see `Relighter`."""
        return self.relight_batch([image], [alpha], [self.plan(light, rng)])[0]
