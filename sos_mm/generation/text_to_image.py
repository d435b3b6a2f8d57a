"""Draws images from texts in batches, with one seed an image."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline

from sos_mm.checks import check_choice, check_integer
from sos_mm.generation.embeddings import Embeddings, PromptEncoder
from sos_mm.generation.loading import free_memory, is_out_of_memory

# Arguments of a pipeline's call that this file sets itself.
_SET_HERE = (
    "prompt",
    "prompt_2",
    "prompt_3",
    "negative_prompt_2",
    "negative_prompt_3",
    "generator",
    "latents",
    "output_type",
    "return_dict",
    "num_images_per_prompt",
    "image",
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)


@dataclass(frozen=True, eq=False)
class DrawnImage:
    """An image of a text-to-image model.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        batch: Number of images that were drawn in the same call.
        flagged: Whether the model's own safety checker has blackened it.
    """

    image: np.ndarray
    batch: int
    flagged: bool = False


class TextToImage:
    """Draws images by a text-to-image pipeline of diffusers.

    The noise of an image depends on its seed alone: each has its own generator on the CPU. Images of one batch size are
    the same bytes in every run on the same machine; between batch sizes they differ by rounding.

    Args:
        pipeline: The pipeline, on its device.
        sampling: Arguments of its call, such as ``dict(num_inference_steps=4, guidance_scale=0.0, height=512,
            width=512)``; ``negative_prompt`` is one text for all images.
        batch_size: Number of images in a call. It is halved where memory runs out.

    Raises:
        ValueError: If the pipeline's call has no such argument.
    """

    def __init__(self, pipeline: DiffusionPipeline, sampling: Mapping[str, Any], batch_size: int = 1):
        check_integer("batch_size", batch_size, 1, 10**4)
        known = [name for name in signature(pipeline.__call__).parameters if name not in _SET_HERE]
        for key in sampling:
            check_choice(f"key of sampling for {type(pipeline).__name__}", key, known)
        negative = sampling.get("negative_prompt")
        if negative is not None and not isinstance(negative, str):
            raise ValueError(f"`sampling.negative_prompt` must be one text for all images, but got {negative!r}.")
        self.pipeline, self.batch_size = pipeline, batch_size
        self._encoder = PromptEncoder(pipeline, sampling)
        self._sampling = {key: value for key, value in sampling.items() if key != "negative_prompt"}

    def draw(self, texts: Sequence[str], seeds: Sequence[int]) -> Iterator[DrawnImage]:
        """Yields one image for each text and seed, in order.

        The texts of one call are encoded together, each distinct one once.

        Raises:
            RuntimeError: If memory runs out even for one image.
        """
        encoded = self._encode(list(texts))
        begin = 0
        while begin < len(texts):
            end = begin + self.batch_size
            drawn = self._try(texts[begin:end], seeds[begin:end], encoded)
            if drawn is None:
                self._halve(min(self.batch_size, len(texts) - begin))
                continue
            yield from drawn
            begin = end

    def _encode(self, texts: list[str]) -> dict[str, Embeddings]:
        while True:
            try:
                return self._encoder.encode(texts, self.batch_size)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(min(self.batch_size, len(set(texts))))

    def _try(self, texts: Sequence[str], seeds: Sequence[int], encoded: Mapping) -> list[DrawnImage] | None:
        """Draws a batch; returns None if memory runs out. The error, which holds tensors, ends with this function."""
        try:
            return self._call(texts, seeds, encoded)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _call(self, texts: Sequence[str], seeds: Sequence[int], encoded: Mapping) -> list[DrawnImage]:
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        arguments = self._encoder.arguments(texts, encoded)
        found = self.pipeline(**arguments, **self._sampling, generator=generators, output_type="np")
        images = np.rint(np.clip(found.images, 0, 1) * 255).astype(np.uint8)
        flags = getattr(found, "nsfw_content_detected", None) or [False] * len(texts)
        return [DrawnImage(image, len(texts), bool(flag)) for image, flag in zip(images, flags, strict=True)]

    def _halve(self, tried: int) -> None:
        """Halves the batch size after memory ran out for a batch of ``tried`` images.

        Raises:
            RuntimeError: If it was one image.
        """
        free_memory()
        if tried == 1:
            raise RuntimeError(
                "Memory ran out even for a batch of one image: set `model.offload` to 'model' (or 'sequential', which "
                "is slow), `model.dtype` to 'bfloat16', a smaller `sampling.height` and `sampling.width`, or take a "
                "smaller model. Finished shards are kept."
            )
        self.batch_size = max(tried // 2, 1)
        print(
            f"memory ran out for {tried} images at once: going on with {self.batch_size}", file=sys.stderr, flush=True
        )
