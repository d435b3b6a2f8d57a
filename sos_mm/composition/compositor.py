"""The compositor: renders a scene from a background, a layout and segments, deterministically."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sos_mm.checks import check_choice, check_integer, check_range
from sos_mm.compiled import loops
from sos_mm.composition.effects.step import Lighting, Step
from sos_mm.composition.layouts.prior import Layout
from sos_mm.composition.place import Sprite, place
from sos_mm.composition.scene import Box, IgnoredRegion, Light, Placement, Scene, SceneObject
from sos_mm.composition.true_words import WordCheck, carry_out
from sos_mm.segments.segment import Segment
from sos_mm.segments.words import Words

_TO_ORDER = {"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR}


def compose(
    background: np.ndarray | None,
    layout: Layout,
    segments: Sequence[Segment],
    *,
    min_visible_share: float = 0.5,
    min_area: int = 16,
    keep_ignored: bool = False,
    steps: Sequence[Step] = (),
    rng: np.random.Generator | None = None,
    in_place: bool = False,
    channel_order: str = "rgb",
) -> Scene:
    """Composites segments over a background, later placements in front of earlier ones.

    An object whose visible part falls below one of the two limits is left out, and then occludes nothing: the image
    holds no object without a label.

    The texts of an object stay true: mirroring, rotation or hue of a placement are not applied if they could make a
    word false (the object's ``placement`` holds what was applied), and words that the steps made false are dropped; see
    `carry_out` and `WordCheck`. The category never changes.

    Args:
        background: (H, W, 3) uint8 of the layout's canvas. None gives a transparent scene.
        layout: The placements of the segments, from back to front.
        segments: The segments that the placements' ``segment`` indexes.
        min_visible_share: Least share of an object's pixels inside the canvas that must be visible, in [0, 1].
        min_area: Least number of its pixels that must be visible, at least 1.
        keep_ignored: Paint objects below the limits too, and return their visible pixels as the scene's ``ignored``
            regions.
        steps: Effects, from `build_steps`; without any, objects are painted unchanged.
        rng: Source of the effects' random draws; required with steps.
        in_place: Paint on the background itself, which becomes the scene's image, rather than on a copy.
        channel_order: Channel order of the background and of the scene's image: 'rgb', or 'bgr' without steps.

    Raises:
        ValueError: If an argument is invalid.
    """
    _check_background(background, layout.canvas)
    visibility = resolve_visibility(
        layout, segments, min_visible_share=min_visible_share, min_area=min_area, keep_ignored=keep_ignored
    )
    return render(background, visibility, steps=steps, rng=rng, in_place=in_place, channel_order=channel_order)


@dataclass(frozen=True, eq=False)
class Visibility:
    """The visible parts of the objects of a layout, computed before painting.

    Attributes:
        canvas: Height and width in pixels.
        placements: The placements of the layout as they are applied, from back to front.
        segments: The segment of each placement, with its hue rotated.
        sprites: The sprite of each placement; None outside the canvas.
        seen: Modal masks of the objects that are kept, by placement index: (h, w) bool in the sprite's window.
        ignored: The same for objects that are kept as ignore regions.
    """

    canvas: tuple[int, int]
    placements: tuple[Placement, ...]
    segments: tuple[Segment, ...]
    sprites: tuple[Sprite | None, ...]
    seen: Mapping[int, np.ndarray]
    ignored: Mapping[int, np.ndarray]


def resolve_visibility(
    layout: Layout,
    segments: Sequence[Segment],
    *,
    min_visible_share: float = 0.5,
    min_area: int = 16,
    keep_ignored: bool = False,
) -> Visibility:
    """Scales segments to their boxes, decides which objects are kept, and computes their modal masks.

    Args:
        layout, segments, min_visible_share, min_area, keep_ignored: See `compose`.

    Raises:
        ValueError: If an argument is invalid.
    """
    _check_segments(layout, segments)
    check_range("min_visible_share", min_visible_share, 0, 1)
    check_integer("min_area", min_area, 1, layout.canvas[0] * layout.canvas[1])
    carried = [carry_out(planned, segments[planned.segment]) for planned in layout.placements]
    sprites = tuple(place(shown, planned, layout.canvas) for planned, shown in carried)
    seen, ignored = _find_visible(sprites, layout.canvas, min_visible_share, min_area, keep_ignored)
    placements, shown = zip(*carried, strict=True) if carried else ((), ())
    return Visibility(layout.canvas, placements, shown, sprites, seen, ignored)


def render(
    background: np.ndarray | None,
    visibility: Visibility,
    *,
    steps: Sequence[Step] = (),
    rng: np.random.Generator | None = None,
    in_place: bool = False,
    channel_order: str = "rgb",
) -> Scene:
    """Paints the objects that are kept, and describes them as a scene.

    Args:
        background, steps, rng, in_place, channel_order: See `compose`.
        visibility: The result of `resolve_visibility`.

    Raises:
        ValueError: If an argument is invalid.
    """
    canvas, sprites, seen, ignored = visibility.canvas, visibility.sprites, visibility.seen, visibility.ignored
    _check_background(background, canvas)
    check_choice("channel_order", channel_order, ("rgb",) if steps else tuple(_TO_ORDER))
    if steps and rng is None:
        raise ValueError("`rng` must be a generator where there are `steps`, but got None.")
    # What is seen has a sprite.
    shown = {index: sprite for index, sprite in enumerate(sprites) if sprite is not None}
    painted = {index: shown[index] for index in sorted([*seen, *ignored])}
    image = np.zeros((*canvas, 3), np.uint8) if background is None else background
    if background is not None and not in_place:
        image = background.copy()
    light = _paint_all(image, painted, background is None, steps, rng, channel_order)
    alpha = _coverage(painted.values(), canvas) if background is None else None
    check = WordCheck(image if channel_order == "rgb" else image[..., ::-1], alpha, steps)
    order = sorted(seen)
    words = check.true_words([(visibility.segments[index], shown[index], seen[index]) for index in order])
    objects = []
    for z_order, index in enumerate(order):
        described = visibility.placements[index], visibility.segments[index], words[z_order]
        # Effects may widen a sprite's window: modal masks refer to the window before.
        objects.append(_describe(painted[index], *described, z_order, seen[index], shown[index].offset))
    regions = [_ignore(visibility.segments[i], mask, shown[i].offset) for i, mask in sorted(ignored.items())]
    return Scene(image, tuple(objects), tuple(regions), light, alpha)


def _find_visible(
    sprites: Sequence[Sprite | None],
    canvas: tuple[int, int],
    min_visible_share: float,
    min_area: int,
    keep_ignored: bool,
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Computes the modal masks, in the sprites' windows, of the objects that are kept, and of those kept as ignore
    regions.

    Works from front to back, since the visible part of an object depends only on the objects in front of it: one pass
    decides which objects are kept, and an object that is left out occludes nothing behind it.
    """
    taken = np.zeros(canvas, bool)
    kept, ignored = {}, {}
    limits = (1, 0.0) if keep_ignored else (min_area, min_visible_share)
    for index in reversed(range(len(sprites))):
        sprite = sprites[index]
        if sprite is None:
            continue
        seen, area = sprite.uncover(taken[sprite.window], *limits)
        if area >= max(min_area, min_visible_share * sprite.area):
            kept[index] = seen
        elif keep_ignored and area:
            ignored[index] = seen
    return kept, ignored


def _paint_all(
    image: np.ndarray,
    sprites: dict[int, Sprite],
    bare: bool,
    steps: Sequence[Step],
    rng: np.random.Generator | None,
    channel_order: str,
) -> Light | None:
    """Paints sprites from back to front, with effects if there are any; afterwards ``sprites`` holds them as painted.

    Returns:
        The light of the effects; None without any.
    """
    if not steps:
        for sprite in sprites.values():
            _paint(image, sprite, channel_order)
        return None
    assert rng is not None
    lighting = Lighting(steps, rng)
    frame = lighting.frame(image, bare, sprites.values())
    for index, sprite in sprites.items():
        sprites[index] = lighting.before(sprite, frame)
        _paint(image, sprites[index])
    lighting.finish(tuple(sprites.values()), frame)
    return lighting.light


def _coverage(sprites: Iterable[Sprite], canvas: tuple[int, int]) -> np.ndarray:
    """Computes the joint alpha of all sprites, (H, W) uint8."""
    alpha = np.zeros((*canvas, 3), np.uint8)
    for sprite in sprites:
        _paint(alpha, replace(sprite, rgba=cv2.merge([sprite.alpha] * 4)))
    return np.ascontiguousarray(alpha[..., 0])


def _paint(image: np.ndarray, sprite: Sprite, channel_order: str = "rgb") -> None:
    """Composites a premultiplied sprite over an image in place: image * (1 - alpha) + sprite."""
    window = sprite.window
    fast = loops("sos_mm.composition.loops")
    if fast:
        fast.paint(image[window], sprite.packed, *((0, 2) if channel_order == "rgb" else (2, 0)))
        return
    through = cv2.cvtColor(cv2.bitwise_not(sprite.alpha), cv2.COLOR_GRAY2RGB)
    dimmed = cv2.multiply(image[window], through, dst=through, scale=1 / 255)
    cv2.add(dimmed, cv2.cvtColor(sprite.rgba, _TO_ORDER[channel_order]), dst=image[window])


def _describe(
    sprite: Sprite,
    planned: Placement,
    segment: Segment,
    words: Words,
    z_order: int,
    seen: np.ndarray,
    offset: tuple[int, int],
) -> SceneObject:
    box, area = _tight_box(seen, offset), int(np.count_nonzero(seen))
    return SceneObject(
        segment_id=segment.source_id,
        **words._asdict(),
        placement=planned,
        z_order=z_order,
        alpha=sprite.alpha,
        offset=sprite.offset,
        mask=_cropped(seen, offset, box),
        box=box,
        area=area,
        amodal_box=box if area == sprite.area else _tight_box(sprite.opaque, sprite.offset),
        amodal_area=sprite.area,
        truncation=1 - sprite.area / (sprite.area + sprite.area_outside),
        cut_off=bool(segment.cut_sides),
    )


def _ignore(segment: Segment, seen: np.ndarray, offset: tuple[int, int]) -> IgnoredRegion:
    box = _tight_box(seen, offset)
    # Copied, since a speck may be all that is seen of a large sprite.
    return IgnoredRegion(segment.source_id, segment.category, _cropped(seen, offset, box).copy(), box)


def _cropped(mask: np.ndarray, offset: tuple[int, int], box: Box) -> np.ndarray:
    """Returns the part of a mask, which begins at ``offset``, in a box of the canvas."""
    (x, y), (x0, y0, x1, y1) = offset, box
    return mask[y0 - y : y1 - y, x0 - x : x1 - x]


def _tight_box(mask: np.ndarray, offset: tuple[int, int]) -> Box:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return offset[0] + x, offset[1] + y, offset[0] + x + width, offset[1] + y + height


def _check_background(background: np.ndarray | None, canvas: tuple[int, int]) -> None:
    expected = (*canvas, 3)
    if background is not None and (background.dtype != np.uint8 or background.shape != expected):
        got = f"{background.dtype} of shape {background.shape}"
        raise ValueError(f"`background` must be a uint8 array of the layout's shape {expected}, but got {got}.")


def _check_segments(layout: Layout, segments: Sequence[Segment]) -> None:
    missing = [planned.segment for planned in layout.placements if not 0 <= planned.segment < len(segments)]
    if missing:
        raise ValueError(f"`segments` must hold what the layout places, but got {len(segments)} and indices {missing}.")
