"""Updates the annotations of a sample for pasted objects, by kind of annotation.

Each function takes values of a pipeline's ``results`` and returns new ones; none is changed in place.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from sos_mm.augmentation.bitmaps import occlude, occlude_windows, tight_box
from sos_mm.augmentation.rules import Rules
from sos_mm.composition.outlines import outlines
from sos_mm.composition.scene import Scene


@dataclass(frozen=True)
class Pasted:
    """The objects that were pasted into an image.

    Attributes:
        scene: The image with the objects.
        labels: (N,) int64, the label of each object.
    """

    scene: Scene
    labels: np.ndarray

    @cached_property
    def cover(self) -> np.ndarray:
        """Union of the objects' masks, (H, W) uint8: 1 where an object is."""
        cover = np.zeros(self.scene.size, np.uint8)
        for each in self.scene.objects:
            x0, y0, x1, y1 = each.box
            cover[y0:y1, x0:x1] |= each.mask.view(np.uint8)
        return cover

    @cached_property
    def boxes(self) -> np.ndarray:
        """Tight half-open xyxy boxes, (N, 4) float32."""
        return np.array([each.box for each in self.scene.objects], np.float32).reshape(-1, 4)


@dataclass(frozen=True)
class OcclusionResult:
    """The original objects of the image after pasting.

    Attributes:
        kept: (N,) bool, which of them are kept.
        boxes: (N, 4) float32 xyxy boxes of their visible parts.
        masks: Masks of the kept objects and then of the pasted ones: of the same type as before, or `WindowMasks`
            instead of mmdet's `BitmapMasks`; None without masks.
    """

    kept: np.ndarray
    boxes: np.ndarray
    masks: Any = None


def plain_boxes(boxes: Any) -> np.ndarray:
    """Converts the boxes of a sample to an (N, 4) float32 array, xyxy.

    Raises:
        ValueError: If they are neither mmdet's `HorizontalBoxes` nor such an array.
    """
    found = boxes if isinstance(boxes, np.ndarray) else getattr(boxes, "tensor", None)
    upright = isinstance(boxes, np.ndarray) or type(boxes).__name__ == "HorizontalBoxes"
    if found is None or not upright or found.ndim != 2 or found.shape[1] != 4:
        raise ValueError(f"`gt_bboxes` must be HorizontalBoxes or an (N, 4) array, but got {type(boxes).__name__}.")
    # numpy converts tensors by a detour.
    plain = np.array(found if isinstance(found, np.ndarray) else found.numpy(), np.float32)
    if not np.isfinite(plain).all():
        raise ValueError(f"`gt_bboxes` must be finite, but got {plain[~np.isfinite(plain).all(axis=1)][0].tolist()}.")
    return plain


def boxes_like(boxes: Any, values: np.ndarray) -> Any:
    """Returns boxes of the same type with other values, (N, 4) float32 xyxy."""
    if isinstance(boxes, np.ndarray):
        return values.astype(boxes.dtype)
    old = boxes.tensor
    return type(boxes)(values, dtype=old.dtype, device=old.device, in_mode="xyxy", clone=False)


def cover(masks: Any, boxes: np.ndarray, pasted: Pasted, rules: Rules) -> OcclusionResult:
    """Occludes the objects of an image by pasted ones, using their masks, or their boxes if there are no masks.

    Args:
        masks: mmdet's `BitmapMasks` or `PolygonMasks`, or an array (N, H, W); None if there are only boxes.
        boxes: (N, 4) float32 xyxy.
        pasted: The pasted objects.
        rules: The rules by which objects are kept.

    Raises:
        ValueError: If the masks have another type, or another number or size than expected.
    """
    if masks is None:
        return cover_boxes(boxes, pasted, rules)
    by_kind = {
        "BitmapMasks": cover_bitmaps,
        "WindowMasks": cover_bitmaps,
        "PolygonMasks": cover_polygons,
        "ndarray": cover_bitmaps,
    }
    kind = type(masks).__name__
    if kind not in by_kind:
        raise ValueError(f"`gt_masks` must be BitmapMasks, PolygonMasks or an array, but got {kind}.")
    size = masks.shape[1:] if isinstance(masks, np.ndarray) else (masks.height, masks.width)
    if len(masks) != len(boxes) or size != pasted.scene.size:
        raise ValueError(
            f"`gt_masks` must be {len(boxes)} of height and width {pasted.scene.size}, as boxes and image are, but got "
            f"{len(masks)} of {size}: resize them together."
        )
    return by_kind[kind](masks, boxes, pasted, rules)


def cover_boxes(boxes: np.ndarray, pasted: Pasted, rules: Rules) -> OcclusionResult:
    """Counts the covered pixels of the boxes; boxes of kept objects do not change."""
    height, width = pasted.scene.size
    corners = np.rint(boxes).clip(0, (width, height, width, height)).astype(int)
    sums = cv2.integral(pasted.cover)
    x0, y0, x1, y1 = corners.T
    hidden = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    areas = (x1 - x0) * (y1 - y0)
    return OcclusionResult(rules.keep(areas, areas - hidden), boxes)


