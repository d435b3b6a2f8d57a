"""Latents that a frozen codec has computed once, kept in files, so that no later pass or run computes them again."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from sos_mm.atomic import write_atomic


@MODELS.register_module()
class RememberingCodec(nn.Module):
    """A frozen codec that encodes each image once in its life.

    Unlike with `LatentCacheHook`, latents are found by the images' pixels: it serves any loss, data set and model. They
    are kept in 16 bits, as there.

    Args:
        codec: Config of the codec.
        folder: Folder of the files; those of a codec with other weights have other names.
    """

    def __init__(self, codec: dict, folder: str):
        super().__init__()
        self.codec = MODELS.build(codec)
        self.stride, self.latent_channels = self.codec.stride, self.codec.latent_channels
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        own = hashlib.blake2b(digest_size=16)
        for value in self.codec.state_dict().values():
            own.update(value.cpu().numpy().tobytes())
        self._own = own.digest()

    def encode(self, images: Tensor) -> Tensor:
        """Encodes images as the codec does, or reads their latents."""
        return torch.stack([self._encoded(image) for image in images.contiguous()]).to(images)

    def _encoded(self, image: Tensor) -> Tensor:
        pixels = image.cpu().contiguous().numpy()
        name = hashlib.blake2b(pixels.tobytes(), digest_size=16, key=self._own).hexdigest()
        path = self.folder / f"{name}.f16"
        shape = (self.latent_channels, *(side // self.stride for side in pixels.shape[-2:]))
        if not path.exists():
            latent = self.codec.encode(image[None])[0]
            write_atomic(path, latent.cpu().numpy().astype(np.float16).tobytes())
        return torch.from_numpy(np.fromfile(path, np.float16).reshape(shape).astype(np.float32))

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes as the codec does."""
        return self.codec.decode(latents)
