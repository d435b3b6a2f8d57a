"""Applies a placement to a segment: fitting into the box, scaling, mirroring, rotation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from sos_mm.compiled import loops
from sos_mm.composition.scene import Box, Placement
from sos_mm.segments.segment import OPAQUE, Segment


def scaled_size(size: tuple[int, int], box: Box) -> tuple[int, int]:
    """Computes height and width, at least 1, after scaling to fit into a box with the aspect ratio kept."""
    scale = min((box[3] - box[1]) / size[0], (box[2] - box[0]) / size[1])
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A segment on the canvas, clipped at the canvas's border.

    Attributes:
        rgba: (h, w, 4) uint8, premultiplied: no colour value exceeds the alpha. C-contiguous.
        offset: x and y of its first pixel on the canvas.
        area_outside: Number of clipped pixels with an alpha of at least 128.
        extent: Half-open xyxy box on the canvas before clipping.
        depth: Depth of its placement.
    """

    rgba: np.ndarray
    offset: tuple[int, int]
    area_outside: int
    extent: Box
    depth: float | None = None

    @cached_property
    def alpha(self) -> np.ndarray:
        """Alpha, (h, w) uint8."""
        fast = loops("sos_mm.composition.loops")
        return fast.alpha_of(self.packed) if fast else cv2.extractChannel(self.rgba, 3)

    @property
    def packed(self) -> np.ndarray:
        """The pixels as (h, w) uint32, red in the lowest byte."""
        return _packed(self.rgba)

    def recolored(self, packed: np.ndarray) -> "Sprite":
        """Returns the sprite with other colours and the same alpha, from pixels in the form of `packed`."""
        # Faster than `replace`.
        sprite = Sprite(unpacked(packed), self.offset, self.area_outside, self.extent, self.depth)
        known, kept = vars(self), vars(sprite)
        # What was computed from the alpha stays.
        for name in ("alpha", "opaque", "area"):
            if name in known:
                kept[name] = known[name]
        return sprite

    @cached_property
    def opaque(self) -> np.ndarray:
        """Amodal mask, (h, w) bool."""
        return self.alpha >= OPAQUE

    @cached_property
    def area(self) -> int:
        """Number of pixels of the amodal mask."""
        return int(np.count_nonzero(self.opaque))

    def uncover(self, taken: np.ndarray, min_area: int, min_share: float) -> tuple[np.ndarray, int]:
        """Finds its opaque pixels that are not taken by other objects, and takes them if they are enough.

        Args:
            taken: (h, w) bool, in its window; changed in place.
            min_area: Least number of pixels that are enough.
            min_share: Least share of the amodal mask that is enough.

        Returns:
            These pixels, (h, w) bool, and their number.
        """
        fast = loops("sos_mm.composition.loops")
        if fast:
            seen, number, vars(self)["area"] = fast.uncover(self.alpha, taken, int(min_area), float(min_share))
            return seen, number
        # ``>`` on booleans: opaque and not yet taken.
        seen = self.opaque > taken
        number = int(np.count_nonzero(seen))
        if number >= max(min_area, min_share * self.area):
            np.logical_or(taken, seen, out=taken)
        return seen, number

    @property
    def window(self) -> tuple[slice, slice]:
        """Row and column slices of the canvas that it covers."""
        x, y = self.offset
        height, width = self.rgba.shape[:2]
        return slice(y, y + height), slice(x, x + width)


def _packed(rgba: np.ndarray) -> np.ndarray:
    """Converts (h, w, 4) uint8 pixels to the form of `Sprite.packed`."""
    return rgba.view("<u4")[..., 0]


def unpacked(packed: np.ndarray) -> np.ndarray:
    """Converts pixels in the form of `Sprite.packed` to (h, w, 4) uint8."""
    return packed.view(np.uint8).reshape(*packed.shape, 4)


