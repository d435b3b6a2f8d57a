"""The Attention Feature Interaction Module (AFIM): it brings the salient feature into the U-Net.

At the U-Net's cross-attention layers queries come from the U-Net's features, keys and values from the salient feature
pyramid. Each layer is given the pyramid's map of its own resolution (pooled below stride 32), and its output is
multiplied by a gate that depends on the timestep. As published it is cross-attention to one map, f, at every layer
(:class:`PlainCrossAttention`); the pyramid, positions and the gate are ours.

The image's features do not change while its mask is denoised. So keys and values are computed once an image
(:meth:`FeatureInteraction.with_projections`) and reused by all steps and all members of an ensemble; only the gate
is computed at each step (:meth:`FeatureInteraction.at`).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


class Context(NamedTuple):
    """The context that cross-attention layers read.

    Attributes:
        maps: (B, C, h, w), one a level of the U-Net.
        projected: Keys and values, one pair a layer, each (B, heads, h*w, c); None where layers are to project.
        gates: (B, levels), what each level's layers multiply their output by; None for no gate.
    """

    maps: tuple[Tensor, ...]
    projected: tuple[tuple[Tensor, Tensor], ...] | None = None
    gates: Tensor | None = None


class FeatureInteraction(BaseModule):
    """Base of both modules that bring the salient feature into the U-Net."""

    positions = False

    def install(self, unet: UNet2DConditionModel) -> None:
        """Makes the U-Net's cross-attention layers read a :class:`Context`."""
        for index, (level, attention) in enumerate(cross_attentions(unet)):
            attention.set_processor(ContextAttention(self.level(level), index, self.positions))

    def level(self, level: int) -> int:
        """Returns which map the layers of one of the U-Net's levels read."""
        return level

    def with_projections(self, context: Context, unet: UNet2DConditionModel) -> Context:
        """Adds every layer's keys and values."""
        layers = [attention for _, attention in cross_attentions(unet)]
        pairs = tuple(layer.processor.keys_and_values(layer, context.maps) for layer in layers)
        return context._replace(projected=pairs)

    def at(self, context: Context, timesteps: Tensor) -> Context:
        """Returns the context at a timestep, () or (B,) int64."""
        return context


@MODELS.register_module()
class AttentionFeatureInteraction(FeatureInteraction):
    """Projects the salient feature pyramid to cross-attention contexts, one for each level of the U-Net.

    Args:
        in_channels: Channels of the pyramid.
        context_channels: The U-Net's ``cross_attention_dim``.
        levels: Levels of the U-Net that have cross-attention, the middle block counting with the last.
        gate: Whether a level's cross-attention is multiplied by a number in (0, 2) that depends on the timestep. It
            is initialised to 1. Near pure noise the mask's latent holds no information and the salient feature matters
            most; near the end it is the opposite.
    """

    positions = True

    def __init__(self, in_channels: int, context_channels: int, levels: int, gate: bool = True):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(in_channels, context_channels, 1) for _ in range(levels))
        self.norm = nn.ModuleList(nn.GroupNorm(1, context_channels) for _ in range(levels))
        self.gate = TimeGate(levels) if gate else None

    def forward(self, pyramid: tuple[Tensor, ...]) -> Context:
        """Projects maps (B, C, h, w), finest first, to contexts (B, context_channels, h, w), one a level."""
        parts = zip(self.project, self.norm, pyramid, strict=True)
        return Context(tuple(norm(conv(m)) for conv, norm, m in parts))

    def at(self, context: Context, timesteps: Tensor) -> Context:
        """Adds the gates, (B, levels)."""
        if self.gate is None:
            return context
        return context._replace(gates=self.gate(timesteps.expand(len(context.maps[0]))))


