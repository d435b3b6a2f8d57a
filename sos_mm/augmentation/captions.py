"""What captions of grounding samples allow to be pasted: as many words as fit, and nothing that makes them false."""

from collections.abc import Callable, Collection, Iterable, Sequence
from math import ceil, isqrt

import numpy as np

from sos_mm.augmentation.label_mapper import Caption, closed, phrase_of
from sos_mm.composition.scene import Scene
from sos_mm.formats.phrases import caption_phrase
from sos_mm.segments.colors import recolored
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.truth import claims, measure, still_true
from sos_mm.segments.words import Words, find

_LETTERS_A_TOKEN = 4
# BERT's [CLS] and [SEP].
_END_TOKENS = 2
# Of an object in the image about so many pixels are looked at.
_PIXELS = 600


def possible_phrases(record: SegmentRecord, kinds: Collection[str], recolors: bool) -> tuple[str, ...]:
    """Lists what a segment may be called once it is in an image, as it is called now first.

    Where composition makes its words false, it is called by fewer of them, or by its category.

    Args:
        record: The segment.
        kinds: Kinds of words that composition endangers.
        recolors: Whether its hue may be turned.
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
    """Tells whether what is said of an image is still true of its own objects, where nothing was pasted over them.

    Args:
        said: Its caption and phrases.
        before: (H, W, 3) uint8 RGB.
        scene: The same with what was pasted, and its shadows and light.
        boxes: (N, 4) float32 xyxy boxes of the objects; the whole image is one if there are none.
        kinds: Kinds of words that the steps of light endanger.
    """
    words = Words("", "", "", "", tuple(said))
    if not kinds & claims(words).keys():
        return True
    height, width = scene.size
    boxes = boxes if len(boxes) else np.array([[0, 0, width, height]])
    for x0, y0, x1, y1 in np.rint(boxes).clip(0, (width, height) * 2).astype(int).tolist():
        step = max(isqrt((y1 - y0) * (x1 - x0) // _PIXELS), 1)
        part = np.s_[y0:y1:step, x0:x1:step]
        own = scene.owner[part] == 0
        if own.any() and still_true(words, measure(before[part][own], scene.image[part][own]), kinds) != words:
            return False
    return True


def within_tokens(
    caption: Caption, phrases: Iterable[Sequence[str]], max_tokens: int, count: Callable[[str], int]
) -> list[int]:
    """Chooses objects whose phrases fit a caption's limit together; gives their indices.

    Args:
        caption: The caption as it is; its own phrases are not written again.
        phrases: For each object all that it may come to be called, of which the longest must fit; an object that
            does not fit is left out, others behind it may still fit.
        max_tokens: The limit, with the two tokens that language models add at the ends.
        count: Counts the tokens of a text, without those.
    """
    chosen, seen = [], set(caption.known)
    left = max_tokens - _END_TOKENS - count(closed(caption.text))
    for place, possible in enumerate(phrases):
        # What may still be called otherwise cannot count on being in the caption already.
        known = len(possible) == 1 and possible[0] in seen
        cost = 0 if known else max(count(f"{phrase}. ") for phrase in possible)
        if cost <= left:
            chosen.append(place)
            left -= cost
            if len(possible) == 1:
                seen.add(possible[0])
    return chosen


def estimated_tokens(text: str) -> int:
    """Estimates how many tokens a WordPiece tokenizer makes of a text: one for every four letters of a word, at least
    one a word, and one for each mark at its end."""
    return sum(ceil(len(word) / _LETTERS_A_TOKEN) + (not word[-1].isalnum()) for word in text.split())
