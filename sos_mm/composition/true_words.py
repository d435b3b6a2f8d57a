"""Keeps texts true: operations that would falsify them are not applied, and words that effects falsify are dropped."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

import cv2
import numpy as np

from sos_mm.composition.effects.step import Step
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Placement
from sos_mm.segments.colors import vary_hue
from sos_mm.segments.segment import OPAQUE, Segment
from sos_mm.segments.truth import claims, measure, sampling_step, still_true
from sos_mm.segments.words import ENDANGERED, Words, endangered, kinds_of

# Field of a placement -> the operation on the segment that it requests. The other fields change none of its pixels.
OPERATIONS = {"flipped": "mirror", "rotation": "rotate", "hue": "hue"}
# Degrees. After so small a rotation a standing object still stands, and an arrow still points to the left.
SLIGHT_TURN = 5.0
# Alpha from which a pixel counts as opaque, and the share of other pixels from which the background changes colours.
_NEARLY_OPAQUE, _SEE_THROUGH = 230, 0.1


def carry_out(planned: Placement, segment: Segment) -> tuple[Placement, Segment]:
    """Applies a placement to a segment's hue and texts; returns the placement as it is applied, and the segment.

    Mirroring, or a rotation by more than 5 degrees, is not applied if it endangers a word about the segment, its
    category included. A rotation of the hue rewrites words, or is not applied; see `vary_hue`.
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
    """Returns the kinds of words that steps endanger; for a step with a relighter, those of the relighter too."""
    kinds: frozenset[str] = frozenset()
    for step in steps:
        kinds |= endangered(type(step).__name__)
        if hasattr(step, "relighter"):
            kinds |= endangered(type(step.relighter).__name__)
    return kinds


class WordCheck:
    """Compares the visible pixels of objects with their cut-outs, and decides which words still hold.

    About 400 visible pixels of each object with endangered words are compared, all objects at once; see `still_true`.

    Args:
        image: (H, W, 3) uint8 RGB, the final image.
        alpha: (H, W) uint8, by which it is premultiplied; None if there is a background.
        steps: The effect steps that were applied.
    """

    def __init__(self, image: np.ndarray, alpha: np.ndarray | None, steps: Sequence[Step]):
        self._image, self._alpha, self._kinds = image, alpha, endangered_kinds(steps)

    def true_words(self, seen: Sequence[tuple[Segment, Sprite, np.ndarray]]) -> list[Words]:
        """Returns the texts of each object without words that no longer hold.

        Args:
            seen: For each object its segment, its sprite before any step, and its modal mask (h, w) bool in the
                sprite's window.
        """
        words = [Words.of(segment) for segment, _, _ in seen]
        samples = {}
        for index, (_, sprite, mask) in enumerate(seen):
            kinds = self._endangered(sprite, claims(words[index]).keys())
            if kinds:
                samples[index] = *self._sample(sprite, mask), kinds
        if not samples:
            return words
        before, after = (np.concatenate([each[side] for each in samples.values()]) for side in (0, 1))
        change = measure(_straight(before), _straight(after) if self._alpha is not None else after)
        start = 0
        for index, (sample, _, kinds) in samples.items():
            part = change.part(start, start := start + len(sample))
            words[index] = still_true(words[index], part, kinds)
        return words

    def _endangered(self, sprite: Sprite, claimed: Set[str]) -> frozenset[str]:
        """Returns the kinds of words in an object's texts that are endangered."""
        tone = ENDANGERED["see_through"]
        # Even without steps the background shows through a translucent object.
        if self._alpha is None and not tone <= self._kinds and claimed & tone and _is_see_through(sprite):
            return tone.union(self._kinds).intersection(claimed)
        return self._kinds.intersection(claimed)

    def _sample(self, sprite: Sprite, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples pixels of the modal mask: (n, 4) uint8 premultiplied RGBA before, and (n, 3 or 4) uint8 after, with
        alpha if there is no background.
        """
        step = sampling_step(mask.size)
        chosen = mask[::step, ::step]
        # An object thinner than the sampling step may have no sampled pixel.
        if not chosen.any():
            step, chosen = 1, mask
        before, after = (each[::step, ::step][chosen] for each in (sprite.rgba, self._image[sprite.window]))
        if self._alpha is not None:
            after = np.column_stack([after, self._alpha[sprite.window][::step, ::step][chosen]])
        return before, after


def _is_see_through(sprite: Sprite) -> bool:
    step = sampling_step(sprite.alpha.size)
    alpha = sprite.alpha[::step, ::step]
    inside = np.count_nonzero(alpha >= OPAQUE)
    return inside - np.count_nonzero(alpha >= _NEARLY_OPAQUE) > _SEE_THROUGH * inside


def _straight(rgba: np.ndarray) -> np.ndarray:
    """Converts (N, 4) uint8 premultiplied pixels to (N, 3) uint8 straight colours."""
    return cv2.cvtColor(rgba[None], cv2.COLOR_mRGBA2RGBA)[0, :, :3]
