"""The share of an annotated object's outline that borders on other objects, which may occlude it.

Annotations do not say which object is in front. An object without neighbours is complete. The more of its outline runs
along other objects, the likelier it is that they occlude a part of it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_folder
from sos_mm.formats.panoptic import read_map, read_things
from sos_mm.formats.rle import MaskWindow, decode_near

# Distance in pixels up to which an outline borders on another object: polygons of neighbours leave gaps.
REACH = 2
# Boxes are rounded, so a mask may extend a pixel beyond its box.
_BOX_REACH = REACH + 1
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_DISC = np.uint8(np.add.outer(np.arange(-REACH, REACH + 1) ** 2, np.arange(-REACH, REACH + 1) ** 2) <= REACH**2)


def bordering_share(mask: np.ndarray, others: np.ndarray) -> float:
    """Computes the share of a mask's outline within `REACH` pixels of other objects, in [0, 1].

    Args:
        mask: (H, W) uint8 of 0 and 1, not empty. Its outline consists of its pixels with a 4-neighbour
            outside the mask; the window's border counts as outside.
        others: (H, W) uint8 of 0 and 1, all other objects; they may overlap the mask.
    """
    outline = mask - cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    near = cv2.dilate(others, _DISC)
    return np.count_nonzero(outline & near) / np.count_nonzero(outline)


def bordering_shares(
    objects: Sequence[Mapping[str, Any]],
    wanted: Collection[int],
    size: tuple[int, int],
    things: "Things | None" = None,
) -> dict[int, float | ValueError]:
    """Computes the bordering share of some of the objects of an image.

    Only objects whose boxes come close to another box are decoded.

    Args:
        objects: All annotations of the image, each with ``bbox`` and ``segmentation``; groups (``iscrowd``) count as
            neighbours too.
        wanted: Indices of the objects to measure.
        size: Height and width of the image.
        things: Panoptic segments of the image, which count as neighbours too.

    Returns:
        By wanted index, the share, or the error of an invalid outline. Neighbours with invalid outlines are ignored.
    """
    near = _near([entry["bbox"] for entry in objects])
    decoded = {index for index in wanted if things or near[index].any()}
    windows: dict[int, MaskWindow] = {}
    shares: dict[int, float | ValueError] = dict.fromkeys(wanted, 0.0)
    for index in decoded.union(*(np.flatnonzero(near[index]).tolist() for index in decoded)):
        try:
            windows[index] = decode_near(objects[index]["segmentation"], size, "the object")
        except ValueError as error:
            if index in shares:
                shares[index] = error
    owners = np.zeros(size, np.uint16)
    for window in windows.values():
        owners[window.part] += window.mask
    for index in decoded & windows.keys():
        own = windows[index].grown(REACH, size)
        others = (owners[own.part] > own.mask).view(np.uint8)
        if things:
            others |= things.beside(own)
        shares[index] = bordering_share(own.mask, others)
    return shares


def _near(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns (N, N) bool: whether two boxes (x, y, width, height) come within `REACH` of each other."""
    x, y, width, height = np.asarray(boxes, np.float64).reshape(-1, 4).T
    apart_x = np.subtract.outer(x, x + width)
    apart_y = np.subtract.outer(y, y + height)
    near = np.maximum(np.maximum(apart_x, apart_x.T), np.maximum(apart_y, apart_y.T)) <= _BOX_REACH
    np.fill_diagonal(near, False)
    return near


class Things:
    """The thing segments of an image's panoptic annotation.

    Args:
        ids: (H, W) int32 segment ids.
        things: Ids of the segments of things (not stuff).
    """

    def __init__(self, ids: np.ndarray, things: Collection[int]):
        self._ids, self._things = ids, np.array(sorted(things), np.int32)

    def beside(self, own: MaskWindow) -> np.ndarray:
        """Returns the mask of all other things in an object's window, (h, w) uint8 of 0 and 1.

        The object itself is the thing with an IoU over 0.5. Without one, panoptic annotation and instance disagree, and
        nothing is taken from the panoptic annotation.
        """
        ids = self._ids[own.part]
        found, inside = np.unique(ids[own.mask > 0], return_counts=True)
        most, common = found[inside.argmax()], inside.max()
        union = np.count_nonzero(own.mask) + np.count_nonzero(self._ids == most) - common
        if 2 * common <= union or most not in self._things:
            return np.zeros_like(own.mask)
        return (np.isin(ids, self._things) & (ids != most)).view(np.uint8)


class PanopticMaps:
    """A COCO panoptic file and its PNG files, each of which is read when it is needed.

    Args:
        annotations: The JSON file.
        maps: Folder of its PNG files.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the file is not of that kind.
    """

    def __init__(self, annotations: str | Path, maps: str | Path):
        self._entries = read_things(annotations, "The `panoptic` annotations")
        self._maps = check_folder(maps, "The `panoptic` maps")

    def things(self, image_id: Any, size: tuple[int, int]) -> Things | None:
        """Reads the things of an image of a height and width; returns None if the file does not list the image.

        Raises:
            FileNotFoundError, ValueError: If its PNG file is missing, broken or of another size; names it.
        """
        if image_id not in self._entries:
            return None
        name, things = self._entries[image_id]
        ids = read_map(path := self._maps / name)
        if ids.shape != tuple(size):
            raise ValueError(f"The panoptic PNG file {path} must be of its image's size {size}, but is of {ids.shape}.")
        return Things(ids, things)
