"""The fusion of the authors' released code, for comparison and for their checkpoints.

Parallel axial attention at three stages and once more where they are joined, as in UACANet (Kim et al., ACM MM 2021)
and InSPyReNet (Kim et al., ACCV 2022). It has no CBAM and no pyramid.
"""

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, cat, nn
from torch.nn import functional

from sos_mm.saliency.models.fusion import SalientFeatures


def conv_norm(in_channels: int, out_channels: int, kernel: int | tuple[int, int], dilation: int = 1) -> nn.Sequential:
    """Builds a convolution that keeps the size, and batch normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same", dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


@MODELS.register_module()
class ReleasedFusion(BaseModule):
    """Three stages at strides 8, 16 and 32 -> f at stride 8.

    Args:
        in_channels: Channels of the stages, finest first.
        out_channels: Channels of f.
    """

    def __init__(self, in_channels: tuple[int, int, int], out_channels: int = 64):
        super().__init__()
        self.contexts = nn.ModuleList(AxialContext(channels, out_channels) for channels in in_channels)
        widths = (out_channels * len(in_channels), out_channels, out_channels, out_channels)
        self.convs = nn.ModuleList(conv_norm(width, out_channels, 3) for width in widths)
        self.attend = nn.ModuleList(AxialAttention(out_channels) for _ in range(2))

    def forward(self, stages: list[Tensor]) -> SalientFeatures:
        """Fuses maps (B, C_i, H/s_i, W/s_i), finest first, to f alone."""
        seen = [context(stage) for context, stage in zip(self.contexts, stages, strict=True)]
        size = seen[0].shape[-2:]
        coarse = [functional.interpolate(m, size, mode="bilinear", align_corners=True) for m in seen[:0:-1]]
        joined = self.convs[0](cat([*coarse, seen[0]], 1))
        joined = self.attend[0](joined) + self.attend[1](joined)
        for conv in self.convs[1:]:
            joined = conv(joined)
        return SalientFeatures((joined,))


class AxialContext(nn.Module):
    """One stage, (B, in_channels, h, w) -> (B, out_channels, h, w), seen at four widths side by side."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.direct = conv_norm(in_channels, out_channels, 1)
        self.branches = nn.ModuleList(AxialBranch(in_channels, out_channels, size) for size in (3, 5, 7))
        self.join = conv_norm(4 * out_channels, out_channels, 3)
        self.shortcut = conv_norm(in_channels, out_channels, 1)

    def forward(self, stage: Tensor) -> Tensor:
        """Computes (B, in_channels, h, w) -> (B, out_channels, h, w)."""
        seen = [self.direct(stage), *(branch(stage) for branch in self.branches)]
        return functional.relu(self.join(cat(seen, 1)) + self.shortcut(stage))


class AxialBranch(nn.Module):
    """A separable convolution of one width, two axial attentions, and a convolution dilated by that width."""

    def __init__(self, in_channels: int, out_channels: int, size: int):
        super().__init__()
        self.convs = nn.ModuleList(
            [
                conv_norm(in_channels, out_channels, 1),
                conv_norm(out_channels, out_channels, (1, size)),
                conv_norm(out_channels, out_channels, (size, 1)),
                conv_norm(out_channels, out_channels, 3, dilation=size),
            ]
        )
        self.attend = nn.ModuleList(AxialAttention(out_channels) for _ in range(2))

    def forward(self, stage: Tensor) -> Tensor:
        """Computes (B, in_channels, h, w) -> (B, out_channels, h, w)."""
        for conv in self.convs[:3]:
            stage = conv(stage)
        return self.convs[3](self.attend[0](stage) + self.attend[1](stage))


class AxialAttention(nn.Module):
    """Self-attention between the columns of a map, each column being one token, added to the map by a learned share.

    Of the two that stand side by side everywhere, one is called that of the rows in the released code. But it reshapes
    without transposing, so that on square maps, which are all that its training saw, both attend between columns.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.query = conv_norm(channels, channels // 8, 1)
        self.key = conv_norm(channels, channels // 8, 1)
        self.value = conv_norm(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Attends between columns: (B, C, h, w) -> (B, C, h, w)."""
        query, key, value = (part(x).flatten(1, 2).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, w, C h)
        return self.gamma * mixed.transpose(1, 2).unflatten(1, (-1, x.shape[2])) + x
