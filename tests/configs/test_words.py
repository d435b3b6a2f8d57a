"""Configs that train on captions and expressions: images are mirrored only where no word becomes false."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.registry import TRANSFORMS, init_default_scope

import sos_mm.augmentation  # noqa: F401

CONFIGS = Path(__file__).parents[2] / "configs" / "grounding"
MODEL = "mm-grounding-dino_swin-t_"
EVERY = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def quick_lookup():
    """A config of mmdet is looked up in a hundred files, each time anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_module, "_get_external_cfg_path", functools.cache(config_module._get_external_cfg_path))
        yield


@functools.cache
def pipelines(name: str) -> list[list]:
    """Those of the training sets with captions."""
    loader = Config.fromfile(CONFIGS / name).get("train_dataloader")
    found = data_sets(loader["dataset"]) if loader else []
    return [each["pipeline"] for each in found if "ODVG" in each["type"] and not each.get("label_map_file")]


def data_sets(config) -> Iterator:
    inner = [*config.get("datasets", []), *([config["dataset"]] if "dataset" in config else [])]
    if not inner:
        yield config
    for each in inner:
        yield from data_sets(each)


def bare(steps, kind: str) -> Iterator[dict]:
    """Transforms of a kind that act whatever the words are."""
    for step in steps if isinstance(steps, list | tuple) else [steps]:
        if step["type"].endswith(kind) and step.get("prob", 1) != 0:
            yield step
        elif not step["type"].endswith("WordSafeTransform"):
            for inner in step.get("transforms", []):
                yield from bare(inner, kind)


@pytest.mark.parametrize("name", EVERY)
def test_no_caption_is_mirrored_unread(name):
    for pipeline in pipelines(name):
        assert list(bare(pipeline, "Flip")) == []


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith((f"{MODEL}referring", f"{MODEL}single"))])
def test_expressions_are_not_cropped_unread(name):
    """The composed ones; the replayed captions are treated as in pre-training."""
    sources = data_sets(Config.fromfile(CONFIGS / name).train_dataloader.dataset)
    composed = [each for each in sources if each["data_root"].startswith("data/sos/")]
    assert composed, "the config names no composed source"
    for each in composed:
        assert each.get("label_map_file") or list(bare(each["pipeline"], "Crop")) == []


def test_there_are_pipelines_to_look_at():
    assert sum(bool(pipelines(name)) for name in EVERY) > 10
    flip = {"type": "RandomFlip", "prob": 0.5}
    assert list(bare([{"type": "RandomChoice", "transforms": [[flip], []]}], "Flip")) == [flip]


@pytest.mark.parametrize(
    ("name", "text", "flips", "crops"),
    [
        (f"{MODEL}referring-100k.py", "a cat on a lawn", True, True),
        (f"{MODEL}referring-100k.py", "the second cat", True, False),
        (f"{MODEL}referring-100k.py", "the cat on the left", False, False),
        (f"{MODEL}composed-100k.py", "the second cat", True, True),
        (f"{MODEL}composed-100k.py", "the cat on the left", False, True),
        ("sample_tiny.py", "the cat on the left", False, False),
    ],
)
def test_the_transforms_are_those_of_mmdet(name, text, flips, crops):
    import torch
    from mmdet.structures.bbox import HorizontalBoxes

    init_default_scope("mmdet")
    pipeline = [each for each in pipelines(name)[0] if each["type"] in ("WordSafeTransform", "RandomChoice")]
    flipped, shapes = 0, set()
    for seed in range(20):
        np.random.seed(seed)  # noqa: NPY002
        boxes = HorizontalBoxes(torch.tensor([[10.0, 20, 200, 200]]))
        results = {
            "img": np.zeros((300, 400, 3), np.uint8),
            "img_shape": (300, 400),
            "gt_bboxes": boxes,
            "gt_bboxes_labels": np.array([0]),
            "gt_ignore_flags": np.array([False]),
            "text": text,
        }
        for step in pipeline:
            results = TRANSFORMS.build(step)(results)
        flipped += bool(results.get("flip"))
        shapes.add(round(results["img_shape"][1] / results["img_shape"][0], 1))
    assert (flipped > 0) == flips
    # A resize keeps the aspect of 4 to 3.
    assert (len(shapes) > 2) == crops
