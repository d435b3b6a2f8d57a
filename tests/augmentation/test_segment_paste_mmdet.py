"""SegmentPaste as one more line of stock mmdet pipelines."""

import numpy as np
import pytest

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.hub import get_config

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
