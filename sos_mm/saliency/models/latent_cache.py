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
    """Reads the cached latents of a training set.

    Args:
        folder: The folder that `LatentCacheHook` wrote.
    """

    def __init__(self, folder: Path):
        self.arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", "mask")]

    def read(self, data_samples: list[SegDataSample], like: Tensor) -> tuple[Tensor, Tensor]:
        """Reads the latents of samples and of their masks, of those that are flipped if the samples are.

        Args:
            data_samples: The samples, with ``sample_idx`` and ``flip``.
            like: A tensor on the device to use.

        Returns:
            Latents of the images and of the masks, each (B, C, h, w) float32.
        """
        keys = [(sample.sample_idx, int(bool(sample.metainfo.get("flip")))) for sample in data_samples]
        image, mask = (np.stack([array[key] for key in keys]).astype(np.float32) for array in self.arrays)
        return torch.from_numpy(image).to(like.device), torch.from_numpy(mask).to(like.device)
