"""Captions of grounding samples: phrases of pasted objects are added with their character spans."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from sos_mm.composition.scene import SceneObject
from sos_mm.segments.phrases import caption_phrase
from sos_mm.segments.record import SegmentRecord

_LETTERS_A_TOKEN = 4
# BERT's [CLS] and [SEP].
_END_TOKENS = 2


@dataclass(frozen=True)
class Caption:
    """The words of a grounding sample, as mmdet's `ODVGDataset` gives them.

    Attributes:
        text: The caption.
        phrases: By label, ``phrase`` and ``tokens_positive``, its half-open character spans in the caption.
    """

    text: str
    phrases: Mapping[int, Mapping[str, Any]]

    @property
    def known(self) -> dict[str, int]:
        """The label of each phrase, which is in lower case here."""
        return {str(entry["phrase"]).lower(): label for label, entry in self.phrases.items()}

    def add(self, objects: Sequence[SceneObject]) -> tuple["Caption", list[int]]:
        """The caption with the objects' phrases behind, and the label of each object.

        A phrase that is there already is not written again: it then stands for the new object as well.
        """
        text, phrases = self.text, dict(self.phrases)
        known = self.known
        labels = []
        for each in objects:
            phrase = phrase_of(each)
            if phrase not in known:
                text, span = append_phrase(text, phrase)
                known[phrase] = max(phrases, default=-1) + 1
                phrases[known[phrase]] = {"phrase": phrase, "tokens_positive": [list(span)]}
            labels.append(known[phrase])
        return Caption(text, phrases), labels


def phrase_of(each: SceneObject | SegmentRecord) -> str:
    """What an object is called in a caption, in lower case, as language models of grounding are fed."""
    return caption_phrase(each.phrase, each.category).lower()


def append_phrase(text: str, phrase: str) -> tuple[str, tuple[int, int]]:
    """A caption with one more phrase, closed by a full stop, and the half-open span of the phrase.

    >>> append_phrase("a dog", "a red apple")
    ('a dog. a red apple.', (7, 18))
    """
    text = _closed(text)
    if text:
        text += " "
    return f"{text}{phrase}.", (len(text), len(text) + len(phrase))


def _closed(text: str) -> str:
    """A caption as it stands before a phrase that is added: ended by a full stop, if it says anything."""
    text = text.rstrip()
    return text if not text or text.endswith(".") else f"{text}."


def within_tokens(caption: Caption, phrases: Iterable[str], max_tokens: int, count: Callable[[str], int]) -> list[int]:
    """Places of those of some phrases that fit a caption's limit together.

    Args:
        caption: The caption as it is; its own phrases are not written again.
        phrases: Candidates; one that does not fit is left out, shorter ones behind it may still fit.
        max_tokens: The limit, with the two tokens that language models add at the ends.
        count: Counts the tokens of a text, without those.
    """
    chosen, seen = [], set(caption.known)
    left = max_tokens - _END_TOKENS - count(_closed(caption.text))
    for place, phrase in enumerate(phrases):
        cost = 0 if phrase in seen else count(f"{phrase}. ")
        if cost <= left:
            chosen.append(place)
            seen.add(phrase)
            left -= cost
    return chosen


def estimated_tokens(text: str) -> int:
    """About how many tokens a WordPiece tokenizer makes of a text: one for every four letters of a word, at least
    one a word, and one for each mark at its end."""
    return sum(ceil(len(word) / _LETTERS_A_TOKEN) + (not word[-1].isalnum()) for word in text.split())