def fit_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Fits the largest box of a given aspect ratio into each box, centred.

    Args:
        boxes: (N, 4) integer half-open xyxy boxes, at least one pixel wide and high.
        sizes: (N, 2) or (2,) heights and widths whose aspect ratio is kept, up to rounding to pixels.

    Returns:
        (N, 4) int64 boxes, each inside its entry of ``boxes`` and at least one pixel wide and high.
    """
    room = boxes[:, 2:] - boxes[:, :2]
    shapes = np.asarray(sizes)[..., ::-1]
    return _centred(boxes, room, shapes * (room / shapes).min(axis=1, keepdims=True))


def shrink_boxes(boxes: np.ndarray, sizes: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Shrinks boxes about their centres until the segments fitted into them are enlarged at most by a limit.

    Args:
        boxes: (N, 4) int64 half-open xyxy boxes, at least one pixel wide and high.
        sizes: (N, 2) or (2,) heights and widths of the segments, whose aspect ratio is kept.
        limit: Largest enlargement.

    Returns:
        (N, 4) int64 boxes, and (N,) bool, whether each is smaller than before.
    """
    room = boxes[:, 2:] - boxes[:, :2]
    shapes = np.asarray(sizes)[..., ::-1]
    limited = (room / shapes).min(axis=1) > limit
    if not limited.any():
        return boxes, limited
    return np.where(limited[:, None], _centred(boxes, room, shapes * limit), boxes), limited


def _centred(boxes: np.ndarray, room: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Centres boxes of (N, 2) or (2,) widths and heights, rounded to pixels, in other boxes."""
    fitted = np.minimum(np.maximum(np.rint(extents).astype(np.int64), 1), room)
    corner = boxes[:, :2] + (room - fitted) // 2
    return np.concatenate([corner, corner + fitted], axis=1)


def _fit_box(box: Box, size: Sequence[float]) -> Box:
    """Fits one box, as `fit_boxes` does; without arrays, since small arrays are slow to create."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(width / size[1], height / size[0])
    fitted_width = min(max(round(size[1] * scale), 1), width)
    fitted_height = min(max(round(size[0] * scale), 1), height)
    x, y = box[0] + (width - fitted_width) // 2, box[1] + (height - fitted_height) // 2
    return x, y, x + fitted_width, y + fitted_height


def resize_premultiplied(rgba: np.ndarray, height: int, width: int, flipped: bool = False) -> np.ndarray:
    """Scales a cut-out in premultiplied alpha, so that colours of transparent pixels are not mixed in.

    Straight-alpha pixels are premultiplied first: scaled as they are, they would leave a dark rim wherever the
    transparent pixels are black. Reduction averages by area, enlargement is cubic.

    Args:
        rgba: (H, W, 4) uint8 with straight alpha.
        height: New height, at least 1.
        width: New width, at least 1.
        flipped: Whether the result is mirrored.

    Returns:
        (height, width, 4) uint8 with premultiplied alpha.
    """
    fast, size = loops("sos_mm.composition.loops"), rgba.shape[:2]
    if fast:
        packed = _packed(np.ascontiguousarray(rgba))
        if _is_reduced_unevenly(size, height, width):
            return fast.reduce_area(packed, height, width, flipped)
        pixels = unpacked(fast.premultiply(packed))
    else:
        pixels = cv2.cvtColor(rgba, cv2.COLOR_RGBA2mRGBA)
    if height * width < size[0] * size[1]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    elif size != (height, width):
        pixels = _below_alpha(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC))
    return cv2.flip(pixels, 1) if flipped else pixels