def cover_bitmaps(masks: Any, boxes: np.ndarray, pasted: Pasted, rules: Rules) -> OcclusionResult:
    """Removes covered pixels from masks; the boxes of affected objects become tight."""
    plain, size = isinstance(masks, np.ndarray), pasted.scene.size
    parts = [(each.box, each.mask) for each in pasted.scene.objects]
    # Of `WindowMasks`, unless something has drawn whole ones.
    known = getattr(masks, "windows", None)
    if known:
        windows, seen = known
        found = occlude_windows(windows, seen, boxes, pasted.cover, parts, rules)
    else:
        found = occlude(masks if plain else masks.masks, boxes, pasted.cover, parts, rules)
    if plain:
        return OcclusionResult(found.kept, found.boxes, found.whole(size))
    from sos_mm.detection.window_masks import WindowMasks

    return OcclusionResult(found.kept, found.boxes, WindowMasks.from_windows(found.windows, found.parts, *size))


def cover_polygons(masks: Any, boxes: np.ndarray, pasted: Pasted, rules: Rules) -> OcclusionResult:
    """Removes covered pixels from polygons; affected polygons are traced again from their pixels.

    Polygons of fewer than three points contain no pixel and are not affected. An object without polygons is dropped,
    since mmdet's `PolygonMasks` must not start with one.
    """
    from mmdet.structures.mask import polygon_to_bitmap

    size = pasted.scene.size
    kept, boxes, new = np.ones(len(boxes), bool), boxes.copy(), []
    for position, polygons in enumerate(masks.masks):
        whole = [polygon for polygon in polygons if len(polygon) >= 6]
        bitmap = polygon_to_bitmap(whole, *size).view(np.uint8) if whole else np.zeros(size, np.uint8)
        before, hidden = np.count_nonzero(bitmap), _common(bitmap, pasted.cover)
        kept[position] = len(polygons) > 0 and rules.keep(np.array(before), np.array(before - hidden))
        if hidden and kept[position]:
            bitmap = bitmap & (1 - pasted.cover)
            boxes[position], polygons = tight_box(bitmap), outlines(bitmap)
        if kept[position]:
            new.append(polygons)
    for each in pasted.scene.objects:
        new.append([part + np.tile(each.box[:2], len(part) // 2) for part in outlines(each.mask)])
    return OcclusionResult(kept, boxes, type(masks)(new, masks.height, masks.width))


def paint_labels(seg_map: np.ndarray, pasted: Pasted) -> np.ndarray:
    """Returns a copy of a label map (H, W) with the labels of the pasted objects.

    Raises:
        ValueError: If the map has another size, or its type cannot hold a label.
    """
    _check_map("gt_seg_map", seg_map, pasted)
    if seg_map.dtype.kind not in "iu":
        raise ValueError(f"`gt_seg_map` must hold integers, but is {seg_map.dtype}.")
    check_holds("gt_seg_map", seg_map.dtype, np.iinfo(seg_map.dtype).max, pasted.labels)
    painted = seg_map.copy()
    for label, each in zip(pasted.labels.astype(seg_map.dtype), pasted.scene.objects, strict=True):
        x0, y0, x1, y1 = each.box
        np.copyto(painted[y0:y1, x0:x1], label, where=each.mask)
    return painted


def paint_saliency(saliency: np.ndarray, pasted: Pasted, value: float) -> np.ndarray:
    """Returns a copy of a saliency map (H, W) with a value in [0, 1] on the pasted objects."""
    _check_map("gt_saliency", saliency, pasted)
    # Written so that NaN is refused too.
    if saliency.dtype.kind != "f" or (saliency.size and not (saliency.min() >= 0 and saliency.max() <= 1)):
        got = f"{saliency.dtype} from {saliency.min():g} to {saliency.max():g}"
        raise ValueError(f"`gt_saliency` must hold floats in [0, 1], but got {got}.")
    return np.where(pasted.cover > 0, saliency.dtype.type(value), saliency)


def check_holds(name: str, kind: Any, most: int, labels: np.ndarray) -> None:
    """Raises ValueError if a type of numbers, whose largest is ``most``, cannot hold labels."""
    largest = labels.max(initial=0)
    if largest > most:
        raise ValueError(f"`{name}` must hold labels up to {largest}, but is {kind}.")


def _check_map(name: str, found: np.ndarray, pasted: Pasted) -> None:
    if found.shape != pasted.scene.size:
        raise ValueError(f"`{name}` must be of the image's shape {pasted.scene.size}, but got {found.shape}.")


def _common(mask: np.ndarray, other: np.ndarray) -> int:
    """Counts the pixels of the intersection of two masks."""
    return cv2.countNonZero(cv2.multiply(mask, other))
