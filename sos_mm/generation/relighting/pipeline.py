"""IC-Light as a pipeline: images, joint alphas and prompts in, relit images out, several at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from diffusers import AutoencoderKL, SchedulerMixin, StableDiffusionPipeline, UNet2DConditionModel

from sos_mm.generation.loading import DTYPES, find_device, find_dtype, is_out_of_memory, load_pipeline
from sos_mm.generation.relighting.foregrounds import (
    GREY,
    gradient,
    on_grey,
    resize,
    upscaled_size,
    without_objects,
    working_size,
)
from sos_mm.generation.relighting.iclight import how_to_get_offsets, to_iclight
from sos_mm.generation.relighting.passes import Conditions, TwoPasses, build_scheduler
from sos_mm.generation.relighting.settings import CONDITIONS, ImageOptions, Sampling

# Numbers of embeddings and of gradients that are kept; an embedding of Stable Diffusion 1.5 has 0.2 MB.
_EMBEDDINGS, _GRADIENTS = 1024, 32


class ICLightPipeline:
    """Relights images by IC-Light.

    Args:
        parts: The base model's pipeline, whose VAE, text encoder and tokenizer are used.
        unet: IC-Light's U-Net; see `to_iclight`.
        scheduler: See `build_scheduler`.
        sampling: Steps, guidance and shares of both passes.
        options: Prompts and sizes.
    """

    def __init__(
        self,
        parts: StableDiffusionPipeline,
        unet: UNet2DConditionModel,
        scheduler: SchedulerMixin,
        sampling: Sampling,
        options: ImageOptions,
    ):
        self._vae: AutoencoderKL = parts.vae
        self._text_encoder, self._tokenizer = parts.text_encoder, parts.tokenizer
        self._unet, self._options = unet, options
        self._passes = TwoPasses(unet, scheduler, sampling)
        self._embeddings: LRUCache = LRUCache(_EMBEDDINGS)
        self._gradients: LRUCache = LRUCache(_GRADIENTS)

    @classmethod
    def load(
        cls,
        base: str,
        offsets: str | None,
        scheduler: Mapping[str, Any],
        sampling: Sampling,
        options: ImageOptions,
        dtype: str = "float32",
        device: str = "auto",
    ) -> "ICLightPipeline":
        """Loads the base model and the offsets, and puts them on a device.

        The offsets are added in float32. In half precision the VAE computes in bfloat16, since float16 overflows there.

        Args:
            base: Folder, ``.safetensors`` file or hub id of a model of the kind of Stable Diffusion 1.5.
            offsets: See `read_offsets`.
            scheduler: See `build_scheduler`.
            sampling, options: See the class.
            dtype: 'float32', 'bfloat16', or 'float16' on a GPU.
            device: See `find_device`.

        Raises:
            FileNotFoundError: If a file cannot be found; names the files, their size and licence.
            ValueError: If a file is of another kind of model, or damaged.
        """
        target = find_device(device)
        precision = find_dtype(dtype, target)
        try:
            parts = load_pipeline(
                base,
                device="cpu",
                pipeline_class="StableDiffusionPipeline",
                safety_checker=None,
                requires_safety_checker=False,
            )
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error} {how_to_get_offsets(options.variant)}.") from error
        unet = to_iclight(parts.unet, offsets, options.variant, base).to(target, precision)
        parts.text_encoder.to(target, precision).eval()
        parts.vae.to(target, precision if dtype == "float32" else DTYPES["bfloat16"]).eval()
        return cls(parts, unet, build_scheduler(scheduler, parts.scheduler.config), sampling, options)

    def relight(
        self, images: Sequence[np.ndarray], alphas: Sequence[np.ndarray], plans: Sequence[Mapping[str, Any]]
    ) -> list[np.ndarray]:
        """Relights images of one size.

        Args:
            images: (H, W, 3) uint8 RGB each.
            alphas: (H, W) uint8 each, joint alpha of the objects.
            plans: For each image ``prompt``, ``direction`` and ``seed``; see `draw_light`.

        Returns:
            (H, W, 3) uint8 RGB each.

        Raises:
            MemoryError: If the device or the machine lacks memory for so many images.
            ValueError: If the images differ in size, or a prompt is too long.
        """
        size = images[0].shape[:2]
        if any(each.shape[:2] != size for each in (*images, *alphas)):
            raise ValueError(f"`images` and `alphas` must all have the size {size}, but one differs.")
        try:
            return [resize(each, size) for each in self._relight(images, alphas, plans)]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(f"Relighting {len(images)} images of {size} at once needs more memory.") from error

    @torch.inference_mode()
    def _relight(
        self, images: Sequence[np.ndarray], alphas: Sequence[np.ndarray], plans: Sequence[Mapping[str, Any]]
    ) -> list[np.ndarray]:
        size = working_size(images[0].shape[:2], self._options.max_side)
        generators = [torch.Generator("cpu").manual_seed(plan["seed"]) for plan in plans]
        prompts, negative = self._embed([plan["prompt"] for plan in plans])
        # 1. (B, C, h, w) latents of the condition images.
        condition_images = [self._condition_images(*each) for each in zip(images, alphas, strict=True)]
        conditions = Conditions(self._encode_conditions(condition_images, size), prompts, negative, generators)
        # 2. First pass: (B, 4, h, w) latents, from noise or from a gradient.
        latents = self._passes.first(conditions, [self._gradient(plan["direction"], size) for plan in plans])
        # 3. Second pass, possibly at a larger size.
        larger = upscaled_size(size, self._options.upscale)
        if self._options.reencode or larger != size:
            latents = self._encode([resize(each, larger) for each in self._decode(latents)])
        if larger != size:
            again = self._encode_conditions(condition_images, larger)
            conditions = Conditions(again, prompts, negative, generators)
        # 4. (H, W, 3) uint8 images at that size.
        return self._decode(self._passes.second(conditions, latents))

    def _condition_images(self, image: np.ndarray, alpha: np.ndarray) -> list[np.ndarray]:
        """Returns the condition images of the variant, (H, W, 3) uint8 each."""
        made = {"foreground": on_grey, "background": without_objects}
        return [made[name](image, alpha) for name in CONDITIONS[self._options.variant]]

    def _encode_conditions(self, condition_images: Sequence[Sequence[np.ndarray]], size: tuple[int, int]):
        """Encodes the condition images of B images to (B, 4 n, h, w) latents, n of them an image."""
        flat = self._encode([resize(each, size) for of_one in condition_images for each in of_one])
        return flat.reshape(len(condition_images), -1, *flat.shape[2:])

    def _encode(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Encodes (H, W, 3) uint8 images to (B, 4, h, w) latents in the U-Net's precision."""
        pixels = torch.from_numpy(np.stack(images)).to(self._vae.device).movedim(-1, 1)
        # Grey is exactly 0.
        pixels = (pixels.float() / GREY - 1).to(self._vae.dtype)
        latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
        return latents.to(self._unet.dtype)

    def _decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """Decodes (B, 4, h, w) latents to (H, W, 3) uint8 images."""
        pixels = self._vae.decode(latents.to(self._vae.dtype) / self._vae.config.scaling_factor).sample
        pixels = (pixels.float() * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)
        return list(pixels.movedim(1, -1).cpu().numpy())

    def _gradient(self, direction: str, size: tuple[int, int]) -> torch.Tensor | None:
        """Returns the (4, h, w) latents of a light direction; None for 'none'."""
        if direction == "none":
            return None
        if (direction, size) not in self._gradients:
            self._gradients[direction, size] = self._encode([gradient(direction, size)])[0]
        return self._gradients[direction, size]

    def _embed(self, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the (B, T, D) embeddings of prompts, and the (1, T, D) one of the negative prompt.

        Raises:
            ValueError: If a prompt is longer than the text encoder reads.
        """
        added = self._options.added_prompt
        texts = [f"{prompt}, {added}" if added else prompt for prompt in prompts]
        new = [text for text in dict.fromkeys([*texts, self._options.negative_prompt]) if text not in self._embeddings]
        if new:
            self._embeddings.update(zip(new, self._encode_texts(new), strict=True))
        return torch.stack([self._embeddings[text] for text in texts]), self._embeddings[self._options.negative_prompt][
            None
        ]

    def _encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encodes texts to (B, T, D) embeddings."""
        limit = self._tokenizer.model_max_length
        for text in texts:
            if (number := len(self._tokenizer(text).input_ids)) > limit:
                raise ValueError(f"A prompt must have at most {limit} tokens, but {text!r} has {number}: shorten it.")
        padded = self._tokenizer(list(texts), padding="max_length", max_length=limit, return_tensors="pt")
        return self._text_encoder(padded.input_ids.to(self._text_encoder.device)).last_hidden_state