def reduce_by_area(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales (H, W) uint8 values by area averaging, as `cv2.resize` with INTER_AREA does."""
    fast = loops("sos_mm.composition.loops")
    if fast and _is_reduced_unevenly(plane.shape, height, width):
        return fast.reduce_plane(plane, height, width)
    return cv2.resize(np.ascontiguousarray(plane), (width, height), interpolation=cv2.INTER_AREA)


def _is_reduced_unevenly(size: tuple[int, ...], height: int, width: int) -> bool:
    """Returns whether the compiled loops reduce by area: whole blocks are OpenCV's own fast case, and enlarging one
    side another one.
    """
    return height <= size[0] and width <= size[1] and bool(size[0] % height or size[1] % width)


def _below_alpha(pixels: np.ndarray) -> np.ndarray:
    """Limits colours in place to their alpha, which cubic interpolation may exceed at edges; returns the pixels."""
    fast = loops("sos_mm.composition.loops")
    if fast:
        fast.limit_colors(_packed(pixels))
        return pixels
    # The alpha channel's own limit is 255.
    return cv2.min(pixels, cv2.cvtColor(cv2.extractChannel(pixels, 3), cv2.COLOR_GRAY2RGBA), dst=pixels)


def rotated_bounds(sizes: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """Computes heights and widths of the bounding rectangles of rotated rectangles.

    Args:
        sizes: (N, 2) heights and widths.
        degrees: (N,) angles, or one for all.

    Returns:
        (N, 2) float64.
    """
    sine, cosine = np.abs(np.sin(np.deg2rad(degrees))), np.abs(np.cos(np.deg2rad(degrees)))
    height, width = np.asarray(sizes, float).T
    return np.stack([height * cosine + width * sine, height * sine + width * cosine], axis=-1)


def place(segment: Segment, placement: Placement, canvas: tuple[int, int]) -> Sprite | None:
    """Scales, mirrors and rotates a segment into its box, and clips it at the canvas's border.

    Args:
        segment: The segment to place.
        placement: Its placement.
        canvas: Height and width of the canvas.

    Returns:
        The sprite, or None if it lies completely outside the canvas.
    """
    rotated = placement.rotation % 360 != 0
    size = rotated_bounds(np.array([segment.size]), placement.rotation)[0].tolist() if rotated else segment.size
    x0, y0, x1, y1 = box = _fit_box(placement.box, size)
    if not _meets(box, canvas):
        return None
    if rotated:
        pixels, (x0, y0) = _rotate_into(segment, placement, box)
        x1, y1 = x0 + pixels.shape[1], y0 + pixels.shape[0]
    else:
        pixels = resize_premultiplied(segment.rgba, y1 - y0, x1 - x0, placement.flipped)
    if not _meets((x0, y0, x1, y1), canvas):
        return None
    full = Sprite(pixels, (x0, y0), 0, (x0, y0, x1, y1), placement.depth)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, canvas[1]), min(y1, canvas[0])
    if (left, top, right, bottom) == full.extent:
        return full
    inside = np.ascontiguousarray(pixels[top - y0 : bottom - y0, left - x0 : right - x0])
    cut = replace(full, rgba=inside, offset=(left, top))
    return replace(cut, area_outside=full.area - cut.area)


def _meets(box: Sequence[int], canvas: tuple[int, int]) -> bool:
    return box[0] < canvas[1] and box[1] < canvas[0] and box[2] > 0 and box[3] > 0


def _rotate_into(segment: Segment, placement: Placement, box: Box) -> tuple[np.ndarray, tuple[int, int]]:
    """Scales, mirrors and rotates a segment into a box; returns its pixels without transparent margins, and x and y of
    their corner.
    """
    room_height, room_width = box[3] - box[1], box[2] - box[0]
    needed = rotated_bounds(np.array([segment.size]), placement.rotation)[0]
    scale = min(room_height / needed[0], room_width / needed[1])
    height, width = (max(round(side * scale), 1) for side in segment.size)
    pixels = resize_premultiplied(segment.rgba, height, width, placement.flipped)
    pixels = rotate_premultiplied(pixels, placement.rotation, room_height, room_width)
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(pixels[..., 3]))
    # An object finer than a pixel may vanish: its box then does not change.
    if width == 0:
        return pixels, box[:2]
    return np.ascontiguousarray(pixels[y : y + height, x : x + width]), (box[0] + x, box[1] + y)


def rotate_premultiplied(pixels: np.ndarray, degrees: float, height: int, width: int) -> np.ndarray:
    """Rotates an image about its centre, anticlockwise, into a frame of another size, without scaling.

    Args:
        pixels: (H, W, 4) uint8 with premultiplied alpha, already in its final scale.
        degrees: Rotation angle in degrees.
        height: Height of the frame.
        width: Width of the frame.

    Returns:
        (height, width, 4) uint8 with premultiplied alpha.
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = (pixels.shape[1] - 1) / 2, (pixels.shape[0] - 1) / 2
    matrix = np.array([[cosine, sine, 0], [-sine, cosine, 0]])
    matrix[:, 2] = ((width - 1) / 2, (height - 1) / 2) - matrix[:, :2] @ (x, y)
    rotated = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_CUBIC)
    return _below_alpha(rotated)
