"""Masks from what COCO and LVIS annotations hold: polygons, and run lengths as lists or compressed."""

from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as mask_tools

from sos_mm.checks import FaultyInputError


class MaskWindow(NamedTuple):
    """A mask in its tight box.

    Attributes:
        mask: (h, w) uint8 of 0 and 1.
        x, y: Where the box begins in the image, in pixels.
    """

    mask: np.ndarray
    x: int
    y: int

    def grown(self, margin: int, size: tuple[int, int]) -> "MaskWindow":
        """The same mask with so many more pixels on each side, as far as an image (height, width) goes."""
        height, width = self.mask.shape
        left, top = min(margin, self.x), min(margin, self.y)
        right, bottom = min(margin, size[1] - self.x - width), min(margin, size[0] - self.y - height)
        mask = cv2.copyMakeBorder(self.mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
        return MaskWindow(mask, self.x - left, self.y - top)

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the image."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def decode_outline(segmentation: list | dict, height: int, width: int, name: str) -> MaskWindow:
    """The mask of polygons or run lengths, as pycocotools fills them.

    Args:
        segmentation: As COCO has it.
        height, width: Of the image, in pixels.
        name: What an error names.

    Raises:
        FaultyInputError: If they are faulty, empty or meant for another size; names whose they are.
    """
    runs = isinstance(segmentation, dict)
    if not (_is_runs(segmentation) if runs else _is_polygons(segmentation)):
        text = f"The outline of {name} must be polygons or run lengths, but got {str(segmentation)[:80]}."
        raise FaultyInputError("faulty outline", text)
    if runs and list(segmentation["size"]) != [height, width]:
        raise FaultyInputError(
            "faulty outline",
            f"The outline of {name} is for a photograph of {segmentation['size']} (height, width), but that has "
            f"{[height, width]}: the images must be those that the annotations were made for.",
        )
    whole = mask_tools.decode(packed := _packed(segmentation, height, width))
    # What is decoded lies column by column, so that only the box is ever turned into rows.
    x, y, box_width, box_height = map(int, mask_tools.toBbox(packed))
    window = np.ascontiguousarray(whole[y : y + box_height, x : x + box_width])
    left, top, box_width, box_height = cv2.boundingRect(window) if window.size else (0, 0, 0, 0)
    if not box_width:
        text = f"The outline of {name} must hold pixels, but is empty: mend or remove the annotation."
        raise FaultyInputError("faulty outline", text)
    return MaskWindow(window[top : top + box_height, left : left + box_width], x + left, y + top)


def decode_near(segmentation: list | dict, height: int, width: int, name: str) -> MaskWindow:
    """As `decode_outline`, but of polygons only the part of the image around them is decoded.

    That takes a tenth of the time. Where an edge runs exactly between two pixels, rounding may decide otherwise.
    """
    if isinstance(segmentation, dict) or not _is_polygons(segmentation):
        return decode_outline(segmentation, height, width, name)
    polygons = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation]
    points = np.concatenate(polygons)
    x, y = np.clip(np.floor(points.min(0)) - 1, 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(points.max(0)) + 1, (x + 1, y + 1), (width, height)).astype(int).tolist()
    # Pycocotools takes the whole part of 5 v + 1/2: it is taken here, before moving, and given so that it stays.
    fifths = [np.trunc(5 * polygon + 0.5) - (5 * x, 5 * y) for polygon in polygons]
    moved = [((each - 0.75 * (each < 0)) / 5).ravel().tolist() for each in fifths]
    window = decode_outline(moved, bottom - y, right - x, name)
    return MaskWindow(window.mask, window.x + x, window.y + y)


def _packed(segmentation: list | dict, height: int, width: int) -> dict:
    """The run lengths as pycocotools packs them."""
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        return segmentation
    packed = mask_tools.frPyObjects(segmentation, height, width)
    return packed if isinstance(segmentation, dict) else mask_tools.merge(packed)


def _is_runs(segmentation: dict) -> bool:
    return isinstance(segmentation.get("counts"), list | str) and isinstance(segmentation.get("size"), list)


def _is_polygons(segmentation: list) -> bool:
    # Four numbers would be taken for a box.
    polygons = isinstance(segmentation, list) and segmentation
    return bool(polygons) and all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in segmentation)
