"""Which words of colour, lightness, text and focus a change of an object's pixels makes false, by measurement."""

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from sos_mm.segments.colors import color_meaning, color_names
from sos_mm.segments.words import LIGHTNESS, PIXELS, Words, find

# Pixels that moved by less, as a distance in CIELAB, are still what they were called: names have sharp borders.
STILL_ALIKE = 10.0
# Share of the pixels that made a word true which must still do so.
STILL_TRUE = 0.5
# A colour with fewer pixels, or a smaller share of them, was not found: its word is judged by all pixels.
_FEWEST, _LEAST_SHARE = 8, 0.02
# By how much the mean lightness, in [0, 100], or the mean chroma, in the same unit, may move against a word.
TONE_LIMIT = 12.0
# Words of text and focus cannot be measured: they hold where no more than this share of the pixels moved.
_MOVED_SHARE = 0.05


@lru_cache(maxsize=65536)
def claims(words: Words) -> Mapping[str, frozenset[str]]:
    """By kind, the words in an object's texts that its pixels can make false, in lower case.

    Those that its category has too are none: an orange is an orange in any light.
    """
    found = {kind: frozenset(word for text in words.texts for word in find(text, kind)) for kind in sorted(PIXELS)}
    return {kind: left for kind, each in found.items() if (left := each - frozenset(find(words.category, kind)))}


def still_true(words: Words, before: np.ndarray, after: np.ndarray, kinds: frozenset[str]) -> Words:
    """The words that still hold once the pixels have changed.

    A word of colour holds while at least half of the pixels that had its name keep that name, or have moved by
    less than 10 in CIELAB; where too few had it for a measurement (as of a small part, or where the word is finer
    than the twelve names), at least half of all pixels must keep their names so. A word of lightness, such as
    "dark" or "pale", holds unless the mean lightness or chroma moves against it by more than 12. Words of text and
    focus hold where at most one pixel in twenty has moved by more than 10.

    Args:
        words: What was said before.
        before: (N, 3) uint8 RGB of the object's visible pixels before the change, N at least 1.
        after: (N, 3) uint8 RGB of the same pixels.
        kinds: Which kinds of words are endangered; of others none is dropped.

    Returns:
        The words without the false ones; see `Words.without`.
    """
    claimed = {kind: each for kind, each in claims(words).items() if kind in kinds}
    if not claimed:
        return words
    lab = _lab(np.concatenate([before, after]))
    old, new = lab[: len(before)], lab[len(before) :]
    alike = np.linalg.norm(new - old, axis=1) < STILL_ALIKE
    for kind, each in claimed.items():
        if kind == "color":
            lost = lost_names(before, after, alike, each)
            false = {word for word in each if color_meaning(word) in lost}
        elif kind == "lightness":
            false = _false_tones(old, new, each)
        else:
            false = each if (~alike).mean() > _MOVED_SHARE else ()
        words = words.without(kind, false)
    return words


def lost_names(before: np.ndarray, after: np.ndarray, alike: np.ndarray, said: frozenset[str]) -> set[str]:
    """Those of the meanings of some words of colour that no longer hold; see `still_true`."""
    names = color_names(np.concatenate([before, after]))
    old, new = names[: len(before)], names[len(before) :]
    kept = (old == new) | alike
    fewest = max(_FEWEST, _LEAST_SHARE * len(old))
    lost = set()
    for meaning in {color_meaning(word) for word in said}:
        own = old == meaning
        if np.count_nonzero(own) < fewest:
            own[:] = True
        if kept[own].mean() < STILL_TRUE:
            lost.add(meaning)
    return lost


def _false_tones(old: np.ndarray, new: np.ndarray, said: frozenset[str]) -> set[str]:
    shift = new.mean(axis=0) - old.mean(axis=0)
    strength = np.hypot(new[:, 1], new[:, 2]).mean() - np.hypot(old[:, 1], old[:, 2]).mean()
    return {word for word in said if min(np.multiply(LIGHTNESS[word], (shift[0], strength))) < -TONE_LIMIT}


def _lab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) float32 CIELAB of (N, 3) uint8 RGB, lightness in [0, 100]."""
    return cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
