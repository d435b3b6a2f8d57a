"""A light decoder from a map at a coarse stride to a mask's logits at full resolution."""

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, cat, nn
from torch.nn import functional

from sos_mm.saliency.models.fusion import conv_norm_act


@MODELS.register_module()
class MaskDecoder(BaseModule):
    """Doubles a map's resolution a few times, with one convolution each, down to one channel.

    Args:
        in_channels: Channels of the map.
        channels: Channels after each doubling; three doublings undo a stride of 8.
        guided: Whether the image, pooled to the resolution, is an additional input at each resolution. Otherwise edges
            are only as fine as the map.
    """

    def __init__(self, in_channels: int, channels: tuple[int, ...] = (32, 16, 8), guided: bool = False):
        super().__init__()
        self.guided = guided
        widths = zip((in_channels, *channels), channels, strict=False)
        self.steps = nn.ModuleList(conv_norm_act(before + 3 * guided, after, 3) for before, after in widths)
        self.to_logits = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, features: Tensor, images: Tensor | None = None) -> Tensor:
        """Decodes a map to logits.

        Args:
            features: (B, C, h, w).
            images: (B, 3, H, W) in [0, 1]; read only if ``guided``.

        Returns:
            Logits (B, 1, H, W), where H is h times two to the number of doublings.
        """
        for step in self.steps:
            features = functional.interpolate(features, scale_factor=2, mode="bilinear")
            if self.guided:
                features = cat([features, functional.interpolate(images, features.shape[-2:], mode="area")], 1)
            features = step(features)
        return self.to_logits(features)
