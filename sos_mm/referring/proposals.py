"""What might be said of an image's instances: proposals, which are judged before they are written."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from sos_mm.referring.claims import claims
from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.facts import Facts, indices
from sos_mm.referring.geometry import DIRECTIONS, SIDES
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, denotation, judge

T = TypeVar("T")
_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
_MOST_WORDED = 10


class Draws:
    """Small random numbers, drawn many at once from a generator.

    Args:
        generator: Where they come from.
    """

    def __init__(self, generator: np.random.Generator):
        self._generator, self._numbers = generator, []

    def _number(self) -> int:
        if not self._numbers:
            self._refill()
        return self._numbers.pop()

    def _refill(self) -> None:
        self._numbers += self._generator.integers(0, 2**31, 512).tolist()

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        return self._number() % limit

    def one(self, items: Sequence[T]) -> T:
        """One of several things."""
        return items[self._number() % len(items)]

    def many(self, count: int) -> list[int]:
        """Several whole numbers in [0, 2**31)."""
        while len(self._numbers) < count:
            self._refill()
        chosen, self._numbers = self._numbers[-count:], self._numbers[:-count]
        return chosen

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The same things in random order."""
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
        return items


class Proposer:
    """Proposes meanings for an image.

    Args:
        facts: Those of the image.
        language: In which they are to be said.
        draws: Where choices come from.
    """

    def __init__(self, facts: Facts, language: Language, draws: Draws):
        self._facts, self._language, self._draws = facts, language, draws
        smallest = facts.thresholds.smallest * facts.image.width * facts.image.height
        self._nouns: dict[str, str] = {}
        areas = np.exp(facts.geometry.log_areas[0][: facts.number])
        self._targets = [
            index for index in range(facts.number) if areas[index] >= smallest and self._noun(facts.categories[index])
        ]
        self._landmarks: dict[int, list[Phrase]] = {}
        self._features: dict[int, list[list[str]]] = {}

    def single(self, kind: str) -> tuple[Phrase, tuple[int, ...]] | None:
        """Something that might mean one instance; None if nothing came to mind."""
        if not self._targets:
            return None
        target = self._draws.one(self._targets)
        meaning = self._start(self._head(target), "one")
        if kind in ("attribute", "mixed") and not self._add_attribute(meaning, target, kind):
            return None
        if kind in ("spatial", "mixed") and not self._add_place(meaning, target):
            return None
        return meaning, (target,)

    def several(self, kind: str) -> tuple[Phrase, tuple[int, ...]] | None:
        """Something that might mean several instances."""
        if not self._targets:
            return None
        target = self._draws.one(self._targets)
        meaning = self._start(self._head(target, several=True), "all")
        if not any(noun.many for noun in self._language.nouns(meaning["head"])):
            return None
        if kind == "spatial" and self._draws.below(4) == 0:
            return self._first_few(meaning, target)
        if kind in ("attribute", "mixed") and not self._add_attribute(meaning, target, "several"):
            return None
        if kind in ("spatial", "mixed") and not self._add_place(meaning, target, several=True):
            return None
        meant = denotation(meaning, self._facts)
        count = meant.sure.bit_count()
        if meant.sure != meant.may or count < 2:
            return None
        if count == 2 or (count <= _MOST_WORDED and self._draws.below(2)):
            meaning = {"number": "count", "count": count, **{key: meaning[key] for key in meaning if key != "number"}}
        return meaning, indices(meant.sure)

    def _first_few(self, meaning: Phrase, target: int) -> tuple[Phrase, tuple[int, ...]] | None:
        """The leftmost two, the topmost three."""
        count = 2 + self._draws.below(2)
        if self._facts.head(meaning["head"]).sure.bit_count() <= count:
            return None
        rank = {"by": self._draws.one((*SIDES, "large", "small")), "n": 1}
        meaning = {"number": "count", "count": count, "head": meaning["head"], "rank": rank}
        meant = denotation(meaning, self._facts)
        return (meaning, indices(meant.sure)) if meant.sure == meant.may else None

    def _start(self, head: str, number: str) -> Phrase:
        # "The sheep" does not say how many.
        if number == "one" and self._noun(head) == "unmarked":
            number = "unmarked"
        return {"number": number, "head": head}

    def _noun(self, concept: str) -> str:
        """'unmarked', 'marked', or '' where the language has no word."""
        if concept not in self._nouns:
            nouns = self._language.nouns(concept)
            self._nouns[concept] = "" if not nouns else "unmarked" if nouns[0].unmarked else "marked"
        return self._nouns[concept]

    def _head(self, target: int, several: bool = False) -> str:
        """The target's category, sometimes a broader term."""
        category = self._facts.categories[target]
        alone = several and self._facts.head(category).may.bit_count() == 1
        if not alone and self._draws.below(3 if several else 6):
            return category
        terms = [
            term
            for term in (*sorted(self._facts.concepts.ancestors(category)), OBJECT)
            if self._facts.is_complete(term) and self._facts.head(term).sure >> target & 1 and self._noun(term)
        ]
        # An object is called so where there is nothing better, or sometimes.
        if terms and (terms[0] != OBJECT or not self._draws.below(3)):
            return self._draws.one(terms)
        return category

    def _features_of(self, target: int) -> list[list[str]]:
        """Attributes that the target surely has and that can be said."""
        if target not in self._features:
            facts, said = self._facts, self._language.words["colors"]
            colors = [["color", name] for name in facts.colors_of(target) if name in said]
            words = [
                ["word", word]
                for word in sorted(claims(facts.image.instances[target])[1])
                if facts.attribute("word", word).sure >> target & 1 and self._language.attribute(word)
            ]
            self._features[target] = [*colors, *colors, *words]
        return self._features[target]

    def _add_attribute(self, meaning: Phrase, target: int, kind: str) -> bool:
        """Adds an attribute or an order by size; says whether there was one."""
        facts, draws = self._facts, self._draws
        among = facts.head(meaning["head"])
        if among.sure.bit_count() > 1 and draws.below(3) == 0:
            value = draws.one(("large", "small"))
            if kind == "attribute" and draws.below(3):
                meaning["rank"] = {"by": value, "n": 1}
                # The others of the same description are what it is the largest of.
                features = [each for each in self._features_of(target) if each[0] == "color"]
                if features and draws.below(2):
                    meaning["attributes"] = [draws.one(features)]
                if meaning["number"] == "unmarked":
                    meaning["number"] = "one"
                return True
            if facts.size_of(value, among).sure >> target & 1:
                meaning["attributes"] = [["size", value]]
                return True
        features = self._features_of(target)
        if not features:
            return False
        chosen = [draws.one(features)]
        other = draws.one(features)
        if kind != "mixed" and other[0] != chosen[0][0] and draws.below(3) == 0:
            chosen.append(other)
        meaning["attributes"] = sorted(chosen)
        return True

    def _add_place(self, meaning: Phrase, target: int, several: bool = False) -> bool:
        """Adds a position, a relation or an order; says whether there was one."""
        ways = [self._add_position, self._add_relation, self._add_relation]
        if not several and "rank" not in meaning:
            ways += [self._add_rank, self._add_between, self._add_nearest]
        return self._draws.one(ways)(meaning, target)

    def _add_position(self, meaning: Phrase, target: int) -> bool:
        for names in self._draws.shuffled(_POSITIONS):
            if all(self._facts.position(name).sure >> target & 1 for name in names):
                meaning["positions"] = names
                return True
        return False

    def _add_rank(self, meaning: Phrase, target: int) -> bool:
        """Adds a place in the order from a side, such as the second from the left."""
        plain = {key: value for key, value in meaning.items() if key in ("head", "attributes")}
        among = denotation({**plain, "number": "all"}, self._facts)
        if among.may.bit_count() < 2:
            return False
        sides = SIDES if self._facts.image.instances[target].depth is None else (*SIDES, "front", "back")
        by = self._draws.one(sides)
        n = (self._facts.order(by).before[target] & among.sure).bit_count() + 1
        if n > 1 and by in ("front", "back"):
            return False
        meaning["rank"] = {"by": by, "n": n}
        if meaning["number"] == "unmarked":
            meaning["number"] = "one"
        return True

    def _add_relation(self, meaning: Phrase, target: int) -> bool:
        landmark = self._other(target)
        if landmark is None:
            return False
        # What needs masks is looked at less often.
        close = self._draws.below(5) == 0
        for name in [self._draws.one(_CLOSE)] if close else self._draws.shuffled(DIRECTIONS):
            if self._facts.relation(name, landmark).sure >> target & 1 and name in self._language.words["relations"]:
                described = self._describe(landmark)
                if described is None:
                    return False
                meaning["relations"] = [{"relation": name, "to": [described]}]
                return True
        return False

    def _add_between(self, meaning: Phrase, target: int) -> bool:
        one, other = self._other(target), self._other(target)
        if one is None or other is None or one == other:
            return False
        if not self._facts.between(one, other).sure >> target & 1:
            return False
        described = [self._describe(one), self._describe(other)]
        if None in described:
            return False
        meaning["relations"] = [{"relation": "between", "to": described}]
        return True

    def _add_nearest(self, meaning: Phrase, target: int) -> bool:
        landmark = self._other(target)
        described = None if landmark is None else self._describe(landmark)
        if described is None or self._facts.head(meaning["head"]).may.bit_count() < 2:
            return False
        meaning["rank"] = {"by": self._draws.one(("near", "far")), "n": 1, "to": [described]}
        if meaning["number"] == "unmarked":
            meaning["number"] = "one"
        return True

    def _other(self, target: int) -> int | None:
        others = len(self._targets) - 1
        if others < 1:
            return None
        landmark = self._draws.one(self._targets)
        return landmark if landmark != target else None

    def _describe(self, index: int) -> Phrase | None:
        """A short noun phrase that surely means one instance and nothing else."""
        if index not in self._landmarks:
            self._landmarks[index] = self._descriptions(index)
        found = self._landmarks[index]
        return self._draws.one(found) if found else None

    def _descriptions(self, index: int) -> list[Phrase]:
        facts = self._facts
        start = self._start(facts.categories[index], "one")
        drafts: list[dict[str, Any]] = [start]
        drafts += [{**start, "attributes": [feature]} for feature in self._features_of(index)]
        single = {**start, "number": "one"}
        if facts.head(start["head"]).sure.bit_count() > 1:
            drafts += [{**single, "rank": {"by": by, "n": 1}} for by in ("large", "small", "left", "right")]
        return [each for each in drafts if judge(each, facts, (index,))[0] == "true"]
