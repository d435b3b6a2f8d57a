"""Computes the latents of a data set once, for training to read: the hook, and what a cache is checked against."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor

from sos_mm.atomic import atomic_folder
from sos_mm.saliency.data.transforms import (
    FlipSaliency,
    LetterboxSaliency,
    LoadAuxiliaryImage,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
)
from sos_mm.saliency.models.latent_cache import LatentCache

# Transforms that give the same image at each visit; a flip is cached both ways.
REPEATABLE = (
    *(LoadSaliencyImage, LoadSaliencyMask, ResizeSaliency, LetterboxSaliency, PackSaliencyInputs),
    *(LoadAuxiliaryImage, FlipSaliency),
)


@HOOKS.register_module()
class LatentCacheHook(Hook):
    """Gives the model a cache of the training data's latents, and writes it first where there is none that fits.

    A cache fits as long as the codec's weights, the files (names, sizes and times) and the pipeline are those it was
    made with.

    Args:
        folder: The cache's folder.
        batch_size: Images to encode at a time while it is written.
    """

    def __init__(self, folder: str, batch_size: int = 4):
        self.folder = Path(folder)
        self.batch_size = batch_size

    def before_train(self, runner) -> None:
        """Checks the cache, writes it where needed, and gives it to the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset = runner.train_dataloader.dataset
        check_cachable(model, dataset)
        if is_main_process():
            key = fingerprint(model, dataset)
            if cached_key(self.folder) != key:
                runner.logger.info(f"Writing latents of {len(dataset)} images to {self.folder}.")
                write_cache(model, dataset, self.folder, key, self.batch_size)
        barrier()
        model.latent_cache = LatentCache(self.folder)


def check_cachable(model, dataset) -> None:
    """Raises ValueError with the reason if cached latents would differ from the latents of training."""
    if model.decode_head.loss_pixel is not None:
        raise ValueError(
            "Latents cannot be cached with a pixel loss (`loss_pixel`): the mask is compared in pixels, its latent is "
            "never read, and the VAE's decoder runs at every step all the same. Remove LatentCacheHook."
        )
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f"Latents can be cached of one data set, but got {type(dataset).__name__}: in a mixture indices repeat."
        )
    for transform in dataset.pipeline.transforms:
        if type(transform) not in REPEATABLE:
            allowed = ", ".join(each.__name__ for each in REPEATABLE)
            raise ValueError(
                f"Latents cannot be cached with {type(transform).__name__} in the pipeline: it may change the image "
                f"at each visit (as pasting on the fly does), and a cache holds one. Only {allowed} can "
                "stand there; remove it, or remove LatentCacheHook."
            )


def fingerprint(model, dataset: BaseDataset) -> str:
    """Hashes what a cache is computed from: codec and its weights, pipeline, files with their sizes and times."""
    codec = model.codec
    digest = hashlib.sha256(f"{type(codec).__name__} {codec.stride} {model.image_range} {model.modalities}".encode())
    digest.update(f"{getattr(codec, 'scaling_factor', 1)} {getattr(codec, 'shift_factor', 0)}".encode())
    for name, value in sorted(codec.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for transform in dataset.pipeline.transforms:
        digest.update(f"{type(transform).__name__} {settings_of(transform)}".encode())
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        for path in sorted(str(value) for key, value in info.items() if key.endswith("_path")):
            facts = os.stat(path)
            digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()


def settings_of(transform) -> str:
    """Returns a transform's settings that are plain values, as text."""
    plain = (bool, int, float, str, tuple, list, type(None))
    return str({key: value for key, value in sorted(vars(transform).items()) if isinstance(value, plain)})


def cached_key(folder: Path) -> str | None:
    """Reads the hash that an existing cache was written with; None without a cache."""
    path = folder / "cache.json"
    return json.loads(path.read_text())["key"] if path.is_file() else None


@torch.no_grad()
def write_cache(model, dataset: BaseDataset, folder: Path, key: str, batch_size: int) -> None:
    """Encodes all images and masks, unflipped and flipped; the folder is written atomically."""
    with atomic_folder(folder, folder.with_name(f"{folder.name}.tmp")) as scratch:
        _fill(scratch, model, dataset, batch_size)
        (scratch / "cache.json").write_text(json.dumps(dict(key=key, images=len(dataset))))
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, model, dataset: BaseDataset, batch_size: int) -> None:
    arrays: list[np.memmap] = []
    for start in range(0, len(dataset), batch_size):
        indices = range(start, min(start + batch_size, len(dataset)))
        latents = encoded(model, [unflipped(dataset, index) for index in indices])
        if not arrays:
            arrays = [
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, (len(dataset), *latent.shape[1:]))
                for name, latent in zip(("image", "mask"), latents, strict=True)
            ]
        for array, latent in zip(arrays, latents, strict=True):
            array[indices.start : indices.stop] = latent.cpu().numpy().astype(np.float16)
    for array in arrays:
        array.flush()


def unflipped(dataset: BaseDataset, index: int) -> dict:
    """Returns a packed sample, without the pipeline's random flip."""
    results = dataset.get_data_info(index)
    for transform in dataset.pipeline.transforms:
        if not isinstance(transform, FlipSaliency):
            results = transform(results)
    return results


def encoded(model, samples: list[dict]) -> list[Tensor]:
    """Encodes images and masks to latents, each (B, 2, C, h, w), the second of a pair being flipped."""
    batch = {key: [sample[key] for sample in samples] for key in ("inputs", "data_samples")}
    data = model.data_preprocessor(batch, training=False)
    images = data["inputs"]
    masks = torch.stack([sample.gt_saliency.data for sample in data["data_samples"]]).to(images)
    masks = (masks * 2 - 1).expand(-1, 3, -1, -1)
    pairs = [
        [encode(pixels), encode(pixels.flip(-1))]
        for encode, pixels in ((model.image_latents, images), (model.codec.encode, masks))
    ]
    return [torch.stack(pair, 1) for pair in pairs]
