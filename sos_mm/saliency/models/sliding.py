"""Large images in overlapping tiles, whose predictions are blended."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Window(NamedTuple):
    """A part of a larger image, in pixels.

    Attributes:
        canvas: (H, W) of the full image.
        top: Its first row.
        left: Its first column.
        height: Rows.
        width: Columns.
    """

    canvas: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Tensor, stride: int = 1) -> Tensor:
        """Cuts this part out of (..., H/stride, W/stride)."""
        top, left, height, width = (value // stride for value in self[1:])
        return image[..., top : top + height, left : left + width]


def full_window(image: Tensor) -> Window:
    """Returns the window that is all of (..., H, W)."""
    size = tuple(image.shape[-2:])
    return Window(size, 0, 0, *size)


def blend_tiles(
    predict: Callable[[Tensor, Window], Tensor], images: Tensor, size: int, overlap: float, stride: int
) -> Tensor:
    """Predicts tile by tile, and blends where tiles overlap.

    Args:
        predict: A tile (B, C, size, size) and its window -> maps (..., B, 1, size, size).
        images: (B, C, H, W).
        size: The tiles' side in pixels.
        overlap: Share of its side that a tile has in common with the next, to within a stride.
        stride: Tiles begin at multiples of it.

    Returns:
        Maps (..., B, 1, H, W).

    Raises:
        ValueError: If the images are smaller than a tile.
    """
    height, width = images.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"Tiles are {size} pixels wide and high, but the input is only {width}x{height}: enlarge it.")
    padded = functional.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
    canvas = tuple(padded.shape[-2:])
    weight = tent(size, images.device)
    total: Any = 0
    norm: Any = 0
    for top in starts(canvas[0], size, overlap, stride):
        for left in starts(canvas[1], size, overlap, stride):
            window = Window(canvas, top, left, size, size)
            around = (left, canvas[1] - left - size, top, canvas[0] - top - size)
            total = total + functional.pad(predict(window.cut(padded), window) * weight, around)
            norm = norm + functional.pad(weight, around)
    return (total / norm)[..., :height, :width]


def starts(length: int, size: int, overlap: float, stride: int) -> list[int]:
    """Lists where tiles begin along one side, evenly: at multiples of the stride, the last one at the end."""
    most = max(stride, int(size * (1 - overlap)) // stride * stride)
    number = -(-(length - size) // most) + 1
    return [round(index * (length - size) / max(1, number - 1) / stride) * stride for index in range(number)]


def tent(size: int, device: torch.device) -> Tensor:
    """Computes weights (size, size) that fall from the middle to the edge, never to zero."""
    side = 1 - (torch.arange(size, device=device) - (size - 1) / 2).abs() * 2 / (size + 1)
    return side[:, None] * side
