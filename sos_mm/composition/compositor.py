"""The compositor: the same background, layout and segments always give the same scene."""

from collections.abc import Sequence

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.composition.layout import Layout
from sos_mm.composition.place import Sprite, place
from sos_mm.composition.scene import OPAQUE, Box, Placement, Scene, SceneObject
from sos_mm.segments.segment import Segment


def compose(
    background: np.ndarray,
    layout: Layout,
    segments: Sequence[Segment],
    *,
    min_visible_share: float = 0.5,
    min_area: int = 16,
) -> Scene:
    """Puts segments on a background, later placements in front of earlier ones.

    An object of which less is seen than the two limits ask for is left out, and so hides nothing itself:
    the image holds no object without a label.

    Args:
        background: (H, W, 3) uint8 RGB of the layout's canvas; not changed.
        layout: Where the segments go, from back to front.
        segments: What the placements' ``segment`` index points into.
        min_visible_share: Least share of an object's pixels inside the canvas that must be seen, in [0, 1].
        min_area: Least number of its pixels that must be seen, at least 1.

    Raises:
        ValueError: If an argument is not as said.
    """
    _check_inputs(background, layout, segments, min_visible_share, min_area)
    sprites = [place(segments[planned.segment], planned, layout.canvas) for planned in layout.placements]
    owner, kept = _find_owners(sprites, layout.canvas, min_visible_share, min_area)
    image = background.copy()
    objects = []
    for z_order, index in enumerate(kept):
        _paint(image, sprites[index])
        planned = layout.placements[index]
        objects.append(_describe(sprites[index], planned, segments[planned.segment], z_order, owner))
    return Scene(image, tuple(objects), owner)


def _find_owners(
    sprites: Sequence[Sprite | None], canvas: tuple[int, int], min_visible_share: float, min_area: int
) -> tuple[np.ndarray, list[int]]:
    """The owner of every pixel, and which sprites stay.

    From front to back, since what is seen of an object depends on those before it alone: one pass then
    decides who stays, and an object that was left out hides nothing from those behind it.
    """
    owner = np.zeros(canvas, np.int32)
    kept = []
    for index in reversed(range(len(sprites))):
        if sprites[index] is None:
            continue
        seen_by = owner[_window(sprites[index])]
        opaque = sprites[index].rgba[..., 3] >= OPAQUE
        seen = opaque & (seen_by == 0)
        area = np.count_nonzero(seen)
        if area >= max(min_area, min_visible_share * np.count_nonzero(opaque)):
            seen_by[seen] = index + 1
            kept.append(index)
    kept.reverse()
    if len(kept) < len(sprites):
        identity = np.zeros(len(sprites) + 1, np.int32)
        identity[np.array(kept, int) + 1] = np.arange(1, len(kept) + 1)
        owner = identity[owner]
    return owner, kept


def _paint(image: np.ndarray, sprite: Sprite) -> None:
    """Premultiplied 'over': what is there times (1 - alpha), plus the sprite."""
    window = _window(sprite)
    through = cv2.cvtColor(cv2.bitwise_not(sprite.rgba[..., 3]), cv2.COLOR_GRAY2RGB)
    dimmed = cv2.multiply(image[window], through, scale=1 / 255)
    image[window] = cv2.add(dimmed, cv2.cvtColor(sprite.rgba, cv2.COLOR_RGBA2RGB))


def _describe(sprite: Sprite, planned: Placement, segment: Segment, z_order: int, owner: np.ndarray) -> SceneObject:
    alpha = np.ascontiguousarray(sprite.rgba[..., 3])
    opaque = alpha >= OPAQUE
    seen = owner[_window(sprite)] == z_order + 1
    amodal_area = int(np.count_nonzero(opaque))
    return SceneObject(
        segment_id=segment.source_id,
        category=segment.category,
        sub_category=segment.sub_category,
        phrase=segment.phrase,
        description=segment.description,
        attributes=segment.attributes,
        placement=planned,
        z_order=z_order,
        alpha=alpha,
        offset=sprite.offset,
        box=_tight_box(seen, sprite.offset),
        area=int(np.count_nonzero(seen)),
        amodal_box=_tight_box(opaque, sprite.offset),
        amodal_area=amodal_area,
        truncation=1 - amodal_area / sprite.whole_area,
    )


def _window(sprite: Sprite) -> tuple[slice, slice]:
    x, y = sprite.offset
    height, width = sprite.rgba.shape[:2]
    return slice(y, y + height), slice(x, x + width)


def _tight_box(mask: np.ndarray, offset: tuple[int, int]) -> Box:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return offset[0] + x, offset[1] + y, offset[0] + x + width, offset[1] + y + height


def _check_inputs(
    background: np.ndarray, layout: Layout, segments: Sequence[Segment], min_visible_share: float, min_area: int
) -> None:
    expected = (*layout.canvas, 3)
    if background.dtype != np.uint8 or background.shape != expected:
        got = f"{background.dtype} of shape {background.shape}"
        raise ValueError(f"`background` must be a uint8 array of the layout's shape {expected}, but got {got}.")
    missing = [planned.segment for planned in layout.placements if not 0 <= planned.segment < len(segments)]
    if missing:
        raise ValueError(f"`segments` must hold what the layout places, but got {len(segments)} and indices {missing}.")
    check_range("min_visible_share", min_visible_share, 0, 1)
    check_range("min_area", min_area, 1, expected[0] * expected[1])
