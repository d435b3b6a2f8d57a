"""Pastes objects into plain arrays: what the transforms of other libraries share.

Each result is that of `SegmentPaste`, which is given the arrays as a sample.
"""

import re
from collections.abc import Iterable, Mapping
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
        labels: (N,) int64; 0 for the image's own objects, and, without classes, for all.
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


def build_paste(
    bank: Mapping[str, Any], classes: Any, seed: int, options: Mapping[str, Any] | None, **defaults: Any
) -> SegmentPaste:
    """Builds the transform behind an adapter.

    Args:
        bank: As in `SegmentPaste`.
        classes: As in `SegmentPaste`.
        seed: As in `SegmentPaste`.
        options: Further options of `SegmentPaste`.
        defaults: Values of options where the adapter's differ from those of `SegmentPaste`.

    Raises:
        ValueError: If an option is unknown, or is one that the adapter sets or that needs mmengine's runner.
    """
    if not isinstance(options, Mapping | None):
        raise ValueError(f"`options` must be a dict of options of SegmentPaste, but got {options!r}.")
    options = {**defaults, **(options or {})}
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


def check_classes(paste: SegmentPaste, labelled: Iterable[str]) -> None:
    """Raises ValueError if there are no classes, although entries of a sample need labels of pasted objects."""
    for name in labelled if paste.classes is None else ():
        raise ValueError(
            f"`classes` must name the classes in the order of their labels, such as `classes='coco'`, where a sample "
            f"has `{name}`."
        )


def paste_arrays(
    paste: SegmentPaste,
    image: np.ndarray,
    visit: int,
    boxes: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    label_map: np.ndarray | None = None,
    names: Mapping[str, str] | None = None,
) -> PastedArrays:
    """Pastes objects into an image and its annotations; none of the arrays is changed.

    Args:
        paste: The transform, for images in RGB.
        image: (H, W, 3) uint8 RGB.
        visit: Number from which, with the transform's seed, everything is drawn.
        boxes: (N, 4) float xyxy, in pixels; by default those of the masks.
        masks: (N, H, W) bool or uint8, not 0 on the object; None without masks.
        label_map: (H, W) integers, indices of classes; None without one.
        names: What error messages call the keys of `SegmentPaste` for which the other library has other names.

    Raises:
        ValueError: If arrays do not fit each other, and as `SegmentPaste.transform`.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"`image` must be uint8, but got {image.dtype}: paste before converting to float.")
    if masks is not None and masks.ndim != 3:
        raise ValueError(f"`masks` must be (N, H, W), but got {masks.shape}.")
    if boxes is None:
        boxes = _boxes_of(masks)
    number = len(boxes)
    results = {
        "img": image,
        "sample_idx": RepeatIndex(0, visit),
        "gt_bboxes": np.array(boxes, np.float32).reshape(-1, 4),
        # Not flags, but the number of each object from 1: pasted ones get 0.
        "gt_ignore_flags": np.arange(1, number + 1),
        # Is 1 where something was pasted.
        "gt_saliency": np.zeros(image.shape[:2], np.float32),
    }
    if paste.classes is not None:
        results["gt_bboxes_labels"] = np.zeros(number, np.int64)
    for key, value in (("gt_masks", masks), ("gt_seg_map", label_map)):
        if value is not None:
            results[key] = value
    try:
        done = paste.transform(results)
    except ValueError as error:
        told = _renamed(str(error), {"img": "image", **(names or {})})
        if told == str(error):
            raise
        raise ValueError(told) from error
    numbers = done["gt_ignore_flags"]
    return PastedArrays(
        done["img"],
        done["gt_bboxes"],
        done.get("gt_bboxes_labels", np.zeros(len(numbers), np.int64)),
        done.get("gt_masks"),
        done.get("gt_seg_map"),
        numbers[numbers > 0] - 1,
        done["gt_saliency"] > 0,
    )


def _renamed(message: str, names: Mapping[str, str]) -> str:
    """Replaces the names in backticks of a message.

    >>> _renamed("`img` must be ...", {"img": "image"})
    '`image` must be ...'
    """
    return re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", message)


def _boxes_of(masks: np.ndarray | None) -> np.ndarray:
    """Computes the tight boxes of masks (N, H, W); zeros for empty ones."""
    boxes = np.zeros((0 if masks is None else len(masks), 4), np.float32)
    for box, mask in zip(boxes, () if masks is None else masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
