"""Models that learn from masks: their losses with `WindowMasks` are those with mmdet's `BitmapMasks`."""

import copy

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("mmdet.datasets", reason="mmdet needs mmcv with compiled operators", exc_type=ImportError)
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.hub import get_config
from mmengine.structures import InstanceData, PixelData

from sos_mm.detection.window_masks import WindowMasks

SIZE = (64, 96)


def smaller(part) -> None:
    """Makes a config a ResNet-18's, without pretrained weights, and its batches small."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if value == [256, 512, 1024, 2048]:
            part[key] = [64, 128, 256, 512]
        elif key == "depth":
            part[key] = 18
        elif key == "init_cfg":
            part[key] = None
        elif key == "size":
            part[key] = SIZE
        elif isinstance(value, dict | list):
            smaller(value)


def batch(kind: type, numbers: tuple[int, ...]) -> dict:
    """Images of ellipses, with their masks as one of the two kinds."""
    rng = np.random.default_rng(0)
    images, samples = [], []
    for number in numbers:
        whole, boxes, parts = np.zeros((number, *SIZE), np.uint8), np.zeros((number, 4), np.int64), []
        for mask, box in zip(whole, boxes, strict=True):
            center, axes = (rng.integers(20, side - 20) for side in SIZE[::-1]), rng.integers(8, 20, 2)
            cv2.ellipse(mask, [*map(int, center)], axes.tolist(), 30, 0, 360, 1, -1)
            x, y, width, height = cv2.boundingRect(mask)
            box[:] = x, y, x + width, y + height
            parts.append(mask[y : y + height, x : x + width])
        masks = kind(whole, *SIZE) if kind is BitmapMasks else kind.from_windows(boxes, parts, *SIZE)
        sample = DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0)))
        labels = torch.from_numpy(rng.integers(0, 80, number))
        sample.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes).float(), labels=labels, masks=masks)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=labels[:0], masks=masks[:0])
        sample.gt_sem_seg = PixelData(sem_seg=torch.zeros(1, *SIZE, dtype=torch.int64))
        samples.append(sample)
        images.append(torch.from_numpy(rng.integers(0, 256, (3, *SIZE), dtype=np.uint8)))
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize(
    "name",
    [
        "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
        "ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py",
        "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
        "yolact/yolact_r50_1xb8-55e_coco.py",
        "solov2/solov2-light_r50_fpn_ms-3x_coco.py",
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
    ],
)
def test_losses(name):
    register_all_modules()
    config = get_config(f"mmdet::{name}").model
    smaller(config)
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    for numbers in ((3, 1), (2, 0)):
        found = []
        for kind in (WindowMasks, BitmapMasks):
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002
            # Batch normalization learns from each batch.
            losses = copy.deepcopy(model)(**model.data_preprocessor(batch(kind, numbers), True), mode="loss")
            found.append(model.parse_losses(losses)[1])
        assert len(found[0]) > 1
        assert found[0] == found[1]
        assert all(torch.isfinite(value) for value in found[0].values())
