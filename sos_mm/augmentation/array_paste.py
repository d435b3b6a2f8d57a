"""Pastes objects into plain arrays: what the transforms of other libraries share.

Each result is that of `SegmentPaste`, which is given the arrays as a sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sos_mm.augmentation.segment_paste import SegmentPaste
from sos_mm.engine.randomness import RepeatIndex

# Options of `SegmentPaste` that the transforms of other libraries set themselves, or that need mmengine's runner.
_OWN = ("bank", "classes", "channel_order", "seed", "saliency", "with_mask")
_OF_RUNS = ("start_epoch", "warmup_epochs", "stop_epoch")


@dataclass(frozen=True)
class PastedArrays:
    """An image after pasting. Of its objects, the first ``len(kept)`` are its own, the others were pasted.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 half-open xyxy, in pixels.
        labels: (N,) int64.
        masks: (N, H, W) of the dtype that was given; None without masks.
        label_map: (H, W) of the dtype that was given; None without one.
        kept: Indices of the image's own objects that are kept, ascending.
        cover: (H, W) bool, where something was pasted.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    label_map: np.ndarray | None
    kept: np.ndarray
    cover: np.ndarray

    @property
    def number_pasted(self) -> int:
        """Number of pasted objects."""
        return len(self.labels) - len(self.kept)

    def hides(self, points: np.ndarray) -> np.ndarray:
        """Returns which points are covered by pasted objects, (...,) bool, given (..., 2) x and y in pixels.

        A point is in the pixel whose half-open square contains it; points outside the image are not covered.
        """
        height, width = self.cover.shape
        # Written so that NaN is outside.
        inside = np.asarray(((points >= 0) & (points < (width, height))).all(axis=-1))
        column, row = np.floor(np.where(inside[..., None], points, 0)).astype(int).reshape(-1, 2).T
        return inside & self.cover[row, column].reshape(inside.shape)


def build_paste(bank: Mapping[str, Any], classes: Any, seed: int, options: Mapping[str, Any] | None) -> SegmentPaste:
    """Builds the transform behind an adapter.

    Args:
        bank: As in `SegmentPaste`.
        classes: As in `SegmentPaste`.
        seed: As in `SegmentPaste`.
        options: Further options of `SegmentPaste`.

    Raises:
        ValueError: If an option is unknown, or is one that the adapter sets or that needs mmengine's runner.
    """
    options = dict(options or {})
    for name in options:
        if name in _OWN + _OF_RUNS:
            raise ValueError(f"`options` must hold further options of SegmentPaste, but {name!r} is not for them.")
    try:
        paste = SegmentPaste(bank, classes=classes, channel_order="rgb", seed=seed, **options)
    except TypeError as error:
        raise ValueError(f"`options` must hold options of SegmentPaste, but: {error}.") from error
    if paste.is_scheduled:
        raise ValueError("`options` must hold no schedules, since there are no epochs here: build a new transform.")
    return paste


def paste_arrays(
    paste: SegmentPaste,
    image: np.ndarray,
    visit: int,
    boxes: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    label_map: np.ndarray | None = None,
) -> PastedArrays:
    """Pastes objects into an image and its annotations; none of the arrays is changed.

    Args:
        paste: The transform, for images in RGB.
        image: (H, W, 3) uint8 RGB.
        visit: Number from which, with the transform's seed, everything is drawn.
        boxes: (N, 4) float xyxy, in pixels; by default those of the masks.
        labels: (N,) integers, indices of the transform's classes; 0 by default.
        masks: (N, H, W) bool or uint8, not 0 on the object; None without masks.
        label_map: (H, W) integers, indices of classes; None without one.

    Raises:
        ValueError: If arrays do not fit each other, and as `SegmentPaste.transform`.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"`image` must be uint8, but got {image.dtype}: paste before converting to float.")
    if boxes is None:
        boxes = _boxes_of(masks)
    number = len(boxes)
    results = {
        "img": image,
        "sample_idx": RepeatIndex(0, visit),
        "gt_bboxes": np.array(boxes, np.float32).reshape(-1, 4),
        "gt_bboxes_labels": np.zeros(number, np.int64) if labels is None else np.array(labels, np.int64),
        # Not flags, but the number of each object from 1: pasted ones get 0.
        "gt_ignore_flags": np.arange(1, number + 1),
        # Is 1 where something was pasted.
        "gt_saliency": np.zeros(image.shape[:2], np.float32),
    }
    for key, value in (("gt_masks", masks), ("gt_seg_map", label_map)):
        if value is not None:
            results[key] = value
    done = paste.transform(results)
    numbers = done["gt_ignore_flags"]
    return PastedArrays(
        done["img"],
        done["gt_bboxes"],
        done["gt_bboxes_labels"],
        done.get("gt_masks"),
        done.get("gt_seg_map"),
        numbers[numbers > 0] - 1,
        done["gt_saliency"] > 0,
    )


def _boxes_of(masks: np.ndarray | None) -> np.ndarray:
    """Computes the tight boxes of masks (N, H, W); zeros for empty ones."""
    boxes = np.zeros((0 if masks is None else len(masks), 4), np.float32)
    for box, mask in zip(boxes, () if masks is None else masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
