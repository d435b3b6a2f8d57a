"""The neck: stage features are fused under CBAM attention to the salient feature f and its pyramid."""

from typing import NamedTuple

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from timm.layers.cbam import CbamModule
from torch import Tensor, cat, nn
from torch.nn import functional


class SalientFeatures(NamedTuple):
    """The output of the neck.

    Attributes:
        pyramid: Maps (B, C, h, w) at strides 8, 16, 32, ...; the first is the salient feature f.
    """

    pyramid: tuple[Tensor, ...]

    @property
    def f(self) -> Tensor:
        """Returns the salient feature, (B, C, H/8, W/8)."""
        return self.pyramid[0]


def conv_norm_act(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Builds a convolution, group normalisation (batches are small) and GELU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.GroupNorm(min(32, out_channels // 2), out_channels),
        nn.GELU(),
    )


@MODELS.register_module()
class CBAMFusion(BaseModule):
    """Fuses stage features to one map at the finest stride, under channel and spatial attention (CBAM).

    Stages are reduced to ``out_channels`` each, brought to the finest stride, concatenated, attended and
    reduced to f. The pyramid's coarser maps join the reduced stage of their stride with f pooled to it, so
    that each level of the U-Net is given features of its own resolution.

    Args:
        in_channels: Channels of the stages, finest first; each stage has half the resolution of the last.
        out_channels: Channels of f and of its pyramid.
        levels: Maps in the pyramid; those beyond the coarsest stage are pooled.
        attention: Whether the joined stages are attended.
    """

    def __init__(self, in_channels: tuple[int, ...], out_channels: int = 64, levels: int = 4, attention: bool = True):
        super().__init__()
        self.levels = levels
        self.reduce = nn.ModuleList(conv_norm_act(channels, out_channels, 1) for channels in in_channels)
        joined = out_channels * len(in_channels)
        self.attention = CbamModule(joined) if attention else nn.Identity()
        self.fuse = conv_norm_act(joined, out_channels, 3)
        self.join = nn.ModuleList(
            conv_norm_act(2 * out_channels, out_channels, 3) for _ in range(min(levels, len(in_channels)) - 1)
        )

    def forward(self, stages: list[Tensor]) -> SalientFeatures:
        """Fuses maps (B, C_i, H/s_i, W/s_i), finest first, to f and its pyramid."""
        reduced = [reduce(stage) for reduce, stage in zip(self.reduce, stages, strict=True)]
        size = reduced[0].shape[-2:]
        resized = [reduced[0]] + [functional.interpolate(m, size, mode="bilinear") for m in reduced[1:]]
        pyramid = [self.fuse(self.attention(cat(resized, 1)))]
        for join, stage in zip(self.join, reduced[1:], strict=False):
            pooled = functional.adaptive_avg_pool2d(pyramid[0], stage.shape[-2:])
            pyramid.append(join(cat([stage, pooled], 1)))
        while len(pyramid) < self.levels:
            pyramid.append(functional.avg_pool2d(pyramid[-1], 2, ceil_mode=True))
        return SalientFeatures(tuple(pyramid))
