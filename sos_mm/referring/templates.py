"""Abstracts sentences to templates, so that those that differ in nouns and adjectives alone are parsed once.

A word becomes a *slot* if the lexicon has it as one noun, colour or other adjective, and if it is not beside a word
together with which it may be another phrase, as "dog" in "hot dog". Nothing else about such words matters to the parser
than their tag and form, and which of them are the same.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from sos_mm.referring.meaning import Phrase

# Entries, pairs of a tag and a value, by the tokens of a phrase.
Lexicon = Mapping[tuple[str, ...], list[tuple[str, Any]]]
_TAGS = ("noun", "color", "word")


class Placeholder(str):
    """Stands in a template, and in what it means, for the value of a slot."""

    __slots__ = ()


class Slot(NamedTuple):
    """A word that a template may leave open.

    Attributes:
        tag: Its tag in the lexicon: 'noun', 'color' or 'word'.
        value: A noun's concept, or the attribute.
        form: Number and gender of a noun.
        beside: The words that stand right before or after it in longer phrases.
    """

    tag: str
    value: str
    form: tuple[str, ...] = ()
    beside: frozenset[str] = frozenset()


# A sentence as its tokens; an open one is its tag, its placeholder and its form.
Template = tuple[str | tuple[str, Placeholder, tuple[str, ...]], ...]
_PLACEHOLDERS = [Placeholder(f"\0{number}") for number in range(100)]


def slots_of(lexicon: Lexicon) -> dict[str, Slot]:
    """Returns the slots of a lexicon by their word."""
    beside = defaultdict(set)
    for phrase in lexicon:
        for one, other in pairwise(phrase):
            beside[one].add(other)
            beside[other].add(one)
    found = {}
    for phrase, entries in lexicon.items():
        if len(phrase) == len(entries) == 1 and entries[0][0] in _TAGS:
            tag, value = entries[0]
            value, *form = value if tag == "noun" else (value,)
            found[phrase[0]] = Slot(tag, value, tuple(form), frozenset(beside.get(phrase[0], ())))
    return found


def abstracted(
    words: tuple[str, ...], own: Mapping[str, Slot | None], general: Mapping[str, Slot]
) -> tuple[Template, dict[Placeholder, str]]:
    """Replaces words of a sentence by slots.

    Args:
        words: The sentence, at most 100 tokens.
        own: Slots that take precedence; None for words that are none.
        general: The other slots.

    Returns:
        The template, and the values of its placeholders.
    """
    template: list[str | tuple] = []
    placeholders: dict[tuple[str, str], Placeholder] = {}
    for index, word in enumerate(words):
        slot = own[word] if word in own else general.get(word)
        if slot is None or (slot.beside and not slot.beside.isdisjoint(words[max(index - 1, 0) : index + 2])):
            template.append(word)
        else:
            tag, value, form, _ = slot
            template.append((tag, placeholders.setdefault((tag, value), _PLACEHOLDERS[len(placeholders)]), form))
    return tuple(template), {placeholder: value for (_, value), placeholder in placeholders.items()}


def filled(meaning: Phrase, values: Mapping[Placeholder, str]) -> Phrase:
    """Returns a copy of the meaning of a template with the values of its placeholders."""
    found = dict(meaning)
    found["head"] = _value(meaning["head"], values)
    if "attributes" in found:
        found["attributes"] = sorted([tag, _value(value, values)] for tag, value in found["attributes"])
    if "positions" in found:
        found["positions"] = [*found["positions"]]
    if "relations" in found:
        found["relations"] = [_with_filled(each, values) for each in found["relations"]]
    if "rank" in found:
        found["rank"] = _with_filled(found["rank"], values)
    return found


def _with_filled(owner: dict[str, Any], values: Mapping[Placeholder, str]) -> dict[str, Any]:
    return {**owner, "to": [filled(each, values) for each in owner["to"]]} if "to" in owner else dict(owner)


def _value(value: str, values: Mapping[Placeholder, str]) -> str:
    return values[value] if isinstance(value, Placeholder) else value
