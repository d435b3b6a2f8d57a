"""Limits that a caption sets for pasting: the token limit, and words that pasting must not make false."""

from collections.abc import Callable, Collection, Iterable, Sequence
from math import ceil

import numpy as np

from sos_mm.augmentation.label_mapper import Caption, closed, phrase_of
from sos_mm.composition.scene import Scene
from sos_mm.formats.phrases import caption_phrase
from sos_mm.segments.colors import recolored
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.truth import claims, measure, sampling_step, still_true
from sos_mm.segments.words import Words, find

_LETTERS_A_TOKEN = 4
# BERT's [CLS] and [SEP].
_END_TOKENS = 2


def possible_phrases(record: SegmentRecord, kinds: Collection[str], recolors: bool) -> tuple[str, ...]:
    """Lists the phrases that a segment may have after composition, its current one first.

    If composition makes words of its phrase false, they are dropped, or its category is used instead.

    Args:
        record: The segment.
        kinds: Kinds of words that composition endangers.
        recolors: Whether its hue may be rotated.
    """
    phrases = {phrase_of(record): None}
    if recolors:
        phrases |= {caption_phrase(each, record.category).lower(): None for each in recolored(record.phrase)}
    if any(find(record.phrase, kind) for kind in kinds):
        phrases[caption_phrase("", record.category).lower()] = None
    return tuple(phrases)


def caption_holds(
    said: Sequence[str], before: np.ndarray, scene: Scene, boxes: np.ndarray, kinds: frozenset[str]
) -> bool:
    """Returns whether the texts of an image are still true of its own objects, outside the pasted ones.

    Args:
        said: Caption and phrases of the image.
        before: (H, W, 3) uint8 RGB, the image before pasting.
        scene: The scene after pasting, with shadows and light.
        boxes: (N, 4) float32 xyxy boxes of the image's own objects; without any, the complete image is one object.
        kinds: Kinds of words that the effects endanger.
    """
    words = Words("", "", "", "", tuple(said))
    if not kinds & claims(words).keys():
        return True
    height, width = scene.size
    boxes = boxes if len(boxes) else np.array([[0, 0, width, height]])
    for x0, y0, x1, y1 in np.rint(boxes).clip(0, (width, height) * 2).astype(int).tolist():
        step = sampling_step((y1 - y0) * (x1 - x0))
        part = np.s_[y0:y1:step, x0:x1:step]
        own = scene.owner[part] == 0
        if own.any() and still_true(words, measure(before[part][own], scene.image[part][own]), kinds) != words:
            return False
    return True


def within_tokens(
    caption: Caption, phrases: Iterable[Sequence[str]], max_tokens: int, count: Callable[[str], int]
) -> list[int]:
    """Selects objects whose phrases together fit the token limit of a caption; returns their indices.

    Args:
        caption: The caption; phrases that it contains are not added again.
        phrases: For each object all phrases that it may get, of which the longest must fit; an object that does not
            fit is left out, later ones may still fit.
        max_tokens: The limit, including the two special tokens that language models add at the ends.
        count: Counts the tokens of a text, without special tokens.
    """
    chosen, seen = [], set(caption.known)
    left = max_tokens - _END_TOKENS - count(closed(caption.text))
    for position, possible in enumerate(phrases):
        # An object whose phrase may still change cannot rely on a phrase of the caption.
        known = len(possible) == 1 and possible[0] in seen
        cost = 0 if known else max(count(f"{phrase}. ") for phrase in possible)
        if cost <= left:
            chosen.append(position)
            left -= cost
            if len(possible) == 1:
                seen.add(possible[0])
    return chosen


def estimated_tokens(text: str) -> int:
    """Estimates the number of WordPiece tokens of a text: one for every four letters of a word, at least one a word,
    and one for each punctuation mark at its end.
    """
    return sum(ceil(len(word) / _LETTERS_A_TOKEN) + (not word[-1].isalnum()) for word in text.split())
