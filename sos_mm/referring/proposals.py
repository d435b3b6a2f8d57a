"""What might be said of an image's instances: proposals, which are judged before they are written."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from sos_mm.referring.claims import claims
from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.facts import Fact, Facts, indices
from sos_mm.referring.geometry import DIRECTIONS, SIDES
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, at_position, denotation, judge

T = TypeVar("T")
_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
# The greatest number that is said, and to which things are counted from a side, of no more than so many.
_MOST_WORDED, _MOST_COUNTED, _MOST_IN_ORDER = 10, 4, 8
# How many landmarks are looked at for a target, and how many where that takes longer.
_MOST_LANDMARKS, _FEW = 5, 2
Proposal = tuple[Phrase, tuple[int, ...]]
# What may be added to a noun phrase, and of which objects it holds. Landmarks are positions until it is chosen.
Option = tuple[Phrase, Fact]


class Draws:
    """Small random numbers, drawn many at once from a generator.

    Args:
        generator: Where they come from.
    """

    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._numbers: list[int] = []

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
        self._broader: dict[str, list[str]] = {}
        self._landmarks: dict[int, list[Phrase]] = {}
        self._features: dict[int, list[list[str]]] = {}

    def single(self, kind: str) -> Proposal | None:
        """Something that may well mean one instance; None if nothing came to mind."""
        if not self._targets:
            return None
        target = self._draws.one(self._targets)
        meaning = self._start(self._head(target), "one")
        among = self._facts.head(meaning["head"])
        own = 1 << target
        if kind == "category":
            return (meaning, (target,)) if among == (own, own) else None
        if kind == "mixed":
            found = self._draws.one(self._attributes(meaning, target, among, ranks=False) or [None])
            if found is None:
                return None
            meaning, among = found
        options = self._attributes(meaning, target, among) if kind == "attribute" else self._places(meaning, target)
        for changed, fact in options:
            if among.may & fact.may == own:
                return self._described(changed, (target,))
        return None

    def several(self, kind: str) -> Proposal | None:
        """Something that may well mean several instances."""
        if not self._targets:
            return None
        target = self._draws.one(self._targets)
        meaning = self._start(self._head(target, several=True), "all")
        if not any(noun.many for noun in self._language.nouns(meaning["head"])):
            return None
        among = self._facts.head(meaning["head"])
        if kind == "category":
            return self._counted(meaning, among)
        if kind == "spatial" and self._draws.below(4) == 0:
            return self._first_few(meaning, SIDES, among)
        if kind == "attribute" and self._draws.below(5) == 0:
            return self._first_few(meaning, ("large", "small"), among)
        if kind == "mixed":
            found = self._draws.one(self._attributes(meaning, target, among, ranks=False) or [None])
            if found is None:
                return None
            meaning, among = found
        options = (
            self._attributes(meaning, target, among, ranks=False)
            if kind == "attribute"
            else (self._places(meaning, target, ranks=False))
        )
        for changed, fact in options:
            both = among & fact
            counted = self._counted(changed, both)
            if counted is not None:
                return self._described(*counted)
        return None

    def _counted(self, meaning: Phrase, meant: Fact) -> Proposal | None:
        """All of them, with their number or without."""
        count = meant.sure.bit_count()
        if meant.sure != meant.may or count < 2:
            return None
        if count == 2 or (count <= _MOST_WORDED and self._draws.below(2)):
            meaning = {"number": "count", "count": count, **{key: meaning[key] for key in meaning if key != "number"}}
        return meaning, indices(meant.sure)

    def _first_few(self, meaning: Phrase, orders: Sequence[str], among: Fact) -> Proposal | None:
        """The leftmost two, the largest three."""
        if among.sure != among.may:
            return None
        for count in self._draws.shuffled(range(2, min(among.sure.bit_count(), 5))):
            for by in self._draws.shuffled(orders):
                if by in ("large", "small") and self._facts.concepts.is_a(meaning["head"], "person") is not False:
                    continue
                rank = {"by": by, "n": 1}
                changed = {"number": "count", "count": count, "head": meaning["head"], "rank": rank}
                meant = denotation(changed, self._facts)
                if meant.sure == meant.may:
                    return changed, indices(meant.sure)
        return None

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
        terms = self._terms(category, target)
        # An object is called so where there is nothing better, or sometimes.
        if terms and (terms[0] != OBJECT or several or not self._draws.below(3)):
            return self._draws.one(terms)
        return category

    def _terms(self, category: str, target: int) -> list[str]:
        """Broader terms that may be said of it, and of which it is known what else they mean."""
        if category not in self._broader:
            self._broader[category] = [
                term
                for term in (*sorted(self._facts.concepts.ancestors(category)), OBJECT)
                if self._facts.is_complete(term) and self._facts.head(term).sure >> target & 1 and self._noun(term)
            ]
        return self._broader[category]

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

    def _attributes(self, meaning: Phrase, target: int, among: Fact, ranks: bool = True) -> list[Option]:
        """What can be said of the target's attributes, in random order."""
        facts, draws = self._facts, self._draws
        features = self._features_of(target)
        options: list[Option] = [
            ({**meaning, "attributes": [feature]}, among & facts.attribute(*feature)) for feature in features
        ]
        if features:
            one, other = draws.one(features), draws.one(features)
            if one[0] != other[0]:
                fact = among & facts.attribute(*one) & facts.attribute(*other)
                options.append(({**meaning, "attributes": sorted([one, other])}, fact))
        # Size is told among things of one category: "all small objects" says little. Of people it would be another one.
        sized = meaning["head"] == facts.categories[target] and not self._is_person(target)
        if among.sure.bit_count() > 1 and sized:
            for value in ("large", "small"):
                fact = facts.size_of(value, among)
                if fact.sure >> target & 1:
                    options.append(({**meaning, "attributes": [["size", value]]}, among & fact))
        options = draws.shuffled(options)
        if ranks and among.sure.bit_count() > 1 and not self._is_person(target):
            # "The largest dog", "the largest brown dog": as often first as last.
            found = list(self._by_size([(meaning, among), *options[:2]], target))
            options = [*found, *options] if draws.below(3) == 0 else [*options, *found]
        return options

    def _is_person(self, index: int) -> bool:
        return self._facts.concepts.is_a(self._facts.categories[index], "person") is True

    def _by_size(self, kinds: list[Option], target: int) -> Iterator[Option]:
        for meaning, among in kinds:
            sizes = [each for each in meaning.get("attributes", ()) if each[0] == "size"]
            if not sizes and among.sure.bit_count() > 1:
                for by in ("large", "small"):
                    if self._is_nth(target, 1, among, by):
                        yield self._with_rank(meaning, {"by": by, "n": 1}), Fact(1 << target, 1 << target)

    def _is_nth(self, target: int, n: int, among: Fact, by: str) -> bool:
        """Whether the target surely is the n-th of a kind."""
        order, others = self._facts.order(by), among.may & ~(1 << target)
        before = order.before[target] & among.sure
        return before.bit_count() == n - 1 and not others & ~before & ~order.after[target]

    @staticmethod
    def _with_rank(meaning: Phrase, rank: dict[str, Any]) -> Phrase:
        # An order says that it is one: "the leftmost sheep".
        number = "one" if meaning["number"] == "unmarked" else meaning["number"]
        return {**meaning, "number": number, "rank": rank}

    def _places(self, meaning: Phrase, target: int, ranks: bool = True) -> Iterator[Option]:
        """What can be said of the target's place, in random order."""
        ways = [self._positions, self._relations]
        if ranks:
            ways.append(self._ranks)
        # What takes longer is looked at less often.
        rare = self._draws.below(4)
        if rare == 0:
            ways.append(self._relations_close)
        elif ranks and rare < 3:
            ways.append((self._between, self._nearest)[rare - 1])
        for way in self._draws.shuffled(ways):
            yield from way(meaning, target)

    def _positions(self, meaning: Phrase, target: int) -> Iterator[Option]:
        kind = denotation({**meaning, "number": "all"}, self._facts)
        for names in self._draws.shuffled(_POSITIONS):
            if all(self._facts.position(name).sure >> target & 1 for name in names):
                fact = kind
                for name in names:
                    fact = fact & at_position(name, kind, self._facts)
                yield {**meaning, "positions": names}, fact

    def _relations(self, meaning: Phrase, target: int) -> Iterator[Option]:
        for landmark in self._others(target):
            for name in self._draws.shuffled(DIRECTIONS):
                fact = self._facts.relation(name, landmark)
                if fact.sure >> target & 1 and name in self._language.words["relations"]:
                    yield {**meaning, "relations": [{"relation": name, "to": [landmark]}]}, fact

    def _relations_close(self, meaning: Phrase, target: int) -> Iterator[Option]:
        # They need masks, so that few are looked at.
        names = [name for name in _CLOSE if name in self._language.words["relations"]]
        if self._facts.concepts.is_a(meaning["head"], "animal") is not False:
            names = [name for name in names if name != "overlapping"]
        for landmark in self._others(target)[:_FEW]:
            name = self._draws.one(names)
            fact = self._facts.relation(name, landmark)
            if fact.sure >> target & 1:
                yield {**meaning, "relations": [{"relation": name, "to": [landmark]}]}, fact

    def _ranks(self, meaning: Phrase, target: int) -> Iterator[Option]:
        """A place in the order from a side, such as the second from the left."""
        among = denotation({**meaning, "number": "all"}, self._facts)
        if among.sure.bit_count() < 2:
            return
        # Nobody counts small things alone, or things of all kinds, or far.
        sized = any(kind == "size" for kind, _ in meaning.get("attributes", ()))
        uncounted = sized or meaning["head"] == OBJECT or not self._language.nouns(meaning["head"])[0].many
        most = 1 if uncounted or among.sure.bit_count() > _MOST_IN_ORDER else _MOST_COUNTED
        deep = self._facts.image.instances[target].depth is not None
        for by in self._draws.shuffled((*SIDES, "front", "back") if deep else SIDES):
            n = (self._facts.order(by).before[target] & among.sure).bit_count() + 1
            if (n == 1 or (by in SIDES and n <= most)) and self._is_nth(target, n, among, by):
                yield self._with_rank(meaning, {"by": by, "n": n}), Fact(1 << target, 1 << target)

    def _between(self, meaning: Phrase, target: int) -> Iterator[Option]:
        others = self._others(target)[:_FEW]
        for one, other in pairwise(others):
            fact = self._facts.between(one, other)
            if fact.sure >> target & 1:
                yield {**meaning, "relations": [{"relation": "between", "to": [one, other]}]}, fact

    def _nearest(self, meaning: Phrase, target: int) -> Iterator[Option]:
        among = denotation({**meaning, "number": "all"}, self._facts)
        if among.sure.bit_count() < 2:
            return
        for landmark in self._others(target)[:_FEW]:
            rest = among.may & ~(1 << target) & ~(1 << landmark)
            for by in self._draws.shuffled(("near", "far")):
                if rest and not rest & ~self._facts.nearer(by, landmark).after[target]:
                    rank = {"by": by, "n": 1, "to": [landmark]}
                    yield self._with_rank(meaning, rank), Fact(1 << target, 1 << target)

    def _others(self, target: int) -> list[int]:
        return self._draws.shuffled([each for each in self._targets if each != target])[:_MOST_LANDMARKS]

    def _described(self, meaning: Phrase, targets: tuple[int, ...]) -> Proposal | None:
        """A proposal with its landmarks in words, where there are any."""
        owners = [*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])]
        for owner in owners:
            described = [self._describe(each) for each in owner["to"]]
            if None in described:
                return None
            owner["to"] = described
        return meaning, targets

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
            orders = ("left", "right") if self._is_person(index) else ("large", "small", "left", "right")
            drafts += [{**single, "rank": {"by": by, "n": 1}} for by in orders]
        return [each for each in drafts if judge(each, facts, (index,))[0] == "true"]
