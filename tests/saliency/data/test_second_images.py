"""RGB-D and RGB-T: the shipped configs, shrunk, train and test from folders as the data sets are distributed."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner

from sos_mm.cli.test import augment
from sos_mm.engine.hooks import drawing_parts
from sos_mm.engine.launch import build_trained, leave_out_pretrained
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency import FlipSaliency, LetterboxSaliency, SaliencyDataset
from sos_mm.saliency.apis.inspection import describe, inspect_dataset
from tests.configs.test_models import shrink
from tests.saliency.conftest import CONFIGS, small_config, write_saliency_data

# Folder of a data set or of a part of it, its second images, and whether these have 16 bits.
LAYOUTS = {
    "rgbd": {
        "NJU2K/train": ("RGB", "depth", "GT"),
        "NLPR/train": ("Image", "Depth", "Mask"),
        "NJU2K/test": ("RGB", "depth", "GT"),
        "NLPR/test": ("RGB", "depth", "groundtruth"),
        "STERE": ("left", "depth", "GT"),
        "SIP": ("RGB", "depth", "GT"),
    },
    "rgbt": {
        "VT5000/Train": ("RGB", "T", "GT"),
        "VT5000/Test": ("RGB", "T", "GT"),
        "VT821": ("RGB", "T", "GT"),
        "VT1000": ("RGB", "T", "GT"),
    },
}


def write_pairs(root: Path, folders: tuple[str, str, str], number: int = 2) -> None:
    """Photographs as JPEG, second images and masks as PNG; the second images show the object and nothing else."""
    rng = np.random.default_rng(len(str(root)))
    for folder in folders:
        (root / folder).mkdir(parents=True)
    for index in range(number):
        mask = np.zeros((40, 48), np.uint8)
        mask[8:24, 5 + 9 * index : 25 + 9 * index] = 255
        cv2.imwrite(str(root / folders[0] / f"{index}.jpg"), rng.integers(0, 255, (40, 48, 3), dtype=np.uint8))
        # Depth of 16 bits, as some cameras give it; thermal in three equal channels.
        second = mask.astype(np.uint16) * 20 + 1000 if folders[1] != "T" else np.repeat(mask[..., None], 3, 2)
        cv2.imwrite(str(root / folders[1] / f"{index}.png"), second)
        cv2.imwrite(str(root / folders[2] / f"{index}.png"), mask)


def shrunk(name: str, work_dir: Path) -> Config:
    """A shipped config for images of 64 x 64, with two steps a epoch."""
    config = Config.fromfile(CONFIGS / f"sod_diffusion/sod_diffusion_swinb_{name}.py")
    leave_out_pretrained(config.model)
    config.model = shrink(config.model)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        config[loader].update(batch_size=2, num_workers=0, persistent_workers=False)
        for dataset in config[loader].dataset.datasets:
            dataset.serialize_data = False
            scale_to(dataset.pipeline, (64, 64))
    scale_to(config.tta_pipeline, (64, 64))
    config.merge_from_dict({"train_cfg.max_epochs": 1, "train_cfg.val_interval": 1, "work_dir": str(work_dir)})
    config.merge_from_dict({"default_hooks.logger.interval": 1, "default_hooks.checkpoint.interval": 1})
    config.experiment_name = f"{name}-{work_dir.name}"
    return config


def scale_to(pipeline: list[dict], scale: tuple[int, int]) -> None:
    for step in pipeline:
        if step.type == "ResizeSaliency":
            step.scale = scale


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """All data sets below ``data``, as the configs look for them."""
    for layouts in LAYOUTS.values():
        for root, names in layouts.items():
            write_pairs(tmp_path / "data" / root, names)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", LAYOUTS)
def test_configs_train_and_test_from_folders_as_distributed(folders, name):
    config = shrunk(name, folders / "run")
    runner = Runner.from_cfg(config)
    images = runner.train_dataloader.dataset
    assert len(images) == 2 * sum(root.lower().endswith("/train") for root in LAYOUTS[name])
    for part in drawing_parts(images):
        part.draws = RunRandomness(0)
    packed = images[0]
    assert packed["inputs"].shape == (6, 64, 64)
    # The second image lies on the mask, flipped or not, and over all 8 bits.
    second, mask = packed["inputs"][3:].float(), packed["data_samples"].gt_saliency.data * 255
    assert (second - mask).abs().mean() < 3
    runner.train()
    log = [json.loads(line) for line in Path(runner.log_dir, "vis_data/scalars.json").read_text().splitlines()]
    assert len([record for record in log if "loss" in record]) == len(images) // 2
    tested = shrunk(name, folders / "tested")
    scores = build_trained(tested, f"{runner.work_dir}/epoch_1.pth").test()
    sets = {root.split("/")[0] for root in LAYOUTS[name] if not root.lower().endswith("/train")}
    assert {key.split("/")[1] for key in scores} == sets
    assert all(np.isfinite(value) for value in scores.values())


def test_parts_of_a_data_set_can_be_chosen_by_lists(folders):
    """Where training and test images lie in one folder."""
    write_pairs(folders / "whole/NJU2K", ("RGB", "depth", "GT"), number=3)
    (folders / "train.txt").write_text("0\n2\n")
    dataset = SaliencyDataset("whole/NJU2K", stems="train.txt")
    assert [Path(dataset.get_data_info(i)["aux_path"]).name for i in range(2)] == ["0.png", "2.png"]


def test_parts_are_complete_by_their_own_numbers(folders):
    found = inspect_dataset(SaliencyDataset("data/NLPR/train", benchmark="NLPR"), progress=False)
    assert not found.complete
    assert "NLPR: 2 of 1000 or 700 or 300 pairs, INCOMPLETE" in describe([found])
    found.pairs = 300
    assert found.complete


def test_cached_latents_hold_those_of_both_images(folders):
    config = shrunk("rgbt", folders / "plain")
    # One data set: in a mixture indices repeat.
    config.train_dataloader.dataset = config.train_dataloader.dataset.datasets[0]
    config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    losses = []
    for hooks in ([], [dict(type="LatentCacheHook", folder="latents")]):
        torch.manual_seed(0)
        config.custom_hooks = [dict(type="VisitHook"), *hooks]
        config.experiment_name = f"cache-{len(hooks)}"
        # mmengine names a run's log after the second it starts in: in one folder two quick runs would share it.
        config.work_dir = str(folders / config.experiment_name)
        runner = Runner.from_cfg(config)
        runner.train()
        log = Path(runner.log_dir, "vis_data/scalars.json").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in log])
    np.testing.assert_allclose(*losses, rtol=2e-3)
    assert np.load("latents/image.npy").shape == (2, 2, 8, 8, 8)
    assert np.load("latents/mask.npy").shape == (2, 2, 4, 8, 8)


def test_cache_of_several_data_sets_is_refused(folders):
    config = shrunk("rgbd", folders / "run")
    config.custom_hooks.append(dict(type="LatentCacheHook", folder="latents"))
    with pytest.raises(ValueError, match="of one data set, but got ConcatDataset"):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (3, 1000), (1, 1)])
def test_letterbox_keeps_the_shape_and_treats_all_alike(shape):
    image = np.full((*shape, 3), 200, np.uint8)
    results = dict(img=image, aux=image, gt_saliency=np.ones(shape, np.float32), img_shape=shape)
    boxed = LetterboxSaliency(scale=(64, 48))(results)
    assert boxed["img"].shape == boxed["aux"].shape == (48, 64, 3)
    left, right, top, bottom = boxed["padding_size"]
    height, width = 48 - top - bottom, 64 - left - right
    assert height == 48 or width == 64
    assert abs(width - height * shape[1] / shape[0]) < max(1, shape[1] / shape[0])
    inside = np.zeros((48, 64), bool)
    inside[top : 48 - bottom, left : 64 - right] = True
    for key, within, around in (("img", 200, 127), ("aux", 200, 127), ("gt_saliency", 1, 0)):
        plane = boxed[key] if boxed[key].ndim == 2 else boxed[key][..., 0]
        np.testing.assert_allclose(plane, np.where(inside, within, around), atol=1e-5)


def test_a_letterboxed_image_is_flipped_with_its_padding(folders):
    """So that what is cut off afterwards is what was added, also where one side has a pixel more."""
    image = np.full((9, 48, 3), 200, np.uint8).transpose(1, 0, 2).copy()
    results = dict(img=image, img_shape=(48, 9), sample_idx=0)
    results = FlipSaliency(prob=1.0)(LetterboxSaliency(scale=(48, 48))(results))
    left, right, _, _ = results["padding_size"]
    assert (left, right, results["flip_direction"]) == (20, 19, "horizontal")
    assert (results["img"][:, left : 48 - right] == 200).all()


def test_augmented_testing_flips_both_images_and_no_mask(folders):
    config = shrunk("rgbt", folders / "run")
    with pytest.raises(ValueError, match="`--tta` needs `tta_model`"):
        augment(Config(dict(tta_pipeline=[])))
    augment(config)
    assert (config.model.type, config.model.module.type) == ("SaliencyTTAModel", "LatentDiffusionSegmentor")
    pipelines = [each.pipeline for each in config.test_dataloader.dataset.datasets]
    assert len(pipelines) == 3
    dataset = DATASETS.build(config.test_dataloader.dataset)
    packed = dataset[0]
    straight, flipped = packed["inputs"]
    assert straight.shape == (6, 64, 64)
    assert torch.equal(straight.flip(-1), flipped)
    masks = [sample.gt_saliency.data for sample in packed["data_samples"]]
    assert torch.equal(*masks)
    assert [sample.flip for sample in packed["data_samples"]] == [False, True]


def test_augmented_testing_of_several_data_sets_keeps_their_images_apart(tmp_path):
    """By a Runner, with an ensemble of two; both data sets have images of the same names."""
    roots = [write_saliency_data(tmp_path / name, 2) for name in ("first", "second")]
    config = small_config(
        roots[0], tmp_path / "run", **{"model.test_cfg.ensemble_size": 2, "model.test_cfg.num_inference_steps": 1}
    )
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), tmp_path / "small.pth")
    base = config.test_dataloader.dataset
    sets = [dict(base, data_root=str(root)) for root in roots]
    config.test_dataloader.dataset = dict(type="ConcatDataset", datasets=sets)
    scale_to(config.tta_pipeline, (64, 64))
    config.custom_hooks = [dict(type="SaveSaliencyHook", folder=str(tmp_path / "maps"))]
    config.custom_hooks.append(dict(type="SaliencyVisualizationHook", number=None, folder=str(tmp_path / "rows")))
    config.experiment_name = "several"
    augment(config)
    scores = build_trained(config, str(tmp_path / "small.pth")).test()
    assert {key.split("/")[1] for key in scores} == {"first", "second"}
    for folder in ("maps", "rows"):
        files = sorted(path.relative_to(tmp_path / folder).as_posix() for path in (tmp_path / folder).rglob("*.png"))
        assert files == ["first/0.png", "first/1.png", "second/0.png", "second/1.png"]
    assert cv2.imread(str(tmp_path / "maps/first/0.png")).shape == (40, 48, 3)
