"""Putting one segment where a placement says: fitting, scaling, mirroring."""

from dataclasses import dataclass

import cv2
import numpy as np

from sos_mm.composition.scene import OPAQUE, Placement
from sos_mm.segments.segment import Segment


@dataclass(frozen=True, eq=False)
class Sprite:
    """A segment at its place, cut off at the canvas's border.

    Attributes:
        rgba: (h, w, 4) uint8, premultiplied: no colour value exceeds the alpha.
        offset: x and y of its first pixel on the canvas.
        whole_area: Pixels with an alpha of at least 128 before it was cut off.
    """

    rgba: np.ndarray
    offset: tuple[int, int]
    whole_area: int


def fit_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The largest box of a given aspect inside each box, centred.

    Args:
        boxes: (N, 4) integer half-open xyxy boxes, at least one pixel wide and high.
        sizes: (N, 2) or (2,) heights and widths whose aspect is kept, but for rounding to whole pixels.

    Returns:
        (N, 4) int64 boxes, each inside its own of ``boxes`` and at least one pixel wide and high.
    """
    room = boxes[:, 2:] - boxes[:, :2]
    shapes = np.asarray(sizes)[..., ::-1]
    scale = (room / shapes).min(axis=1, keepdims=True)
    fitted = np.clip(np.rint(shapes * scale).astype(np.int64), 1, room)
    corner = boxes[:, :2] + (room - fitted) // 2
    return np.concatenate([corner, corner + fitted], axis=1)


def resize_premultiplied(rgba: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales a cut-out without mixing in the colour that its transparent pixels happen to have.

    Straight-alpha pixels are premultiplied first: scaled as they are, they leave a dark rim wherever the
    transparent pixels are black. Downwards every source pixel counts by its area, upwards the curve is cubic.

    Args:
        rgba: (H, W, 4) uint8 with straight alpha.
        height: New height, at least 1.
        width: New width, at least 1.

    Returns:
        (height, width, 4) uint8 with premultiplied alpha.
    """
    pixels = cv2.cvtColor(rgba, cv2.COLOR_RGBA2mRGBA)
    if pixels.shape[:2] == (height, width):
        return pixels
    if height * width < pixels.shape[0] * pixels.shape[1]:
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    # A cubic curve overshoots at edges, where a colour may come out above its alpha.
    return cv2.min(pixels, cv2.merge([pixels[..., 3]] * 4))


def place(segment: Segment, placement: Placement, canvas: tuple[int, int]) -> Sprite | None:
    """Scales a segment into its box, mirrors it if so planned, and cuts it off at the canvas's border.

    Args:
        segment: What to place.
        placement: Where to.
        canvas: Height and width of the canvas.

    Returns:
        The sprite, or None if it lies wholly outside the canvas.
    """
    x0, y0, x1, y1 = fit_boxes(np.array([placement.box]), np.array(segment.size))[0].tolist()
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, canvas[1]), min(y1, canvas[0])
    if left >= right or top >= bottom:
        return None
    pixels = resize_premultiplied(segment.rgba, y1 - y0, x1 - x0)
    if placement.flipped:
        pixels = cv2.flip(pixels, 1)
    whole_area = int(np.count_nonzero(pixels[..., 3] >= OPAQUE))
    return Sprite(pixels[top - y0 : bottom - y0, left - x0 : right - x0], (left, top), whole_area)
