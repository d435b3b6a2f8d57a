"""Loading, resizing, flipping and packing of images with saliency masks.

mmseg's own loader and packer cannot serve: they cast to integers, and ignore the value 255, which in a
saliency mask is the foreground.
"""

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, Resize, to_tensor
from mmengine.registry import TRANSFORMS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sos_mm.checks import check_range, read_image
from sos_mm.seeding import Purpose
from sos_mm.visits import DrawsFromRun


@TRANSFORMS.register_module()
class LoadSaliencyImage(BaseTransform):
    """Reads an image, and names the file where that fails: mmcv's ``LoadImageFromFile`` does not.

    Required Keys:

    - img_path

    Added Keys:

    - img (np.ndarray): (H, W, 3) uint8, BGR as everywhere in OpenMMLab, turned as its EXIF data say.
    - img_shape, ori_shape (tuple): (H, W).
    """

    def transform(self, results: dict) -> dict:
        """Adds ``img``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be decoded.
        """
        results["img"] = cv2.cvtColor(read_image(results["img_path"], channels=3), cv2.COLOR_RGB2BGR)
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadSaliencyMask(BaseTransform):
    """Reads the mask of an image as a float map.

    Required Keys:

    - mask_path
    - img_path
    - ori_shape

    Added Keys:

    - gt_saliency (np.ndarray): (H, W) float32 in [0, 1], at the original size.
    """

    def transform(self, results: dict) -> dict:
        """Adds ``gt_saliency``.

        Raises:
            FileNotFoundError: If there is no mask.
            ValueError: If it cannot be decoded, its size is not the image's, or it holds 0 and 1.
        """
        mask = read_image(results["mask_path"], channels=1)
        if mask.shape != tuple(results["ori_shape"][:2]):
            sizes = ["x".join(map(str, shape[::-1])) for shape in (mask.shape, results["ori_shape"][:2])]
            raise ValueError(
                f"The mask {results['mask_path']} is {sizes[0]}, but its image {results['img_path']} is {sizes[1]}: "
                "resize one of them."
            )
        if 0 < mask.max() <= 1:
            raise ValueError(
                f"The mask {results['mask_path']} holds 0 and 1, but must hold 0 (background) to 255 (salient): "
                "multiply it by 255."
            )
        results["gt_saliency"] = mask.astype(np.float32) / 255
        return results


@TRANSFORMS.register_module()
class ResizeSaliency(Resize):
    """mmcv's ``Resize``, which also resizes the saliency map, bilinearly (by area when it shrinks).

    Required Keys:

    - img
    - gt_saliency (optional)

    Modified Keys:

    - img, img_shape, gt_saliency
    """

    def transform(self, results: dict) -> dict:
        """Resizes."""
        results = super().transform(results)
        if "gt_saliency" in results:
            height, width = results["img_shape"][:2]
            shrinks = height < results["gt_saliency"].shape[0]
            interpolation = "area" if shrinks else "bilinear"
            results["gt_saliency"] = mmcv.imresize(results["gt_saliency"], (width, height), interpolation=interpolation)
        return results


@TRANSFORMS.register_module()
class FlipSaliency(DrawsFromRun, BaseTransform):
    """Flips image and saliency map horizontally, at random.

    Unlike mmcv's ``RandomFlip`` it flips float maps, and draws by (run seed; image, epoch).

    Required Keys:

    - img
    - sample_idx
    - gt_saliency (optional)

    Modified Keys:

    - img, gt_saliency

    Added Keys:

    - flip (bool)

    Args:
        prob: The probability.
    """

    def __init__(self, prob: float = 0.5):
        check_range("prob", prob, 0, 1)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Flips or not."""
        draws = self.draw(Purpose.TRAINING_AUGMENTATION, results["sample_idx"])
        results["flip"] = bool(draws.random() < self.prob)
        for key in ("img", "gt_saliency"):
            if results["flip"] and key in results:
                results[key] = cv2.flip(results[key], 1)
        return results


@TRANSFORMS.register_module()
class PackSaliencyInputs(BaseTransform):
    """Packs image and saliency map as model input.

    Required Keys:

    - img
    - gt_saliency (optional)

    Added Keys:

    - inputs (torch.Tensor): (3, H, W) uint8.
    - data_samples (SegDataSample): with ``gt_saliency`` (1, H, W) float32 and the metainfo.

    Args:
        meta_keys: Which keys become metainfo, where present.
    """

    def __init__(
        self, meta_keys: tuple[str, ...] = ("img_path", "mask_path", "sample_idx", "ori_shape", "img_shape", "flip")
    ):
        self.meta_keys = meta_keys

    def transform(self, results: dict) -> dict:
        """Packs."""
        sample = SegDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if "gt_saliency" in results:
            sample.gt_saliency = PixelData(data=torch.from_numpy(np.ascontiguousarray(results["gt_saliency"]))[None])
        image = to_tensor(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
        return dict(inputs=image, data_samples=sample)
