"""Words stay true: what would falsify them is not carried out, and words that light falsifies are dropped."""

from collections.abc import Iterable
from dataclasses import replace
from math import isqrt

import numpy as np

from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Placement
from sos_mm.composition.steps import Step
from sos_mm.segments.colors import vary_hue
from sos_mm.segments.segment import Segment
from sos_mm.segments.truth import claims, still_true
from sos_mm.segments.words import ENDANGERED, Words, endangered, kinds_of

# Field of a placement -> the operation on the segment that it asks for. The other fields change no pixel of it.
OPERATIONS = {"flipped": "mirror", "rotation": "rotate", "hue": "hue"}
# Degrees. What stands and is turned by so little still stands, and an arrow still points to the left.
SLIGHT_TURN = 5.0
# Of an object, about so many visible pixels are looked at.
_PIXELS = 1000
# From this alpha on an object counts as opaque; so much of it must be less for the background to change its colours.
_NEARLY_OPAQUE, _SEE_THROUGH = 230, 0.1


def carry_out(planned: Placement, segment: Segment) -> tuple[Placement, Segment]:
    """What of a placement is carried out, and the segment with its hue turned and its words after that.

    Mirroring, or a turn by more than 5 degrees, is left out where it endangers a word about the segment, its
    category included. A turn of the hue rewrites words, or is left out; see `vary_hue`.
    """
    kinds = kinds_of(Words.of(segment))
    if planned.flipped and kinds & ENDANGERED["mirror"]:
        planned = replace(planned, flipped=False)
    if abs((planned.rotation + 180) % 360 - 180) > SLIGHT_TURN and kinds & ENDANGERED["rotate"]:
        planned = replace(planned, rotation=0.0)
    shown = vary_hue(segment, planned.hue)
    if shown is segment and planned.hue:
        planned = replace(planned, hue=0.0)
    return planned, shown


def endangered_kinds(steps: Iterable[Step]) -> frozenset[str]:
    """Kinds of words that steps endanger; of a step with a relighter, those that the relighter does too."""
    kinds: frozenset[str] = frozenset()
    for step in steps:
        kinds |= endangered(type(step).__name__)
        if hasattr(step, "relighter"):
            kinds |= endangered(type(step.relighter).__name__)
    return kinds


def true_words(
    segment: Segment,
    sprite: Sprite,
    seen: np.ndarray,
    image: np.ndarray,
    kinds: frozenset[str],
    alpha: np.ndarray | None = None,
) -> Words:
    """The words about an object that hold in the finished image.

    The pixels that are seen of it are compared with the same ones as they were cut out, about a thousand of them;
    see `still_true`.

    Args:
        segment: What was placed.
        sprite: It at its place, before any step.
        seen: (h, w) bool, what is seen of it in the sprite's window.
        image: (H, W, 3) uint8 RGB, the finished image.
        kinds: Kinds of words that the scene's steps endanger. Without any, words of tone are still endangered
            where the background is seen through the object.
        alpha: (H, W) uint8, by which the image is premultiplied; None where there is a background.
    """
    words = Words.of(segment)
    claimed = claims(words).keys()
    if not claimed & (kinds | ENDANGERED["see_through"]):
        return words
    step = max(isqrt(np.count_nonzero(seen) // _PIXELS), 1)
    # Of what is thinner than a step nothing may be met.
    step = step if seen[::step, ::step].any() else 1
    chosen = seen[::step, ::step]
    before = sprite.rgba[::step, ::step][chosen]
    if alpha is None and np.mean(before[:, 3] < _NEARLY_OPAQUE) > _SEE_THROUGH:
        kinds |= ENDANGERED["see_through"]
    if not claimed & kinds:
        return words
    after = image[sprite.window][::step, ::step][chosen]
    if alpha is not None:
        after = _straight(after, alpha[sprite.window][::step, ::step][chosen])
    return still_true(words, _straight(before[:, :3], before[:, 3]), after, kinds)


def _straight(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 straight colours of premultiplied ones with that alpha."""
    return np.rint(rgb * (255 / np.maximum(alpha, 1).astype(np.float32))[:, None]).clip(0, 255).astype(np.uint8)
