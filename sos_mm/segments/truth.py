"""Measures which words of colour, lightness, text and focus a change of an object's pixels makes false."""

from collections.abc import Mapping
from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import cv2
import numpy as np

from sos_mm.segments.colors import COLOR_NAMES, color_indices, color_meaning, is_achromatic
from sos_mm.segments.words import LIGHTNESS, PIXELS, Words, find

# Distances in CIELAB. Colour names have sharp borders, and vision compensates for shade: a colour counts as the same if
# it moves by less in a* and b*, or only along its hue and not to below half or above twice its chroma, ...
SAME_TINT = 10.0
# ... and becomes lighter or darker by less. Black, grey and white may move by less than 10 in each.
SAME_LIGHTNESS = 25.0
# Share of the pixels that made a word true which must still make it true.
STILL_TRUE = 0.5
# A colour with fewer pixels, or a smaller share of them, counts as not found: its word is judged by all pixels.
_FEWEST, _LEAST_SHARE = 3, 0.02
# Largest change of the mean lightness, in [0, 100], or of the mean chroma, in the same unit, against a word.
TONE_LIMIT = 12.0
# Words of text and focus cannot be measured: they hold if at most this share of the pixels moved.
_MOVED_SHARE = 0.05
# Number of pixels in an object's window, or box, that are compared.
_PIXELS = 600


def sampling_step(pixels: int) -> int:
    """Returns the step between the rows, and between the columns, that are compared in a window of so many pixels."""
    return max(isqrt(pixels // _PIXELS), 1)


@lru_cache(maxsize=2**14)
def claims(words: Words) -> Mapping[str, frozenset[str]]:
    """Returns, by kind, the words in an object's texts that its pixels can make false, in lower case.

    Words of its category are excluded: an orange is an orange in any light.
    """
    found = {kind: frozenset(word for text in words.texts for word in find(text, kind)) for kind in sorted(PIXELS)}
    return {kind: left for kind, each in found.items() if (left := each - frozenset(find(words.category, kind)))}


class Change(NamedTuple):
    """The change of N pixels, as far as it can make words about them false.

    Attributes:
        names: (N,) integer, indices in `COLOR_NAMES` of the colours' names before.
        called: (N,) bool, whether they still have that name.
        alike: (N,) bool, whether they are the same colour, possibly in another light.
        moved: (N,) bool, whether they have moved by `SAME_TINT` or more.
        tone: (N, 2) float32, increase of the lightness, in [0, 100], and of the chroma.
    """

    names: np.ndarray
    called: np.ndarray
    alike: np.ndarray
    moved: np.ndarray
    tone: np.ndarray

    def part(self, start: int, stop: int) -> "Change":
        """Returns the change of the pixels from ``start`` to before ``stop``, such as those of one object."""
        return Change(*(each[start:stop] for each in self))


def measure(before: np.ndarray, after: np.ndarray) -> Change:
    """Measures the change of pixels, as far as it can make words false; pixels of several objects may be joined.

    Args:
        before: (N, 3) uint8 RGB.
        after: (N, 3) uint8 RGB of the same pixels.
    """
    both = np.concatenate([before, after])
    (old_names, new_names), (old, new) = np.split(color_indices(both), 2), np.split(_lab(both), 2)
    chroma, new_chroma = np.hypot(old[:, 1], old[:, 2]), np.hypot(new[:, 1], new[:, 2])
    shift = new - old
    tint = np.hypot(shift[:, 1], shift[:, 2])
    along = (old[:, 1:] * new[:, 1:]).sum(axis=1) / np.maximum(chroma, 1e-6)
    across = np.sqrt(np.maximum(new_chroma**2 - along**2, 0))
    grey = is_achromatic(old_names)
    same = (tint < SAME_TINT) | (~grey & (across < SAME_TINT) & (along > chroma / 2) & (along < 2 * chroma))
    limit = np.where(grey, SAME_TINT, SAME_LIGHTNESS)
    return Change(
        names=old_names,
        called=old_names == new_names,
        alike=same & (np.abs(shift[:, 0]) < limit),
        moved=np.hypot(tint, shift[:, 0]) >= SAME_TINT,
        tone=np.stack([shift[:, 0], new_chroma - chroma], axis=1),
    )


def still_true(words: Words, change: Change, kinds: frozenset[str]) -> Words:
    """Drops the words that no longer hold once an object's visible pixels have changed.

    A word of colour holds if at least half of the pixels that had its name keep that name, or their tint: a hue
    and chroma that differ no more than in another light. If too few had the name for a measurement (as for a small
    part, or a word finer than the twelve names), at least half of all pixels must keep their tint.
    A word of lightness, such as "dark" or "pale", holds unless the mean lightness or chroma moves against it by
    more than 12. Words of text and focus hold where at most one pixel in twenty has moved by 10 or more.

    Args:
        words: The texts before the change.
        change: The change of the pixels, at least one.
        kinds: Kinds of words that are endangered; words of other kinds are kept.

    Returns:
        The words without the false ones; see `Words.without`.
    """
    for kind, said in claims(words).items():
        if kind not in kinds:
            continue
        if kind == "color":
            false = {word for word in said if not _keeps(change, color_meaning(word))}
        elif kind == "lightness":
            false = _false_tones(change, said)
        else:
            false = set(said) if change.moved.mean() > _MOVED_SHARE else set()
        if false:
            words = words.without(kind, false)
    return words


def _keeps(change: Change, meaning: str) -> bool:
    """Returns whether the pixels still show a colour."""
    own = change.names == COLOR_NAMES.index(meaning) if meaning else np.zeros(len(change.names), bool)
    if np.count_nonzero(own) < max(_FEWEST, _LEAST_SHARE * len(own)):
        return change.alike.mean() >= STILL_TRUE
    return (change.called | change.alike)[own].mean() >= STILL_TRUE


def _false_tones(change: Change, said: frozenset[str]) -> set[str]:
    shift = change.tone.mean(axis=0)
    return {word for word in said if min(np.multiply(LIGHTNESS[word], shift)) < -TONE_LIMIT}


def _lab(rgb: np.ndarray) -> np.ndarray:
    """Converts (N, 3) uint8 RGB to (N, 3) float32 CIELAB, lightness in [0, 100]."""
    return cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
