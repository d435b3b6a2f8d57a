"""Transforms that load, resize, flip and pack images with saliency masks.

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

from sos_mm.checks import check_range
from sos_mm.engine.randomness import DrawsFromRun
from sos_mm.images import read_image, read_mask
from sos_mm.seeding import Purpose


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
        """Reads the image into ``img``.

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
        """Reads the mask into ``gt_saliency``.

        Raises:
            FileNotFoundError: If there is no mask.
            ValueError: If it cannot be decoded, its size is not the image's, or it holds colours or labels.
        """
        mask = read_mask(results["mask_path"])
        if mask.shape != tuple(results["ori_shape"][:2]):
            sizes = ["x".join(map(str, shape[::-1])) for shape in (mask.shape, results["ori_shape"][:2])]
            raise ValueError(
                f"The mask {results['mask_path']} is {sizes[0]}, but its image {results['img_path']} is {sizes[1]}: "
                "resize one of them."
            )
        results["gt_saliency"] = mask.astype(np.float32) / 255
        return results


@TRANSFORMS.register_module()
class LoadAuxiliaryImage(BaseTransform):
    """Reads the second modality of an image, such as depth or thermal.

    Required Keys:

    - aux_path
    - img

    Added Keys:

    - aux (np.ndarray): (H, W, 3) uint8, BGR, at the size of ``img``; what has one channel is repeated.

    Args:
        stretch: Whether to stretch its values to 0 to 255, image by image, as depth maps of unknown unit need.
            Depths of 16 bits are stretched before they are reduced to 8.
    """

    def __init__(self, stretch: bool = False):
        self.stretch = stretch

    def transform(self, results: dict) -> dict:
        """Reads the second image into ``aux``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be decoded.
        """
        height, width = results["img"].shape[:2]
        image = read_image(results["aux_path"], channels=3)
        if self.stretch:
            # Read once more, since `read_image` has reduced the values to 8 bits.
            deep = cv2.imdecode(np.fromfile(results["aux_path"], np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
            low, high = float(deep.min()), float(deep.max())
            grey = np.rint((deep - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
            image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        if image.shape[:2] != (height, width):
            image = mmcv.imresize(image, (width, height))
        results["aux"] = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return results


@TRANSFORMS.register_module()
class ResizeSaliency(Resize):
    """mmcv's ``Resize``, which also resizes the saliency map and the second image.

    By default, with ``backend='cv2'``, the saliency map is resized bilinearly, by area where it shrinks. With
    ``backend='pillow'`` all are resized by PIL's filter of the name ``interpolation`` (``bicubic``, for example), the
    saliency map as a grey image of 8 bits.

    Required Keys:

    - img
    - gt_saliency (optional)
    - aux (optional)

    Modified Keys:

    - img, img_shape, gt_saliency, aux
    """

    def transform(self, results: dict) -> dict:
        """Resizes ``img``, and ``gt_saliency`` and ``aux`` where there are."""
        results = super().transform(results)
        height, width = results["img_shape"][:2]
        if "gt_saliency" in results:
            results["gt_saliency"] = self._resized_map(results["gt_saliency"], (width, height))
        if "aux" in results:
            options = dict(interpolation=self.interpolation, backend=self.backend)
            results["aux"] = mmcv.imresize(results["aux"], (width, height), **options)
        return results

    def _resized_map(self, saliency: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Resizes a saliency map (H, W) float32 in [0, 1] to another size, (width, height)."""
        if self.backend == "pillow":
            grey = np.rint(saliency * 255).astype(np.uint8)
            return mmcv.imresize(grey, size, interpolation=self.interpolation, backend="pillow") / np.float32(255)
        interpolation = "area" if size[1] < saliency.shape[0] else "bilinear"
        return mmcv.imresize(saliency, size, interpolation=interpolation)


@TRANSFORMS.register_module()
class LetterboxSaliency(BaseTransform):
    """Brings images of any aspect to one size without distorting them: resized to fit, the rest grey.

    The model cuts the padding off its saliency maps. Train and test with the same one of this and ``ResizeSaliency``.

    Required Keys:

    - img
    - gt_saliency (optional)
    - aux (optional)

    Modified Keys:

    - img, img_shape, gt_saliency, aux

    Added Keys:

    - padding_size (tuple): The padding, (left, right, top, bottom) in pixels.

    Args:
        scale: Width and height of the result.
        value: Grey level of the padding of images, 0 to 255; masks are padded with 0.
    """

    def __init__(self, scale: tuple[int, int], value: int = 127):
        if len(scale) != 2 or min(scale) < 1:
            raise ValueError(f"`scale` must be a width and a height of at least 1, but got {scale}.")
        check_range("value", value, 0, 255)
        self.scale = tuple(scale)
        self.value = value

    def transform(self, results: dict) -> dict:
        """Resizes and pads."""
        height, width = results["img"].shape[:2]
        factor = min(self.scale[0] / width, self.scale[1] / height)
        fitted = tuple(max(1, round(side * factor)) for side in (width, height))
        results = ResizeSaliency(scale=fitted, keep_ratio=False)(results)
        across, down = (whole - part for whole, part in zip(self.scale, fitted, strict=True))
        left, top = across // 2, down // 2
        results["padding_size"] = (left, across - left, top, down - top)
        for key, value in (("img", (self.value,) * 3), ("aux", (self.value,) * 3), ("gt_saliency", 0)):
            if key in results:
                results[key] = cv2.copyMakeBorder(
                    results[key], top, down - top, left, across - left, cv2.BORDER_CONSTANT, value=value
                )
        results["img_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class FlipSaliency(DrawsFromRun, BaseTransform):
    """Flips image and saliency map horizontally, at random.

    Unlike mmcv's ``RandomFlip`` it flips float maps, and draws by (run seed; image, epoch).

    Required Keys:

    - img
    - sample_idx
    - gt_saliency, aux, padding_size (optional)

    Modified Keys:

    - img, gt_saliency, aux, padding_size

    Added Keys:

    - flip (bool)
    - flip_direction (str): 'horizontal', where it is flipped.

    Args:
        prob: The probability. Nothing is drawn for 0 and 1, so that these can stand in test-time augmentation.
    """

    def __init__(self, prob: float = 0.5):
        check_range("prob", prob, 0, 1)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Flips with the probability ``prob``."""
        results["flip"] = self._flips(results)
        if not results["flip"]:
            return results
        results["flip_direction"] = "horizontal"
        for key in ("img", "gt_saliency", "aux"):
            if key in results:
                results[key] = cv2.flip(results[key], 1)
        if "padding_size" in results:
            left, right, top, bottom = results["padding_size"]
            results["padding_size"] = (right, left, top, bottom)
        return results

    def _flips(self, results: dict) -> bool:
        if self.prob in (0, 1):
            return self.prob == 1
        return bool(self.draw(Purpose.TRAINING_AUGMENTATION, results["sample_idx"]).random() < self.prob)


@TRANSFORMS.register_module()
class PackSaliencyInputs(BaseTransform):
    """Packs image and saliency map as model input.

    Required Keys:

    - img
    - gt_saliency, aux (optional)

    Added Keys:

    - inputs (torch.Tensor): (3, H, W) uint8, or (6, H, W) with ``aux`` behind the image.
    - data_samples (SegDataSample): with ``gt_saliency`` (1, H, W) float32 and the metainfo.

    Args:
        meta_keys: Keys that are copied to the metainfo if present.
        to_rgb: Whether to turn BGR into RGB here. mmengine's data preprocessor, which does it otherwise, cannot for
            six channels.
    """

    def __init__(
        self,
        meta_keys: tuple[str, ...] = (
            *("img_path", "mask_path", "aux_path", "dataset_name", "sample_idx"),
            *("ori_shape", "img_shape", "pad_shape", "padding_size", "flip", "flip_direction"),
        ),
        to_rgb: bool = False,
    ):
        self.meta_keys = meta_keys
        self.to_rgb = to_rgb

    def transform(self, results: dict) -> dict:
        """Packs the model's input."""
        sample = SegDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if "gt_saliency" in results:
            sample.gt_saliency = PixelData(data=torch.from_numpy(np.ascontiguousarray(results["gt_saliency"]))[None])
        images = [results[key] for key in ("img", "aux") if key in results]
        if self.to_rgb:
            images = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images]
        pixels = np.concatenate(images, axis=2).transpose(2, 0, 1)
        return dict(inputs=to_tensor(np.ascontiguousarray(pixels)), data_samples=sample)
