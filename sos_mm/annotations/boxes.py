"""Boxes of annotation files: xywh in COCO and those like it, half-open xyxy in ODVG."""

from collections.abc import Sequence

Box = list[float]


def xywh_to_xyxy(box: Sequence[float]) -> Box:
    """Corner and size to two corners."""
    x, y, width, height = box
    return [x, y, x + width, y + height]


def xyxy_to_xywh(box: Sequence[float]) -> Box:
    """Two corners to corner and size."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def clip(box: Sequence[float], width: float, height: float) -> Box | None:
    """The part of an xyxy box inside its image; None if that is less than a pixel wide or high, as mmdet has it."""
    x0, y0, x1, y1 = box
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return [x0, y0, x1, y1] if x1 - x0 >= 1 and y1 - y0 >= 1 else None
