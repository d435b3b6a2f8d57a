"""Times pipelines of mmdet with `LoadWindowMasks` against the same with mmdet's `LoadAnnotations`, alternating.

Images of 1024x1024 with ten objects, outlined by polygons, pass loading of annotations; that, `Resize` to (1333, 800),
`RandomFlip` and `PackDetInputs`; and loading with the steps of RTMDet-Ins, `CachedMosaic` and `CachedMixUp` among them.
After the second, masks are handed on as from a data worker, by pickle, and made a tensor. Processor times of one
thread; medians.
"""

import argparse
import copy
import pickle
from collections import defaultdict

import cv2
import numpy as np
import torch
from mmdet.utils import register_all_modules
from mmengine.dataset import Compose
from segment_paste import SIDE, TEN, show, timed

from sos_mm.composition.outlines import outlines
from sos_mm.composition.scene import Scene
from sos_mm.synthesis import Recipe, SceneMaker

PACK = dict(type="PackDetInputs")
RESIZED = (dict(type="Resize", scale=(1333, 800), keep_ratio=True), dict(type="RandomFlip", prob=0.5), PACK)
MOSAIC = (
    dict(type="CachedMosaic", img_scale=(640, 640), pad_val=114.0),
    dict(type="RandomResize", scale=(1280, 1280), ratio_range=(0.1, 2.0), resize_type="mmdet.Resize", keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640), recompute_bbox=True, allow_negative_crop=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(type="CachedMixUp", img_scale=(640, 640), ratio_range=(1.0, 1.0), pad_val=(114, 114, 114)),
    PACK,
)
# Images that fill the caches of mosaics first.
CACHED = 10


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=int, default=30, help="number of images")
    images = parser.parse_args().images
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    register_all_modules()
    whole = dict(type="LoadAnnotations", with_bbox=True, with_mask=True)
    loaders = {"LoadAnnotations": whole, "LoadWindowMasks": dict(type="sos_mm.LoadWindowMasks", with_bbox=True)}
    load, resized, mosaic = (
        {name: Compose([loader, *steps]) for name, loader in loaders.items()} for steps in ((), RESIZED, MOSAIC)
    )
    maker, times = SceneMaker(Recipe(canvas=(SIDE, SIDE), layout=TEN), 0), defaultdict(list)
    for index in range(images + CACHED):
        sample = as_sample(maker.make(index), index)
        for name in loaders:
            np.random.seed(index)  # noqa: NPY002 # What mmdet draws from.
            mixed, _ = timed(mosaic[name], copy.deepcopy(sample))
            loaded, _ = timed(load[name], copy.deepcopy(sample))
            passed, packed = timed(resized[name], copy.deepcopy(sample))
            sent, _ = timed(handed_on, packed)
            if index >= CACHED:
                for step, seconds in (("", loaded), (", resized", passed), (", sent", sent), (", mosaic", mixed)):
                    times[name + step].append(seconds)
    show(times)


def as_sample(scene: Scene, index: int) -> dict:
    """Converts a scene to a sample as mmdet's data sets return it, with the image."""
    instances = []
    for each in scene.objects:
        polygons = [(part + np.tile(each.box[:2], len(part) // 2)).tolist() for part in outlines(each.mask)]
        instances.append({"bbox": list(each.box), "bbox_label": 0, "ignore_flag": 0, "mask": polygons})
    sizes = {"ori_shape": scene.size, "img_shape": scene.size}
    return {"img": scene.image, "img_id": index, "img_path": f"{index}.jpg", "instances": instances, **sizes}


def handed_on(packed: dict) -> torch.Tensor:
    """Hands the annotations of a sample on, as a data worker does, and makes a tensor of the masks."""
    sample = pickle.loads(pickle.dumps(packed["data_samples"]))
    return sample.gt_instances.masks.to_tensor(torch.uint8, "cpu")


if __name__ == "__main__":
    main()
