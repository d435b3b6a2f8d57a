"""Extracts colours and other attributes of an instance from the source's phrase and attribute words."""

import re
from functools import lru_cache

from sos_mm.formats.phrases import category_phrase
from sos_mm.referring.annotated_image import Instance
from sos_mm.referring.language import language
from sos_mm.segments.colors import COLOR_WORD, color_meaning
from sos_mm.segments.words import LIGHTNESS, find

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
# Words that do not describe the object alone, or that depend on the image.
_RELATIVE = ("side", "position", "posture", "focus", "lightness", "text")
# Postures that an upright cut-out shows; composing drops these words from rotated ones.
_POSTURES = frozenset(["sitting", "standing", "walking", "running", "lying", "sleeping", "jumping", "flying"])
_MODIFIERS = frozenset({*LIGHTNESS, "very", "bright", "rich", "mostly", "and", "or"})
# "A slice of cake": words before these belong to another noun.
_NO_ADJECTIVES = frozenset(["of", "in", "on", "with", "and", "or", "from", "for", "to", "at", "by", "as"])
_ARTICLES = frozenset({"a", "an", "the", "one"})


def claims(instance: Instance) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the colours and the other attributes that the source's words state about an instance.

    Colours are names of `sos_mm.segments.colors.COLOR_NAMES`. Colours of a part ("purple-handled", "with brown ears")
    are left out. Other attributes are single words, such as 'striped'.
    """
    return _claims(instance.category, instance.phrase, instance.attributes)


@lru_cache(maxsize=2**14)
def _claims(category: str, phrase: str, attributes: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    colors: set[str] = set()
    words: set[str] = set()
    for text in (*(each.lower().strip() for each in attributes), *_before_noun(phrase.lower(), category)):
        found = _whole_colors(text)
        if found is not None:
            colors |= found
        elif _is_attribute(text):
            words.add(text)
    return frozenset(colors), frozenset(words)


def _before_noun(phrase: str, category: str) -> list[str]:
    """Returns the colours before the category's name, and the adjective right before it if it is the only other one."""
    noun = category_phrase(category)
    before, found, _ = f" {phrase} ".partition(f" {noun} ")
    tokens = before.split()
    if not found or not tokens or tokens[0] not in _ARTICLES:
        return []
    adjectives = tokens[1:]
    if any(not _WORD.fullmatch(each) for each in adjectives):
        return []
    if adjectives and adjectives[-1] in _NO_ADJECTIVES:
        return []
    others = [each for each in adjectives if each not in _MODIFIERS and not COLOR_WORD.fullmatch(each)]
    # Of two words before the noun the first may belong to the second: "chocolate chip cookie", "half peeled banana".
    single = others if others == adjectives[-1:] else []
    return [*(each for each in adjectives if COLOR_WORD.fullmatch(each)), *single]


def _whole_colors(text: str) -> frozenset[str] | None:
    """Returns the colours of a text that consists of colour words; None for other texts."""
    rest = [word for word in re.split(r"[\s,]+", COLOR_WORD.sub(" ", text).replace("-", " ")) if word]
    if not COLOR_WORD.search(text) or any(word not in _MODIFIERS for word in rest):
        return None
    return frozenset(filter(None, (color_meaning(found[0]) for found in COLOR_WORD.finditer(text))))


def _is_attribute(word: str) -> bool:
    if not _WORD.fullmatch(word) or word in language("en").words["never_attributes"] or COLOR_WORD.search(word):
        return False
    return word in _POSTURES or not any(find(word.replace("-", " "), kind) for kind in _RELATIVE)
