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


def is_xywh(value: Any) -> bool:
    """Returns whether a value is a box (x, y, width, height) of finite numbers, possibly empty."""
    return is_box(value) and min(value[2:]) >= 0


def is_xyxy(value: Any) -> bool:
    """Returns whether a value is a box (x0, y0, x1, y1) of finite numbers, possibly empty."""
    return is_box(value) and value[0] <= value[2] and value[1] <= value[3]


XYWH = Field("a box of four finite numbers, x, y, width and height,", is_xywh)
XYXY = Field("a box of four finite numbers, left, top, right and bottom,", is_xyxy)
XYWHS = Field("a list of boxes of four finite numbers, x, y, width and height,", list_of(is_xywh))
XYXYS = Field("a list of boxes of four finite numbers, left, top, right and bottom,", list_of(is_xyxy))


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
