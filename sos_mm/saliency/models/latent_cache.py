"""Latents of a data set's images and masks that were computed before training, read in place of the VAE's passes.

A cache is a folder of two arrays, ``image.npy`` and ``mask.npy``, (N, 2, C, h, w) float16, the second of each pair
being that of the flipped image, and ``cache.json``, which says what they were computed from.
"""

from pathlib import Path

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor


class LatentCache:
    """Reads a cache.

    Args:
        folder: Its folder.
    """

    def __init__(self, folder: Path):
        self.arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", "mask")]

    def read(self, data_samples: list[SegDataSample], like: Tensor) -> tuple[Tensor, Tensor]:
        """Reads latents of images and masks, each (B, C, h, w) float32, by ``sample_idx`` and ``flip``."""
        keys = [(sample.sample_idx, int(bool(sample.metainfo.get("flip")))) for sample in data_samples]
        image, mask = (np.stack([array[key] for key in keys]).astype(np.float32) for array in self.arrays)
        return torch.from_numpy(image).to(like.device), torch.from_numpy(mask).to(like.device)
