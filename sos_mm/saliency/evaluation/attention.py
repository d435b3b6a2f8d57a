"""Attention maps of the U-Net's cross-attention, which reads the salient feature."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers import UNet2DConditionModel
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from sos_mm.saliency.models.afim import cross_attentions
from sos_mm.saliency.models.base_segmentor import without_flip, without_padding
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor

# Of a layer: level of the U-Net, queries and keys, each (B, heads, positions, C/heads).
Watcher = Callable[[int, Tensor, Tensor], None]


@contextmanager
def watched(unet: UNet2DConditionModel, watcher: Watcher) -> Iterator[None]:
    """Shows the queries and keys of every cross-attention layer to ``watcher``, within a ``with`` block."""
    processors = [(level, attention.processor) for level, attention in cross_attentions(unet)]
    try:
        for level, processor in processors:
            processor.watcher = partial(watcher, level)
        yield
    finally:
        for _, processor in processors:
            processor.watcher = None


def attention_of(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """Averages the attention of queries over the queries and over heads.

    Args:
        query: (heads, n, c).
        key: (heads, m, c).
        weight: (n,), how much each query counts; sums to one.

    Returns:
        (m,), sums to one.
    """
    # Head by head: all at once would be a hundred megabytes at the finest level.
    rows = [weight @ torch.softmax(q @ k.T / q.shape[-1] ** 0.5, -1) for q, k in zip(query, key, strict=True)]
    return torch.stack(rows).mean(0)


@torch.no_grad()
def attention_maps(model: LatentDiffusionSegmentor, inputs: Tensor, sample: SegDataSample) -> dict[int, Tensor]:
    """Computes which positions the salient positions attend to, for each level of the U-Net.

    The result is the mean over the level's layers, their heads, all sampling steps and the querying positions, each
    weighted by its predicted saliency. Sampling is that of ``test_cfg``, for the first member.

    Args:
        model: The model.
        inputs: One image, (1, 3 n, H, W) in [0, 1].
        sample: Its data sample.

    Returns:
        By level, finest first: (h, w) of the size that the level's keys have, summing to one.
    """
    conditions = model.encode_conditions(inputs)
    process = model.sample_latents(conditions, [sample])
    saliency = model.decode_mask(process[-1].latent)  # (1, 1, H, W)
    size = conditions.image_latent.shape[-2:]
    grids = [tuple(-(-side // 2**level) for side in size) for level in range(model.decode_head.denoiser.levels)]
    seen: dict[int, list[Tensor]] = {}

    def watcher(level: int, query: Tensor, key: Tensor) -> None:
        weight = functional.interpolate(saliency, grids[level], mode="area").flatten() + 1e-6
        seen.setdefault(level, []).append(attention_of(query[0], key[0], weight / weight.sum()))

    with watched(model.decode_head.denoiser.unet, watcher):
        model.sample_latents(conditions, [sample])
    maps = {level: torch.stack(rows).mean(0) for level, rows in sorted(seen.items())}
    by_number = {height * width: (height, width) for height, width in grids}
    return {level: map_.view(by_number[map_.numel()]) for level, map_ in maps.items()}


def on_image(map_: Tensor, size: tuple[int, int], sample: SegDataSample) -> Tensor:
    """Brings an attention map (h, w) to its image's original size: (1, H, W), 1 at its maximum."""
    large = functional.interpolate(map_[None, None], size, mode="bilinear")
    upright = without_flip(without_padding(large, sample), sample)
    upright = functional.interpolate(upright, sample.ori_shape[:2], mode="bilinear")[0]
    return upright / upright.amax()
