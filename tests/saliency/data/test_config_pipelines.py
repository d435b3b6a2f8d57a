"""Every shipped saliency config takes photographs of unlike sizes through its own pipelines, to batches and back."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, FUNCTIONS, MODELS, init_default_scope

from sos_mm.cli.test import augment
from sos_mm.engine.hooks import drawing_parts
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency.data.benchmarks import BENCHMARKS
from sos_mm.saliency.models.base_segmentor import ground_truth
from tests.saliency.conftest import CONFIGS

NAMES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("sod_*.py") if "_base_" not in path.parts)
# Height and width: a landscape, a portrait, a panorama smaller than what models take, and one of their own size.
SIZES = ((90, 140), (600, 417), (33, 200), (64, 64))


def single_data_sets(dataset: Config) -> Iterator[Config]:
    """The configs of the data sets that a loader's mixes."""
    for each in dataset.get("datasets", [dataset]):
        yield from single_data_sets(each) if "datasets" in each else [each]


def write_photographs(dataset: Config) -> None:
    """Writes what a data set's config looks for, below the working folder: an object on noise in each image."""
    root = Path(dataset.data_root)
    benchmark = BENCHMARKS.get(dataset.get("benchmark") or root.name)
    auxiliary = benchmark.auxiliary[:1] if benchmark else ()
    rng = np.random.default_rng(0)
    for folder in ("images", "masks", *auxiliary):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index, size in enumerate(SIZES):
        mask = np.zeros(size, np.uint8)
        mask[size[0] // 4 : size[0] // 2, size[1] // 3 : size[1] // 2] = 255
        photograph = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{index}.jpg"), photograph)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
        for folder in auxiliary:
            # Sensors of depth and thermal images have a size of their own.
            second = cv2.resize(mask, (size[1] // 2, size[0] // 2))
            second = second if folder == "T" else second.astype(np.uint16) * 100
            cv2.imwrite(str(root / folder / f"{index}.png"), second)


@pytest.fixture(params=NAMES)
def config(request, tmp_path, monkeypatch) -> Config:
    """A shipped config, in a folder where its data sets lie."""
    monkeypatch.chdir(tmp_path)
    loaded = Config.fromfile(CONFIGS / request.param)
    init_default_scope("mmseg")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for dataset in single_data_sets(loaded[loader].dataset):
            # Serialising collects garbage, which takes seconds beside torch.
            dataset.serialize_data = False
            write_photographs(dataset)
    return loaded


def first_samples(loader: Config) -> tuple[list[dict], dict]:
    """A sample of every size as a loader's data set gives it, and all of them collated."""
    dataset = DATASETS.build(loader.dataset)
    for part in drawing_parts(dataset):
        part.draws = RunRandomness(0)
    packed = [dataset[index] for index in range(len(SIZES))]
    collate = FUNCTIONS.get(loader.collate_fn.type) if "collate_fn" in loader else pseudo_collate
    return packed, collate(packed)


def check_inputs(inputs: torch.Tensor, modalities: int) -> None:
    """A batch (B, 3 n, H, W) of one size, scaled to [0, 1], of photographs that are not all the same."""
    assert inputs.shape[:2] == (len(SIZES), 3 * modalities)
    assert inputs.shape[-1] % 8 == inputs.shape[-2] % 8 == 0
    assert 0 <= inputs.min() < inputs.max() <= 1
    assert not torch.equal(inputs[0], inputs[1])


def test_training_pipeline_gives_batches(config):
    _, batch = first_samples(config.train_dataloader)
    data = MODELS.build(config.model.data_preprocessor)(batch, training=True)
    check_inputs(data["inputs"], config.model.get("modalities", 1))
    # What the losses read first.
    masks = ground_truth(data["data_samples"], data["inputs"])
    assert masks.shape == (len(SIZES), 1, *data["inputs"].shape[-2:])
    # The object covers a quarter times a sixth of each photograph, whatever its aspect.
    torch.testing.assert_close(masks.mean((1, 2, 3)), torch.full((len(SIZES),), 1 / 24), atol=0.01, rtol=0)
    assert len({sample.sample_idx for sample in data["data_samples"]}) == len(SIZES)


@pytest.mark.parametrize("loader", ["val_dataloader", "test_dataloader"])
def test_test_pipelines_keep_masks_as_they_are(config, loader):
    _, batch = first_samples(config[loader])
    data = MODELS.build(config.model.data_preprocessor)(batch, training=False)
    check_inputs(data["inputs"], config.model.get("modalities", 1))
    check_original_masks(data["data_samples"])


def check_original_masks(samples: list) -> None:
    """Masks have the size of their photograph, and the values of their file."""
    for sample, size in zip(samples, SIZES, strict=True):
        assert tuple(sample.ori_shape) == size
        stored = cv2.imread(sample.mask_path, cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(sample.gt_saliency.data[0].numpy() * 255, stored)


def test_augmented_testing_keeps_masks_as_they_are(config):
    preprocessor = MODELS.build(config.model.data_preprocessor)
    modalities = config.model.get("modalities", 1)
    augment(config)
    _, batch = first_samples(config.test_dataloader)
    views = []
    # As mmengine's `BaseTTAModel.test_step` takes a batch apart.
    for index in range(len(batch["inputs"])):
        data = preprocessor({key: value[index] for key, value in batch.items()}, training=False)
        check_inputs(data["inputs"], modalities)
        check_original_masks(data["data_samples"])
        assert [sample.flip for sample in data["data_samples"]] == [bool(index)] * len(SIZES)
        views.append(data["inputs"])
    assert len(views) == 2
    assert torch.equal(views[0].flip(-1), views[1])
