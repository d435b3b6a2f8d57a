"""Masks of objects after pasting: those of the image without the pixels that pasted objects cover, and the pasted ones.

By numba's loops where it is installed; their results equal those of the numpy code here.
"""

from types import ModuleType

import cv2
import numpy as np

from sos_mm.augmentation.rules import Rules
from sos_mm.compiled import loops


def occlude(
    masks: np.ndarray, boxes: np.ndarray, owner: np.ndarray, pasted: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Removes covered pixels from masks, drops those with too few left, and appends those of the pasted objects.

    Args:
        masks: (N, H, W), not 0 on the object; not changed.
        boxes: (N, 4) float32 xyxy. Masks are searched there first, since they are mostly empty.
        owner: (H, W) int32, the pasted object of each pixel: 0 for none, k + 1 for the k-th.
        pasted: (K, 4) int64 half-open xyxy boxes that contain the pixels of the pasted objects.
        rules: The rules by which masks are kept.

    Returns:
        Which are kept, (N,) bool; all boxes, (N, 4) float32, tight where pixels were removed; and the masks of the kept
        and of the pasted objects, (M, H, W), of the same dtype.
    """
    windows = _windows(boxes, owner.shape)
    new = np.empty((len(masks) + len(pasted), *owner.shape), masks.dtype if len(masks) else np.uint8)
    fast = _loops_for(masks)
    if fast:
        limits = float(rules.min_visible_share), int(rules.min_area)
        kept, lost, tight = fast.draw_visible(masks.view(np.uint8), owner, windows, *limits, new.view(np.uint8))
    else:
        kept, lost, tight = _draw_visible(masks, owner, windows, rules, new)
    number = np.count_nonzero(kept)
    new = new[: number + len(pasted)]
    if fast:
        fast.draw_owned(owner, pasted, new[number:].view(np.uint8))
    else:
        _draw_owned(owner, pasted, new[number:])
    return kept, np.where((kept & lost)[:, None], tight, boxes).astype(np.float32), new


def _loops_for(masks: np.ndarray) -> ModuleType | None:
    """Returns the compiled loops; None without numba, or for masks that are neither bool nor uint8."""
    return loops("sos_mm.augmentation.mask_loops") if masks.dtype in (np.bool_, np.uint8) else None


def _windows(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Computes the half-open windows, (N, 4) int64, of xyxy boxes with a margin of a pixel."""
    corners = np.clip(boxes + np.array([-1, -1, 2, 2]), 0, (*size[::-1], *size[::-1])).astype(np.int64)
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    return corners


def _draw_visible(
    masks: np.ndarray, owner: np.ndarray, windows: np.ndarray, rules: Rules, result: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws the pixels of each mask that have no owner into the next row of ``result``, if they are enough.

    Masks are searched in their windows, or, where these do not contain them, everywhere.

    Returns:
        (N,) bool, whether each is kept; (N,) bool, whether it has lost pixels; and (N, 4) int64, the tight boxes of the
        drawn pixels of those that have lost some, but not all.
    """
    kept, lost = np.zeros((2, len(masks)), bool)
    boxes, row = np.zeros((len(masks), 4), np.int64), 0
    for index, mask in enumerate(masks):
        before = _area(mask)
        # Counting pixels is faster than searching for them.
        if _area(mask[_part(windows[index])]) < before:
            windows[index] = tight_box(mask)
        part = _part(windows[index])
        left = mask[part] * (owner[part] == 0)
        after = _area(left)
        lost[index], kept[index] = after < before, rules.keep(np.array(before), np.array(after))
        if 0 < after < before:
            boxes[index] = np.array(tight_box(left)) + np.tile(windows[index, :2], 2)
        if kept[index]:
            result[row] = 0
            result[row][part] = left
            row += 1
    return kept, lost, boxes


def _draw_owned(owner: np.ndarray, boxes: np.ndarray, result: np.ndarray) -> None:
    """Draws the pixels of each owner 1, 2, ..., which its box contains, as a mask into ``result``."""
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
