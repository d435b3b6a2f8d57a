"""Masks of objects after pasting: those of the image without the pixels that pasted objects cover, and the pasted ones.

Each is cut out, since most of a mask is empty, as in `WindowMasks`. Where numba is installed, its loops measure them;
their results equal those of the numpy code here.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np

from sos_mm.augmentation.rules import Rules
from sos_mm.compiled import loops
from sos_mm.composition.scene import Box


class Occluded(NamedTuple):
    """Objects of an image after pasting.

    Attributes:
        kept: (N,) bool, which of the image's own objects are kept.
        boxes: (N, 4) float32 xyxy boxes of those, tight where pixels were removed.
        windows: (M, 4) int64, the tight half-open xyxy boxes of the masks of the kept, then of the pasted objects.
        parts: The masks in these windows, M arrays (h, w).
    """

    kept: np.ndarray
    boxes: np.ndarray
    windows: np.ndarray
    parts: list[np.ndarray]

    def whole(self, size: tuple[int, int]) -> np.ndarray:
        """Draws the masks, (M, H, W), in images of a size (H, W)."""
        masks = np.zeros((len(self.parts), *size), self.parts[0].dtype if self.parts else np.uint8)
        for mask, window, part in zip(masks, self.windows, self.parts, strict=True):
            mask[_part(window)] = part
        return masks


def occlude(
    masks: np.ndarray, boxes: np.ndarray, cover: np.ndarray, pasted: Sequence[tuple[Box, np.ndarray]], rules: Rules
) -> Occluded:
    """Removes covered pixels from masks, drops those with too few left, and appends those of the pasted objects.

    Args:
        masks: (N, H, W), not 0 on the object; not changed.
        boxes: (N, 4) float32 xyxy. Masks are searched there first, since they are mostly empty.
        cover: (H, W) uint8, 1 where something was pasted, 0 elsewhere.
        pasted: Of each pasted object its tight half-open xyxy box, and its (h, w) bool mask in it.
        rules: The rules by which masks are kept.

    Returns:
        The objects; the masks of the pasted ones get the dtype of the others, which is uint8 if there are none.
    """
    fast = _loops_for(masks.dtype)
    measure, seen = (fast.measure, masks.view(np.uint8)) if fast else (_measure, masks)
    before, after, tight = measure(seen, cover, _windows(boxes, cover.shape))
    kept = rules.keep(before, after)
    parts = [_visible(masks[index], cover, tight[index]) for index in np.flatnonzero(kept)]
    dtype = masks.dtype if len(masks) else np.dtype(np.uint8)
    return _with_pasted(kept, _moved(boxes, tight, kept & (after < before)), tight, parts, pasted, dtype)


def occlude_windows(
    windows: np.ndarray,
    parts: Sequence[np.ndarray],
    boxes: np.ndarray,
    cover: np.ndarray,
    pasted: Sequence[tuple[Box, np.ndarray]],
    rules: Rules,
) -> Occluded:
    """Does what `occlude` does, with masks of which only windows are known; outside them a mask is 0.

    Args:
        windows: (N, 4) int64 half-open xyxy boxes in the image.
        parts: The masks in these windows, N arrays (h, w); not changed.
        boxes, cover, pasted, rules: As for `occlude`.
    """
    number = len(parts)
    before, after, tight = np.zeros(number, np.int64), np.zeros(number, np.int64), np.zeros((number, 4), np.int64)
    for index, (window, part) in enumerate(zip(windows, parts, strict=True)):
        height, width = part.shape
        # In one layout, since numba would compile the loop anew for each.
        fast, whole = _loops_for(part.dtype), np.array([[0, 0, width, height]])
        measure, seen = (fast.measure, np.ascontiguousarray(part).view(np.uint8)) if fast else (_measure, part)
        measured = measure(seen[None], cover[_part(window)], whole)
        before[index], after[index], tight[index] = (each[0] for each in measured)
    kept = rules.keep(before, after)
    visible = [_visible(parts[index], cover[_part(windows[index])], tight[index]) for index in np.flatnonzero(kept)]
    tight += np.where(after[:, None] > 0, np.tile(windows[:, :2], 2), 0)
    dtype = parts[0].dtype if number else np.dtype(np.uint8)
    return _with_pasted(kept, _moved(boxes, tight, kept & (after < before)), tight, visible, pasted, dtype)


def _moved(boxes: np.ndarray, tight: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Returns the boxes, those of the changed objects tight."""
    return np.where(changed[:, None], tight, boxes).astype(np.float32)


def _with_pasted(
    kept: np.ndarray,
    boxes: np.ndarray,
    tight: np.ndarray,
    parts: list[np.ndarray],
    pasted: Sequence[tuple[Box, np.ndarray]],
    dtype: np.dtype,
) -> Occluded:
    """Appends the pasted objects to those that are kept."""
    windows = np.array([box for box, _ in pasted], np.int64).reshape(-1, 4)
    masks = [mask.astype(dtype) for _, mask in pasted]
    return Occluded(kept, boxes, np.concatenate([tight[kept], windows]), parts + masks)


def _loops_for(dtype: np.dtype) -> ModuleType | None:
    """Returns the compiled loops; None without numba, or for masks that are neither bool nor uint8."""
    return loops("sos_mm.augmentation.mask_loops") if dtype in (np.bool_, np.uint8) else None


def _windows(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Computes the half-open windows, (N, 4) int64, of xyxy boxes with a margin of a pixel."""
    corners = np.clip(boxes + np.array([-1, -1, 2, 2]), 0, (*size[::-1], *size[::-1])).astype(np.int64)
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    return corners


def _measure(masks: np.ndarray, cover: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts the pixels of each mask, and those that are not covered, and bounds the latter.

    Masks are searched in their windows, or, where these do not contain them, everywhere.

    Returns:
        (N,) int64 pixels; (N,) int64 pixels that are not covered; and (N, 4) int64, the tight half-open boxes of the
        latter, zeros where there are none.
    """
    before, after = np.zeros((2, len(masks)), np.int64)
    boxes = np.zeros((len(masks), 4), np.int64)
    for index, mask in enumerate(masks):
        before[index] = _area(mask)
        # Counting pixels is faster than searching for them.
        if _area(mask[_part(windows[index])]) < before[index]:
            windows[index] = tight_box(mask)
        left = _visible(mask, cover, windows[index])
        after[index] = _area(left)
        if after[index]:
            boxes[index] = np.array(tight_box(left)) + np.tile(windows[index, :2], 2)
    return before, after, boxes


def _visible(mask: np.ndarray, cover: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Returns the pixels of a mask (H, W) in a window that are not covered."""
    return mask[_part(window)] * (cover[_part(window)] == 0)


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
