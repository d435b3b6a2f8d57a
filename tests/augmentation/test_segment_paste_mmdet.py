"""SegmentPaste as one more line of stock mmdet pipelines."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.registry import DATASETS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.hub import get_config

from sos_mm.augmentation import SegmentPaste
from sos_mm.detection.window_masks import WindowMasks
from sos_mm.engine.randomness import RunRandomness
from sos_mm.segments.vocabulary import read_vocabulary
from sos_mm.synthesis import Recipe, synthesize

LINE = dict(
    type="sos_mm.SegmentPaste", bank=dict(type="sample", group="held_out"), classes="coco", unknown="skip", prob=1.0
)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """A small data set with COCO's categories, composed of what is bundled."""
    root = tmp_path_factory.mktemp("coco") / "data"
    recipe = Recipe(
        canvas=(160, 200),
        segments={"type": "sample", "vocabulary": "coco"},
        backgrounds={"type": "texture"},
        layout={"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
        vocabulary="coco",
        formats=["coco", "odvg"],
    )
    synthesize(recipe, root, 12, progress=False)
    return root


def stock_dataset(name: str, data_root, line: dict | None):
    """The training data set of a stock config over that data, with the line behind the loading of annotations."""
    register_all_modules()
    dataset = get_config(f"mmdet::{name}").train_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    dataset.update(data_root=str(data_root), ann_file="annotations/instances.json", data_prefix=dict(img="images/"))
    dataset.pop("backend_args", None)
    place = next(i for i, step in enumerate(dataset.pipeline) if step["type"] == "LoadAnnotations") + 1
    if line:
        dataset.pipeline.insert(place, line)
    return DATASETS.build(dataset)


@pytest.mark.parametrize(
    "name",
    [
        "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
        "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
        "dino/dino-4scale_r50_8xb2-12e_coco.py",
    ],
)
def test_one_line_in_a_stock_config(data_root, name):
    plain, pasted = (stock_dataset(name, data_root, line) for line in (None, LINE))
    more = 0
    for index in range(len(pasted)):
        item = pasted[index]
        instances = item["data_samples"].gt_instances
        height, width = item["inputs"].shape[1:]
        boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2] <= width + 1e-3).all()
        assert (boxes[:, 3] <= height + 1e-3).all()
        assert (instances.labels < len(pasted.metainfo["classes"])).all()
        if "masks" in instances:
            assert len(instances.masks) == len(instances.labels)
            assert (instances.masks.to_ndarray().reshape(len(instances.labels), -1).sum(axis=1) > 0).all()
        more += len(instances.labels) - len(plain[index]["data_samples"].gt_instances.labels)
    assert more > len(pasted)


RESIZE = dict(type="RandomResize", scale=(300, 240), ratio_range=(0.7, 1.5), keep_ratio=True)
FLIP = dict(type="RandomFlip", prob=[0.3, 0.3, 0.3], direction=["horizontal", "vertical", "diagonal"])
CROP = dict(type="RandomCrop", crop_size=(150, 170), recompute_bbox=True, allow_negative_crop=True)
PAD = dict(type="Pad", size=(200, 200))
FILTER = dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), min_gt_mask_area=30, by_mask=True, keep_empty=False)
MOSAIC = dict(type="CachedMosaic", img_scale=(150, 170), max_cached_images=8, random_pop=False)
MIX = dict(type="CachedMixUp", img_scale=(200, 200), max_cached_images=6, random_pop=False, prob=0.7)


@pytest.mark.parametrize(
    "steps", [(RESIZE, LINE, FLIP, CROP, PAD), (LINE, RESIZE, FLIP, CROP, PAD), (LINE, MOSAIC, RESIZE, CROP, PAD, MIX)]
)
@pytest.mark.parametrize("load", [dict(type="LoadAnnotations", with_mask=True), dict(type="sos_mm.LoadWindowMasks")])
def test_windows_of_masks_give_what_whole_masks_give(data_root, monkeypatch, steps, load):
    """Through mmdet's transforms, to what models ask for."""
    pipeline = [dict(type="LoadImageFromFile"), load, *steps, FILTER, dict(type="PackDetInputs")]
    windows = packed(data_root, pipeline)
    monkeypatch.setattr(WindowMasks, "from_windows", classmethod(drawn))
    truths = packed(data_root, pipeline)
    assert len(windows) == len(truths) == 12
    for found, truth in zip(windows, truths, strict=True):
        one, other = (each["data_samples"].gt_instances for each in (found, truth))
        assert isinstance(one.masks, WindowMasks)
        assert one.masks.windows is not None
        assert not isinstance(other.masks, WindowMasks)
        assert torch.equal(found["inputs"], truth["inputs"])
        assert torch.equal(one.bboxes.tensor, other.bboxes.tensor)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(*(each.masks.pad((320, 352)).to_tensor(torch.bool, "cpu") for each in (one, other)))
        np.testing.assert_array_equal(one.masks.to_ndarray(), other.masks.to_ndarray())


def packed(data_root, pipeline: list[dict]) -> list[dict]:
    """All samples of the data set with the same draws each time."""
    register_all_modules()
    files = dict(data_root=str(data_root), ann_file="annotations/instances.json", data_prefix=dict(img="images/"))
    dataset = DATASETS.build(dict(type="CocoDataset", pipeline=pipeline, **files))
    next(step for step in dataset.pipeline.transforms if isinstance(step, SegmentPaste)).draws = RunRandomness(0)
    found = []
    for index in range(len(dataset)):
        np.random.seed(index)  # noqa: NPY002
        found.append(dataset[index])
    return found


def drawn(cls, windows, parts, height, width):
    """`WindowMasks.from_windows`, as mmdet's masks."""
    masks = np.zeros((len(parts), height, width), parts[0].dtype)
    for mask, (x0, y0, x1, y1), part in zip(masks, windows, parts, strict=True):
        mask[y0:y1, x0:x1] = part
    return BitmapMasks(masks, height, width)


def test_labels_are_those_of_the_data_set(data_root):
    """mmdet counts classes in the order of COCO's ids, and so do we."""
    dataset = stock_dataset("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", data_root, LINE)
    ids = read_vocabulary("coco")
    assert tuple(sorted(ids, key=ids.get)) == tuple(dataset.metainfo["classes"])


def test_grounding_data(data_root):
    """Through mmdet's ODVG data set: every label has a phrase, and every span gives it back."""
    register_all_modules()
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(type="sos_mm.SegmentPaste", bank=dict(type="sample", group="held_out"), prob=1.0),
    ]
    dataset = DATASETS.build(
        dict(
            type="ODVGDataset",
            data_root=str(data_root),
            ann_file="annotations/odvg_grounding.jsonl",
            data_prefix=dict(img="images/"),
            return_classes=True,
            pipeline=pipeline,
        )
    )
    for index in range(len(dataset)):
        results, plain = dataset[index], dataset.get_data_info(index)
        assert len(results["gt_bboxes"]) > len(plain["instances"]) - 3
        assert set(np.unique(results["gt_bboxes_labels"])) <= set(results["phrases"])
        for entry in results["phrases"].values():
            for start, end in entry["tokens_positive"]:
                assert results["text"][start:end].lower() == entry["phrase"].lower()
