"""The checks of a sample into which objects are pasted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

# Annotations of a sample that are updated. (Raw `instances` and `seg_map_path` stay as the data set gave them.)
_UPDATED = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks", "gt_seg_map", "gt_saliency")


def check_sample(results: Mapping[str, Any], with_mask: bool) -> None:
    """Raises ValueError if a sample is none into which objects can be pasted; names what is wrong.

    Args:
        results: The sample, as `SegmentPaste` gets it.
        with_mask: Whether it must have masks.
    """
    image = results.get("img")
    if not isinstance(image, np.ndarray):
        got = "has none" if image is None else f"got {type(image).__name__}"
        raise ValueError(f"`img` must be an array, but {got}: load the image before pasting.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"`img` must be of shape (H, W, 3), but got {image.shape}.")
    if image.dtype != np.uint8 and image.size:
        least, most = image.min(), image.max()
        # Written so that NaN is refused too.
        if not (least >= 0 and (most == 0 or 1 < most <= 255)):
            text = f"`img` must hold values in [0, 255], but got {least:g} to {most:g}: paste before normalising."
            raise ValueError(text)
    _check_keys(results)
    if "tokens_positive" in results:
        raise ValueError(
            "`text` must be the data set's own, but phrases were chosen from it already: put SegmentPaste before "
            "RandomSamplingNegPos."
        )
    if "gt_bboxes" not in results and ({"gt_masks", "gt_bboxes_labels"} & results.keys()):
        raise ValueError(
            "`gt_bboxes` must be in the sample where masks or labels of objects are, but is not: load annotations "
            "with boxes."
        )
    if with_mask and "gt_masks" not in results:
        raise ValueError(
            "`gt_masks` must be in the sample (`with_mask=True`), but is not: load annotations with masks."
        )


def _check_keys(results: Mapping[str, Any]) -> None:
    """Raises ValueError if a sample has annotations that pasting cannot update, or lists of different lengths."""
    unknown = [key for key in results if key not in _UPDATED and (key.startswith("gt_") or "keypoints" in key)]
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is an annotation of objects that SegmentPaste cannot make for pasted ones: leave it out "
            f"of the sample, or SegmentPaste out of the pipeline. It updates {', '.join(_UPDATED)}."
        )
    if "gt_bboxes" not in results:
        return
    number = len(results["gt_bboxes"])
    # Masks are checked where they are read.
    for key in ("gt_bboxes_labels", "gt_ignore_flags"):
        if key not in results:
            continue
        if not isinstance(results[key], np.ndarray):
            raise ValueError(f"`{key}` must be an array, but got {type(results[key]).__name__}.")
        if len(results[key]) != number:
            raise ValueError(f"`{key}` must be {number}, one for each of `gt_bboxes`, but is {len(results[key])}.")
    labels = results.get("gt_bboxes_labels")
    if labels is not None and len(labels) and np.min(labels) < 0:
        raise ValueError(f"`gt_bboxes_labels` must be at least 0, but got {np.min(labels)}.")