class TimeGate(nn.Module):
    """Gates of timesteps: (B,) -> (B, levels) in (0, 2), 1 at initialisation."""

    def __init__(self, levels: int, channels: int = 32):
        super().__init__()
        self.waves = Timesteps(channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.embed = TimestepEmbedding(channels, channels)
        self.to_gates = nn.Linear(channels, levels)
        nn.init.zeros_(self.to_gates.weight)
        nn.init.zeros_(self.to_gates.bias)

    def forward(self, timesteps: Tensor) -> Tensor:
        """Computes the gates."""
        waves = self.waves(timesteps).to(self.to_gates.weight.dtype)
        return 2 * torch.sigmoid(self.to_gates(self.embed(waves)))


@MODELS.register_module()
class PlainCrossAttention(FeatureInteraction):
    """Single-scale cross-attention, to which the AFIM is compared: all layers read f as one list of tokens.

    There are no levels, no positions and no gate, as with text.

    Args:
        in_channels: Channels of f.
        context_channels: The U-Net's ``cross_attention_dim``.
        levels: Unused; there for the signature of the AFIM.
        tile: Repeat f's channels until they fill the context, as the authors' released code does, instead of learning
            a projection.

    Raises:
        ValueError: If channels are to be repeated and do not fit.
    """

    def __init__(self, in_channels: int, context_channels: int, levels: int, tile: bool = False):
        super().__init__()
        if tile and context_channels % in_channels:
            raise ValueError(f"`tile` needs context channels that {in_channels} divides, but got {context_channels}.")
        self.repeats = context_channels // in_channels if tile else None
        self.project = None if tile else nn.Conv2d(in_channels, context_channels, 1)
        self.norm = None if tile else nn.GroupNorm(1, context_channels)

    def forward(self, pyramid: tuple[Tensor, ...]) -> Context:
        """Projects the first of maps (B, C, h, w) to one context (B, context_channels, h, w)."""
        if self.project is None or self.norm is None:
            return Context((pyramid[0].repeat(1, self.repeats, 1, 1),))
        return Context((self.norm(self.project(pyramid[0])),))

    def level(self, level: int) -> int:
        """Returns 0 for every level: all layers read the same map."""
        return 0


def remove_cross_attention(unet: UNet2DConditionModel) -> None:
    """Removes the cross-attention layers and their normalisations from a U-Net, which then reads no context.

    A context of zeros differs from this by a constant: keys and values are then zero, since their projections have no
    bias, and such a layer adds its last projection's bias.
    """
    for _, layer in transformer_layers(unet):
        layer.attn2 = layer.norm2 = None


def cross_attentions(unet: UNet2DConditionModel) -> list[tuple[int, Attention]]:
    """Lists every cross-attention layer with its level, in the order of the forward pass."""
    return [(level, layer.attn2) for level, layer in transformer_layers(unet) if layer.attn2 is not None]


def transformer_layers(unet: UNet2DConditionModel) -> list[tuple[int, BasicTransformerBlock]]:
    """Lists every transformer layer with its level, in the order of the forward pass."""
    last = len(unet.down_blocks) - 1
    blocks = [
        *enumerate(unet.down_blocks),
        (last, unet.mid_block),
        *((last - index, block) for index, block in enumerate(unet.up_blocks)),
    ]
    return [
        (level, layer)
        for level, block in blocks
        for transformer in getattr(block, "attentions", None) or ()
        for layer in transformer.transformer_blocks
    ]


class ContextAttention(nn.Module):
    """Cross-attention of one U-Net layer to the context of its level, as a processor of diffusers.

    With positions, queries and keys are both given the positions of the level's grid. Text, for which these layers were
    made, has no such positions, and without them a query can find "what" but not "where".

    Args:
        level: The index of its map and gate in the context.
        index: The index of its keys and values in the context.
        positions: Whether to add positions, with a scale that is learned.

    Attributes:
        watcher: Function that is called with the queries and keys, each (B, heads, positions, C/heads); None for none.
    """

    watcher: Callable[[Tensor, Tensor], None] | None = None

    def __init__(self, level: int, index: int, positions: bool):
        super().__init__()
        self.level = level
        self.index = index
        self.position_scale = nn.Parameter(torch.ones(())) if positions else None

    def forward(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Context, attention_mask: None = None
    ) -> Tensor:
        """Attends from U-Net tokens (B, h*w, C) to the context -> (B, h*w, C)."""
        context = encoder_hidden_states
        grid = context.maps[self.level].shape[-2:]
        self.check_grid(hidden_states.shape[1], grid)
        key, value = (
            self.keys_and_values(attn, context.maps) if context.projected is None else context.projected[self.index]
        )
        query = self.with_positions(self.split(attn, attn.to_q(hidden_states)), grid)
        if self.watcher is not None:
            self.watcher(query, key)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        output = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        return output if context.gates is None else output * context.gates[:, self.level, None, None]

    def keys_and_values(self, attn: Attention, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Projects the level's map to keys and values, each (B, heads, h*w, C/heads)."""
        tokens = maps[self.level].flatten(2).transpose(1, 2)
        grid = maps[self.level].shape[-2:]
        return self.with_positions(self.split(attn, attn.to_k(tokens)), grid), self.split(attn, attn.to_v(tokens))

    def split(self, attn: Attention, tokens: Tensor) -> Tensor:
        """Splits tokens into heads: (B, n, C) -> (B, heads, n, C/heads)."""
        return tokens.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

    def with_positions(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Adds the positions of the grid, where the layer has them."""
        if self.position_scale is None:
            return tokens
        return tokens + self.position_scale * grid_positions(*grid, tokens.shape[-1], tokens.device).to(tokens.dtype)

    def check_grid(self, positions: int, grid: tuple[int, int]) -> None:
        """Raises ValueError where tokens and context are not on the same grid."""
        if self.position_scale is not None and positions != grid[0] * grid[1]:
            raise ValueError(
                f"Level {self.level} of the U-Net has {positions} positions, but its context is "
                f"{grid[0]}x{grid[1]}: the image's sides must be multiples of the U-Net's total stride."
            )


def grid_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Computes sines and cosines of rows and columns, (height*width, channels).

    The product of two positions falls with their distance, so that attention is local at initialisation.
    """
    bands = channels // 4
    frequencies = math.pi / 2 ** torch.linspace(0, 6, bands, device=device)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles = [axis.reshape(-1, 1) * frequencies for axis in (rows, columns)]
    positions = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
    return functional.pad(positions, (0, channels - positions.shape[1]))
