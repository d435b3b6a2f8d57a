"""Times a pipeline of mmdet with `LoadWindowMasks` against the same with mmdet's `LoadAnnotations`, alternating.

An image of 1024x1024 with ten objects, outlined by polygons, passes loading of annotations, `Resize` to (1333, 800),
`RandomFlip` and `PackDetInputs`; its masks are then handed on as from a data worker, by pickle, and made a tensor.
Processor times of one thread; medians.
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

REST = (
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
)


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
    maker, times = SceneMaker(Recipe(canvas=(SIDE, SIDE), layout=TEN), 0), defaultdict(list)
    for index in range(images + 3):
        sample = as_sample(maker.make(index), index)
        for name, loader in loaders.items():
            own = copy.deepcopy(sample)
            first, own = timed(Compose([loader]), own)
            rest, packed = timed(Compose(REST), own)
            sent, _ = timed(handed_on, packed)
            if index >= 3:
                for step, seconds in (("", first), (", and the rest", first + rest), (" sent, to a tensor", sent)):
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
