"""Masks of objects after pasting: those of the image without the pixels that pasted objects cover, and the pasted ones.

By numba's loops where it is installed; their results equal those of the numpy code here.
"""

from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np

from sos_mm.compiled import loops


def occlude(
    masks: np.ndarray,
    boxes: np.ndarray,
    owner: np.ndarray,
    pasted: np.ndarray,
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Removes covered pixels from masks, drops those with too few left, and appends those of the pasted objects.

    Args:
        masks: (N, H, W), not 0 on the object; not changed.
        boxes: (N, 4) float32 xyxy. Masks are searched there first, since they are mostly empty.
        owner: (H, W) int32, the pasted object of each pixel: 0 for none, k + 1 for the k-th.
        pasted: (K, 4) int64 half-open xyxy boxes that contain the pixels of the pasted objects.
        keep: Returns which masks are kept, (N,) bool, from their areas before and after pasting, (N,) int64.

    Returns:
        Which are kept, (N,) bool; all boxes, (N, 4) float32, tight where pixels were removed; and the masks of the kept
        and of the pasted objects, (M, H, W), of the same dtype.
    """
    windows = _windows(boxes, owner.shape)
    fast = _loops_for(masks)
    count = fast.count_visible if fast else _count_visible
    areas, tight = count(masks.view(np.uint8) if fast else masks, owner, windows)
    before, after = areas.T
    kept = keep(before, after)
    positions = np.flatnonzero(kept)
    new = np.empty((len(positions) + len(pasted), *owner.shape), masks.dtype if len(masks) else np.uint8)
    old, added = new[: len(positions)], new[len(positions) :]
    if fast:
        fast.draw_visible(masks.view(np.uint8), owner, windows, positions, old.view(np.uint8))
        fast.draw_owned(owner, pasted, added.view(np.uint8))
    else:
        _draw_visible(masks, owner, windows, positions, old)
        _draw_owned(owner, pasted, added)
    return kept, np.where((kept & (after < before))[:, None], tight, boxes).astype(np.float32), new


def _loops_for(masks: np.ndarray) -> ModuleType | None:
    """Returns the compiled loops; None without numba, or for masks that are neither bool nor uint8."""
    return loops("sos_mm.augmentation.mask_loops") if masks.dtype in (np.bool_, np.uint8) else None


def _windows(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Computes the half-open windows, (N, 4) int64, of xyxy boxes with a margin of a pixel."""
    corners = np.clip(boxes + np.array([-1, -1, 2, 2]), 0, (*size[::-1], *size[::-1])).astype(np.int64)
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    return corners


def _count_visible(masks: np.ndarray, owner: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pixels of each mask, and finds those of them that have no owner.

    A window that does not contain its mask is replaced, in place, by the tight box of the mask.

    Returns:
        (N, 2) int64, the number of all pixels and of those without an owner; and (N, 4), the tight boxes of the latter
        where these are some, but not all.
    """
    areas, boxes = np.zeros((len(masks), 2), np.int64), np.zeros((len(masks), 4), np.int64)
    for index, mask in enumerate(masks):
        before = _area(mask)
        # Counting pixels is faster than searching for them.
        if _area(mask[_part(windows[index])]) < before:
            windows[index] = tight_box(mask)
        part = _part(windows[index])
        left = mask[part] * (owner[part] == 0)
        areas[index] = before, after = before, _area(left)
        if 0 < after < before:
            boxes[index] = np.array(tight_box(left)) + np.tile(windows[index, :2], 2)
    return areas, boxes


def _draw_visible(
    masks: np.ndarray, owner: np.ndarray, windows: np.ndarray, positions: np.ndarray, result: np.ndarray
) -> None:
    """Writes the masks at some positions, without the pixels that have an owner, into ``result``, in this order."""
    result[:] = 0
    for row, position in enumerate(positions):
        part = _part(windows[position])
        np.multiply(masks[position][part], owner[part] == 0, out=result[row][part])


def _draw_owned(owner: np.ndarray, boxes: np.ndarray, result: np.ndarray) -> None:
    """Writes the pixels of each owner 1, 2, ..., which its box contains, as a mask into ``result``."""
    result[:] = 0
    for index, box in enumerate(boxes):
        result[index][_part(box)] = owner[_part(box)] == index + 1


def _part(window: np.ndarray) -> tuple[slice, slice]:
    x0, y0, x1, y1 = window.tolist()
    return slice(y0, y1), slice(x0, x1)


def _area(mask: np.ndarray) -> int:
    """Counts the pixels of a mask or of a view of one; faster than numpy."""
    return cv2.countNonZero(mask) if mask.dtype == np.uint8 and mask.size else int(np.count_nonzero(mask))


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Returns the half-open xyxy box of the pixels of a mask (h, w)."""
    x, y, width, height = cv2.boundingRect(mask if mask.dtype == np.uint8 else (mask > 0).view(np.uint8))
    return x, y, x + width, y + height
