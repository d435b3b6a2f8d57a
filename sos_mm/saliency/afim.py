"""The Attention Feature Interaction Module (AFIM): how the salient feature reaches the U-Net.

Queries come from the U-Net's features, keys and values from the salient feature pyramid, at the U-Net's
cross-attention layers. Each layer is given the pyramid's map of its own resolution.
"""

import math

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@MODELS.register_module()
class AttentionFeatureInteraction(BaseModule):
    """Projects the salient feature pyramid to cross-attention contexts, one for each level of the U-Net.

    Args:
        in_channels: Channels of the pyramid.
        context_channels: The U-Net's ``cross_attention_dim``.
        levels: Levels of the U-Net, the middle block counting with the last.
    """

    def __init__(self, in_channels: int, context_channels: int, levels: int):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(in_channels, context_channels, 1) for _ in range(levels))
        self.norm = nn.ModuleList(nn.GroupNorm(1, context_channels) for _ in range(levels))

    def forward(self, pyramid: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w), finest first -> contexts (B, context_channels, h, w), one a level."""
        return tuple(norm(conv(m)) for conv, norm, m in zip(self.project, self.norm, pyramid, strict=True))

    @staticmethod
    def install(unet: UNet2DConditionModel) -> None:
        """Makes the U-Net's cross-attention layers read the context of their level, with positions."""
        last = len(unet.down_blocks) - 1
        blocks = [
            *enumerate(unet.down_blocks),
            (last, unet.mid_block),
            *((last - index, block) for index, block in enumerate(unet.up_blocks)),
        ]
        for level, block in blocks:
            for transformer in getattr(block, "attentions", None) or ():
                for layer in transformer.transformer_blocks:
                    layer.attn2.set_processor(LevelCrossAttention(level))


class LevelCrossAttention(nn.Module):
    """Cross-attention of one U-Net layer to the context of its level, as a processor of diffusers.

    Queries and keys both lie on the level's grid and are given its positions: text, for which these layers
    were made, has none, and without them a query could find "what" but not "where".

    Args:
        level: The U-Net's level, which is the index of its context.
    """

    def __init__(self, level: int):
        super().__init__()
        self.level = level
        self.position_scale = nn.Parameter(torch.ones(()))

    def forward(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: tuple[Tensor, ...],
        attention_mask: None = None,
    ) -> Tensor:
        """(B, h*w, C) U-Net tokens and the contexts of all levels -> (B, h*w, C)."""
        context = encoder_hidden_states[self.level]
        grid = context.shape[-2:]
        tokens = context.flatten(2).transpose(1, 2)
        if hidden_states.shape[1] != tokens.shape[1]:
            raise ValueError(
                f"Level {self.level} of the U-Net has {hidden_states.shape[1]} positions, but its context is "
                f"{grid[0]}x{grid[1]}: the image's sides must be multiples of the U-Net's total stride."
            )
        heads = (attn.heads, attn.to_q.out_features // attn.heads)
        query, key, value = (
            project(x).unflatten(-1, heads).transpose(1, 2)  # (B, heads, h*w, C/heads)
            for project, x in ((attn.to_q, hidden_states), (attn.to_k, tokens), (attn.to_v, tokens))
        )
        positions = self.position_scale * grid_positions(*grid, heads[1], query.device).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query + positions, key + positions, value)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))


def grid_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sines and cosines of rows and columns, (height*width, channels).

    The product of two positions falls with their distance, so that attention starts out local.
    """
    bands = channels // 4
    frequencies = math.pi / 2 ** torch.linspace(0, 6, bands, device=device)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles = [axis.reshape(-1, 1) * frequencies for axis in (rows, columns)]
    positions = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
    return functional.pad(positions, (0, channels - positions.shape[1]))
