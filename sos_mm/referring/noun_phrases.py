"""Finds the parts of noun phrases that are true of an image's instances: nouns, attributes, ranks, short phrases."""

from typing import Any

import numpy as np

from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.draws import Draws
from sos_mm.referring.facts import Fact, Facts, as_bits
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase

# A noun phrase, and the indices of its targets.
Proposal = tuple[Phrase, tuple[int, ...]]
# An extended noun phrase, and the fact for which objects the extension holds.
Option = tuple[Phrase, Fact]
# An attribute, a pair of its kind and value, and the fact for which objects it holds.
Feature = tuple[list[str], Fact]
# Attributes of a noun phrase, and the fact for which objects all of them hold.
Attributes = tuple[list[list[str]], Fact]


class NounPhrases:
    """Finds what the language can say of an image's instances.

    Args:
        facts: Facts of the image.
        language: Language of the expressions; what it has no words for is not found.
        draws: Source of the random choices.

    Attributes:
        facts: Facts of the image.
        language: Language of the expressions.
        draws: Source of the random choices.
        targets: The indices of the instances that are large enough for a target and that the language has a noun for.
        speakable: The same as a bit set.
    """

    def __init__(self, facts: Facts, language: Language, draws: Draws):
        self.facts, self.language, self.draws = facts, language, draws
        smallest = facts.thresholds.smallest * facts.image.width * facts.image.height
        areas = np.exp(facts.geometry.log_areas[0][: facts.number])
        self.targets = [
            index
            for index in range(facts.number)
            if areas[index] >= smallest and language.noun_kind(facts.categories[index])
        ]
        self.speakable = as_bits(self.targets)
        self._broader: dict[str, list[str]] = {}
        self._features: dict[int, list[Feature]] = {}
        self._descriptions: dict[int, list[Phrase]] = {}

    def may_mean(self, targets: int) -> bool:
        """Returns whether a reader can find the targets of a bit set: not too many, all of them large enough."""
        return targets.bit_count() <= self.facts.thresholds.most and not targets & ~self.speakable

    def start(self, head: str, number: str) -> Phrase:
        """Returns the noun phrase of a head noun alone, of the number 'one' or 'all'."""
        # "The sheep" does not say how many.
        if number == "one" and self.language.noun_kind(head) == "unmarked":
            number = "unmarked"
        return {"number": number, "head": head}

    def head(self, target: int) -> str:
        """Draws the head noun of a target: its category, or sometimes a broader term."""
        category = self.facts.categories[target]
        if self.draws.below(6):
            return category
        terms = self.broader_terms(category)
        # 'object' is used if there is no better term, or sometimes.
        if terms and (terms[0] != OBJECT or not self.draws.below(3)):
            return self.draws.one(terms)
        return category

    def broader_terms(self, category: str) -> list[str]:
        """Returns the broader terms of a category that the language can say and whose objects are all annotated."""
        if category not in self._broader:
            self._broader[category] = [
                term
                for term in self.facts.broader_terms(category)
                if self.facts.is_complete(term) and self.language.noun_kind(term)
            ]
        return self._broader[category]

    def features(self, target: int) -> list[Feature]:
        """Returns the attributes that the target surely has and that the language can say."""
        if target not in self._features:
            facts, said = self.facts, self.language.words["colors"]
            named = [["color", name] for name in facts.colors_of(target) if name in said]
            named += [["word", word] for word in sorted(facts.claims[target][1]) if self.language.attribute(word)]
            found = [(each, facts.attribute(*each)) for each in named]
            self._features[target] = [(each, fact) for each, fact in found if fact.sure >> target & 1]
        return self._features[target]

    def sizes(self, objects: int, head: str, among: Fact) -> list[Attributes]:
        """Returns 'large' or 'small' and who is, if they fit any object of a bit set."""
        # Sizes are compared within one category: "all small objects" says little. People are not described by area.
        if among.sure.bit_count() < 2 or head not in self.facts.categories or objects & self.facts.people:
            return []
        facts = [(value, self.facts.size_of(value, among)) for value in ("large", "small")]
        return [([["size", value]], fact) for value, fact in facts if fact.sure & objects]

    def is_person(self, index: int) -> bool:
        """Returns whether an instance surely is a person."""
        return bool(self.facts.people >> index & 1)

    def rank(self, target: int, among: Fact, by: str) -> int:
        """Returns the target's rank in an order of the objects ``among``, from 1; 0 if it is not sure."""
        order = self.facts.order(by)
        before = order.before[target] & among.sure
        unclear = among.may & ~(1 << target) & ~before & ~order.after[target]
        return 0 if unclear else before.bit_count() + 1

    @staticmethod
    def with_rank(meaning: Phrase, rank: dict[str, Any]) -> Phrase:
        """Returns a noun phrase extended by a rank."""
        # An order says that it is one: "the leftmost sheep".
        number = "one" if meaning["number"] == "unmarked" else meaning["number"]
        return {**meaning, "number": number, "rank": rank}

    def description(self, index: int) -> Phrase | None:
        """Draws a short noun phrase that surely means exactly one instance; None if there is none."""
        if index not in self._descriptions:
            self._descriptions[index] = self._all_descriptions(index)
        found = self._descriptions[index]
        return self.draws.one(found) if found else None

    def _all_descriptions(self, index: int) -> list[Phrase]:
        own, start = 1 << index, self.start(self.facts.categories[index], "one")
        among = self.facts.head(start["head"])
        found: list[Phrase] = [start] if among.may == own else []
        found += [
            {**start, "attributes": [feature]} for feature, fact in self.features(index) if among.may & fact.may == own
        ]
        if among.sure.bit_count() > 1:
            orders = ("left", "right") if self.is_person(index) else ("large", "small", "left", "right")
            ranks = [{"by": by, "n": 1} for by in orders if self.rank(index, among, by) == 1]
            found += [{**start, "number": "one", "rank": rank} for rank in ranks]
        return found


def colors_twice(options: list[Attributes]) -> list[Attributes]:
    """Repeats the colours of a list of attributes, since people say them most."""
    return options + [each for each in options if each[0][0][0] == "color"]
