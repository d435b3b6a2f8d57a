"""Text embeddings of pipelines: each distinct prompt is encoded once, the negative prompt once in a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from diffusers import (
    DiffusionPipeline,
    FluxPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor

# Arguments of a pipeline's call and their tensors, each with the batch as its first dimension.
Embeddings = dict[str, Tensor]
_POOLED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


@dataclass(frozen=True)
class _Family:
    """How the pipelines of one class encode text.

    Attributes:
        encode: (pipeline, texts, sampling) -> the embeddings of the texts.
        encode_negative: (pipeline, negative prompt, sampling) -> its embeddings, under the names of negative ones.
        guided: (pipeline, sampling) -> whether the pipeline needs negative embeddings.
    """

    encode: Callable[[Any, list[str], Mapping], Embeddings]
    encode_negative: Callable[[Any, str | None, Mapping], Embeddings]
    guided: Callable[[Any, Mapping], bool]


def _own(pipeline: Any, sampling: Mapping) -> dict[str, Any]:
    """Returns the sampling options that the pipeline's encoder takes too."""
    known = signature(pipeline.encode_prompt).parameters
    return {key: sampling[key] for key in ("clip_skip", "max_sequence_length") if key in sampling and key in known}


def _common(pipeline: Any, sampling: Mapping) -> dict[str, Any]:
    return {"device": pipeline._execution_device, "num_images_per_prompt": 1, **_own(pipeline, sampling)}


def _others(pipeline: Any, text: Any) -> dict[str, Any]:
    """Returns the text for further text encoders, as far as the encoder's signature requires them."""
    return {key: text for key in ("prompt_2", "prompt_3") if key in signature(pipeline.encode_prompt).parameters}


def _encode_guided(pipeline: Any, texts: list[str], sampling: Mapping) -> Embeddings:
    found = pipeline.encode_prompt(
        prompt=texts, **_others(pipeline, texts), do_classifier_free_guidance=False, **_common(pipeline, sampling)
    )
    return {name: value for name, value in zip(_POOLED, found, strict=False) if not name.startswith("negative")}


def _encode_negative_guided(pipeline: Any, negative: str | None, sampling: Mapping) -> Embeddings:
    # As the pipeline itself does: what an absent negative prompt means differs between models.
    found = pipeline.encode_prompt(
        prompt="",
        **_others(pipeline, ""),
        negative_prompt=negative,
        do_classifier_free_guidance=True,
        **_common(pipeline, sampling),
    )
    return {name: value for name, value in zip(_POOLED, found, strict=False) if name.startswith("negative")}


def _encode_flux(pipeline: Any, texts: list[str], sampling: Mapping) -> Embeddings:
    embedded, pooled, _ = pipeline.encode_prompt(prompt=texts, prompt_2=texts, **_common(pipeline, sampling))
    return {"prompt_embeds": embedded, "pooled_prompt_embeds": pooled}


def _encode_negative_flux(pipeline: Any, negative: str | None, sampling: Mapping) -> Embeddings:
    return {f"negative_{name}": value for name, value in _encode_flux(pipeline, [negative or ""], sampling).items()}


def _option(pipeline: Any, sampling: Mapping, name: str) -> Any:
    return sampling.get(name, signature(pipeline.__call__).parameters[name].default)


def _is_guided(pipeline: Any, sampling: Mapping) -> bool:
    distilled = hasattr(pipeline, "unet") and pipeline.unet.config.time_cond_proj_dim is not None
    return _option(pipeline, sampling, "guidance_scale") > 1 and not distilled


def _is_guided_flux(pipeline: Any, sampling: Mapping) -> bool:
    negative = sampling.get("negative_prompt") is not None
    return negative and _option(pipeline, sampling, "true_cfg_scale") > 1


_GUIDED = _Family(_encode_guided, _encode_negative_guided, _is_guided)
_FLUX = _Family(_encode_flux, _encode_negative_flux, _is_guided_flux)
_FAMILIES: dict[type, _Family] = {
    StableDiffusionPipeline: _GUIDED,
    StableDiffusionXLPipeline: _GUIDED,
    StableDiffusion3Pipeline: _GUIDED,
    FluxPipeline: _FLUX,
}


class PromptEncoder:
    """Encodes prompts for a pipeline; pipelines of other classes encode the texts themselves, in each call.

    Args:
        pipeline: The pipeline.
        sampling: The arguments of its call; ``negative_prompt`` is one text for all images.
    """

    def __init__(self, pipeline: DiffusionPipeline, sampling: Mapping[str, Any]):
        self._pipeline, self._sampling = pipeline, sampling
        self._family = _FAMILIES.get(type(pipeline))
        self._negative: Embeddings | None = None

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int) -> dict[str, Embeddings]:
        """Encodes distinct texts, in their order, in batches; returns the embeddings, of a batch of one, by text."""
        if self._family is None:
            return {}
        distinct, found = list(dict.fromkeys(texts)), {}
        for begin in range(0, len(distinct), batch_size):
            part = distinct[begin : begin + batch_size]
            embedded = self._family.encode(self._pipeline, part, self._sampling)
            for position, text in enumerate(part):
                found[text] = {name: value[position : position + 1] for name, value in embedded.items()}
        return found

    def arguments(self, texts: Sequence[str], encoded: Mapping[str, Embeddings]) -> dict[str, Any]:
        """Returns the arguments of the pipeline's call that carry the texts and the negative prompt.

        Args:
            texts: The prompts of a batch.
            encoded: What `encode` returned for them.
        """
        negative = self._sampling.get("negative_prompt")
        if self._family is None:
            told = {} if negative is None else {"negative_prompt": [negative] * len(texts)}
            return {"prompt": list(texts), **told}
        arguments = {name: torch.cat([encoded[text][name] for text in texts]) for name in encoded[texts[0]]}
        for name, value in self._negatives().items():
            arguments[name] = value.expand(len(texts), *value.shape[1:])
        return arguments

    @torch.no_grad()
    def _negatives(self) -> Embeddings:
        if self._negative is None:
            assert self._family is not None
            guided = self._family.guided(self._pipeline, self._sampling)
            negative = self._sampling.get("negative_prompt")
            self._negative = self._family.encode_negative(self._pipeline, negative, self._sampling) if guided else {}
        return self._negative
