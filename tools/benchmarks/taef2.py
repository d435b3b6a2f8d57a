"""TAEF2, a tiny autoencoder of FLUX.2's latents, as a codec of our saliency models.

Its blocks are those of TAESD, but for a shortcut of pooled statistics in the ones at stride 8, so that diffusers'
`AutoencoderTiny` cannot hold them. Weights: `taef2_encoder.pth` and `taef2_decoder.pth` of
https://github.com/madebyollin/taesd (MIT).
"""

from pathlib import Path

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from sos_mm.saliency.models.latent_codec import FrozenAutoencoder

CHANNELS = 64
LATENT_CHANNELS = 32
STRIDE = 8
# Mean and standard deviation of the latents of 25 training photographs of the study at 192x192.
MEAN, DEVIATION = 0.03, 0.87
HOW_TO_GET = (
    "download taef2_encoder.pth and taef2_decoder.pth from https://github.com/madebyollin/taesd into one folder"
)


class Clamp(nn.Module):
    """Bounds latents smoothly to (-3, 3)."""

    def forward(self, latents: Tensor) -> Tensor:
        """Bounds them."""
        return torch.tanh(latents / 3) * 3


class Block(nn.Module):
    """Three convolutions with a shortcut; with `pooled` a bottleneck with a group norm is added before them."""

    def __init__(self, pooled: bool = False):
        super().__init__()
        convolutions = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])
        self.pool: nn.Module | None = None
        if pooled:
            wide = 4 * CHANNELS
            widen, narrow = nn.Conv2d(CHANNELS, wide, 1, bias=False), nn.Conv2d(wide, CHANNELS, 1, bias=False)
            self.pool = nn.Sequential(widen, nn.GroupNorm(4, wide), nn.ReLU(), narrow)

    def forward(self, maps: Tensor) -> Tensor:
        """Computes the block, (B, 64, h, w) to the same shape."""
        if self.pool is not None:
            maps = maps + self.pool(maps)
        return torch.relu(self.conv(maps) + maps)


def encoder() -> nn.Sequential:
    """Builds the encoder: images (B, 3, H, W) in [0, 1] to latents (B, 32, H/8, W/8)."""
    layers: list[nn.Module] = [nn.Conv2d(3, CHANNELS, 3, padding=1), Block()]
    for pooled in (False, False, True):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1, bias=False), *three_blocks(pooled)]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, LATENT_CHANNELS, 3, padding=1))


def decoder() -> nn.Sequential:
    """Builds the decoder: latents (B, 32, h, w) to images (B, 3, 8 h, 8 w), about [0, 1]."""
    layers: list[nn.Module] = [Clamp(), nn.Conv2d(LATENT_CHANNELS, CHANNELS, 3, padding=1), nn.ReLU()]
    for pooled in (True, False, False):
        layers += [*three_blocks(pooled), nn.Upsample(scale_factor=2)]
        layers.append(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False))
    return nn.Sequential(*layers, Block(), nn.Conv2d(CHANNELS, 3, 3, padding=1))


def three_blocks(pooled: bool) -> list[Block]:
    """Builds the three blocks of one resolution."""
    return [Block(pooled) for _ in range(3)]


@MODELS.register_module()
class Taef2Codec(FrozenAutoencoder):
    """The frozen autoencoder as a codec: latents of 32 channels at stride 8.

    Args:
        weights: Folder of the two files of weights.

    Raises:
        FileNotFoundError: If a file is missing; says where to get it.
        ValueError: If a file holds the weights of another architecture, or no weights.
    """

    stride = STRIDE
    latent_channels = LATENT_CHANNELS

    def __init__(self, weights: str | Path):
        parts = nn.ModuleDict({"encoder": encoder(), "decoder": decoder()})
        for name, part in parts.items():
            load(part, Path(weights) / f"taef2_{name}.pth")
        super().__init__(parts, scaling_factor=1 / DEVIATION, shift_factor=MEAN)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes (B, 3, H, W) in [-1, 1] to (B, 32, H/8, W/8), scaled; there is nothing to sample."""
        return self.scaled(self.vae["encoder"]((images + 1) / 2))

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes (B, 32, h, w) to (B, 3, 8 h, 8 w), about [-1, 1]. Differentiable with respect to the latents."""
        return self.vae["decoder"](self.unscaled(latents)) * 2 - 1


def load(part: nn.Module, path: Path) -> None:
    """Loads a state dict into a part of the autoencoder, in 32 bits.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not the part's state dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {HOW_TO_GET}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        part.load_state_dict({name: value.float() for name, value in state.items()})
    except Exception as error:  # torch's errors for a file that is none of its own are of many types.
        raise ValueError(
            f"{path} does not hold the weights of TAEF2 ({str(error).strip().splitlines()[0]}): {HOW_TO_GET}."
        ) from error
