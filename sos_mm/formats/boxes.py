"""Bounding boxes of annotation files: xywh in COCO and similar formats, half-open xyxy in ODVG."""

from collections.abc import Sequence
from typing import Any

from sos_mm.formats.records import Complaint, Field, are_finite, list_of

Box = list[float]


def xywh_to_xyxy(box: Sequence[float]) -> Box:
    """Converts a box from (x, y, width, height) to (x0, y0, x1, y1)."""
    x, y, width, height = box
    return [x, y, x + width, y + height]


def xyxy_to_xywh(box: Sequence[float]) -> Box:
    """Converts a box from (x0, y0, x1, y1) to (x, y, width, height)."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def clip(box: Sequence[float], width: float, height: float) -> Box | None:
    """Clips an xyxy box to its image; returns None if less than a pixel of width or height is left, as mmdet does."""
    x0, y0, x1, y1 = box
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return [x0, y0, x1, y1] if x1 - x0 >= 1 and y1 - y0 >= 1 else None


def is_box(value: Any) -> bool:
    """Returns whether a value is a list of four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and are_finite(value)


BOX = Field("four finite numbers", is_box)
BOXES = Field("a list of boxes of four finite numbers", list_of(is_box))


def is_four_numbers(value: Any) -> bool:
    """Returns whether a value is a list of four numbers, finite or not."""
    return isinstance(value, list) and len(value) == 4 and all(isinstance(each, int | float) for each in value)


def four_numbers(box: Any) -> tuple[float, float, float, float]:
    """Reads a box from a file as four numbers, without checking that it has an area.

    Raises:
        ValueError: If it is not a list of four numbers.
    """
    if not is_four_numbers(box):
        raise ValueError(f"`bbox` must be four numbers, but got {box!r}.")
    return tuple(box)


def box_complaint(box: Any, size: tuple[int, int], tolerance: float, corners: bool = False) -> Complaint:
    """Checks a box of an image; returns what is wrong with it as a reason and a detail, or None.

    Args:
        box: xywh, or xyxy with ``corners``.
        size: Height and width of the image.
        tolerance: How far it may extend beyond the image's edge, in pixels.
        corners: Whether the box is xyxy.
    """
    if not is_box(box):
        return "a box must be four finite numbers", repr(box)[:80]
    x0, y0, x1, y1 = box
    if not corners:
        x1, y1 = x0 + x1, y0 + y1
    if x1 <= x0 or y1 <= y0:
        return "a box must have an area", f"{box}"
    if min(x0, y0) < -tolerance or x1 > size[1] + tolerance or y1 > size[0] + tolerance:
        return "a box must be inside its image", f"{box} in {size[1]}x{size[0]}"
    return None
