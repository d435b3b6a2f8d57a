"""Captions of grounding samples: phrases of pasted objects are added with their character spans."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from sos_mm.composition.scene import SceneObject
from sos_mm.segments.record import SegmentRecord

_LETTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Caption:
    """The words of a grounding sample, as mmdet's `ODVGDataset` gives them.

    Attributes:
        text: The caption.
        phrases: By label, ``phrase`` and ``tokens_positive``, its half-open character spans in the caption.
    """

    text: str
    phrases: Mapping[int, Mapping[str, Any]]

    def add(self, objects: Sequence[SceneObject]) -> tuple["Caption", list[int]]:
        """The caption with the objects' phrases behind, and the label of each object.

        A phrase that is there already is not written again: it then stands for the new object as well.
        """
        text, phrases = self.text, dict(self.phrases)
        known = {str(entry["phrase"]).lower(): label for label, entry in phrases.items()}
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
    phrase = (each.phrase or each.category.replace("_", " ")).lower().strip()
    return phrase.rstrip(". ") or each.category.lower()


def append_phrase(text: str, phrase: str) -> tuple[str, tuple[int, int]]:
    """A caption with one more phrase, closed by a full stop, and the half-open span of the phrase.

    >>> append_phrase("a dog", "a red apple")
    ('a dog. a red apple.', (7, 18))
    """
    text = text.rstrip()
    if text:
        text += " " if text.endswith(".") else ". "
    return f"{text}{phrase}.", (len(text), len(text) + len(phrase))


def within_tokens(text: str, phrases: Iterable[str], max_tokens: int, count: Callable[[str], int]) -> list[int]:
    """Places of those of some phrases that fit a caption's limit together.

    Args:
        text: The caption as it is.
        phrases: Candidates; one that does not fit is left out, shorter ones behind it may still fit.
        max_tokens: The limit.
        count: Counts the tokens of a text.
    """
    chosen, seen = [], set()
    left = max_tokens - count(text)
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
