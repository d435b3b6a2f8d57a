"""Proposes meanings of referring expressions for an image's instances; callers judge them before writing them."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, TypeVar

import numpy as np

from sos_mm.referring.claims import claims
from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.facts import Fact, Facts, as_bits, indices
from sos_mm.referring.geometry import CONTACTS, POSITIONS, SIDES
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, denotation, judge

T = TypeVar("T")
_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_DIRECTIONS = (("left of", "right of"), ("above", "below"), ("right of", "left of"), ("below", "above"))
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
# Largest count put into words; largest ordinal from a side; most objects among which ordinals are used.
_MOST_WORDED, _MOST_COUNTED, _MOST_IN_ORDER = 10, 4, 8
# Most landmarks tried for a target, and most options tried for it.
_FEW, _MOST_OPTIONS = 2, 10
Proposal = tuple[Phrase, tuple[int, ...]]
# An extended noun phrase, and the fact for which objects the extension holds. Landmarks are indices of instances
# until an option is chosen.
Option = tuple[Phrase, Fact]
# An attribute, a pair of its kind and value, and the fact for which objects it holds.
Feature = tuple[list[str], Fact]


class Draws:
    """Draws random integers from a generator, in blocks for speed.

    Args:
        generator: The generator.
    """

    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._numbers: list[int] = []

    def _refill(self) -> None:
        self._numbers += self._generator.integers(0, 2**31, 512).tolist()

    def below(self, limit: int) -> int:
        """Draws an integer in [0, limit)."""
        if not self._numbers:
            self._refill()
        return self._numbers.pop() % limit

    def one(self, items: Sequence[T]) -> T:
        """Draws one item of a sequence."""
        if not self._numbers:
            self._refill()
        return items[self._numbers.pop() % len(items)]

    def many(self, count: int) -> list[int]:
        """Draws ``count`` integers in [0, 2**31)."""
        while len(self._numbers) < count:
            self._refill()
        chosen = self._numbers[-count:]
        del self._numbers[-count:]
        return chosen

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns a new list of the items in random order."""
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            if not self._numbers:
                self._refill()
            other = self._numbers.pop() % (last + 1)
            items[last], items[other] = items[other], items[last]
        return items


class Proposer:
    """Proposes meanings for an image.

    Args:
        facts: Facts of the image.
        language: Language of the expressions; a meaning without words in it is not proposed.
        draws: Source of the random choices.
    """

    def __init__(self, facts: Facts, language: Language, draws: Draws):
        self._facts, self._language, self._draws = facts, language, draws
        smallest = facts.thresholds.smallest * facts.image.width * facts.image.height
        areas = np.exp(facts.geometry.log_areas[0][: facts.number])
        self._targets = [
            index
            for index in range(facts.number)
            if areas[index] >= smallest and self._language.noun_kind(facts.categories[index])
        ]
        self._broader: dict[str, list[str]] = {}
        self._speakable = as_bits(self._targets)
        self._landmarks: dict[int, list[Phrase]] = {}
        self._features: dict[int, list[Feature]] = {}
        self._places: dict[int, list[list[str]]] = {}
        self._said = language.words["relations"]
        self._people = as_bits(
            [index for index, each in enumerate(facts.categories) if facts.concepts.is_a(each, "person") is True]
        )

    def single(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for one random instance; None if none was found.

        Returns:
            The noun phrase and the indices of its targets.
        """
        if not self._targets:
            return None
        target = self._draws.one(self._targets)
        meaning = self._start(self._head(target), "one")
        among = self._facts.head(meaning["head"])
        own = 1 << target
        if kind == "category":
            return (meaning, (target,)) if among == (own, own) else None
        if kind == "mixed":
            found = self._one_attribute(meaning, target, among)
            if found is None:
                return None
            meaning, among = found
        ways = self._by_attributes if kind == "attribute" else self._by_places
        for changed, fact in islice(ways(meaning, target, among), _MOST_OPTIONS):
            if among.may & fact.may == own:
                return self._described(changed, (target,))
        return None

    def several(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for several instances; returns as `single`."""
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
            found = self._one_attribute(meaning, target, among)
            if found is None:
                return None
            meaning, among = found
        ways = self._by_attributes if kind == "attribute" else self._by_places
        for changed, fact in islice(ways(meaning, target, among, ranks=False), _MOST_OPTIONS):
            counted = self._counted(changed, among & fact)
            if counted is not None:
                return self._described(*counted)
        return None

    def _counted(self, meaning: Phrase, meant: Fact) -> Proposal | None:
        """Proposes all objects of a fact, with or without their count; None if they are fewer than two or unsure."""
        count = meant.sure.bit_count()
        if meant.sure != meant.may or count < 2:
            return None
        if count == 2 or (count <= _MOST_WORDED and self._draws.below(2)):
            meaning = {"number": "count", "count": count, **{key: meaning[key] for key in meaning if key != "number"}}
        return meaning, indices(meant.sure)

    def _first_few(self, meaning: Phrase, orders: Sequence[str], among: Fact) -> Proposal | None:
        """Proposes the first few objects in an order, such as "the leftmost two dogs"."""
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
        if number == "one" and self._language.noun_kind(head) == "unmarked":
            number = "unmarked"
        return {"number": number, "head": head}

    def _head(self, target: int, several: bool = False) -> str:
        """Draws the head noun of a target: its category, or sometimes a broader term."""
        category = self._facts.categories[target]
        alone = several and self._facts.head(category).may.bit_count() == 1
        if not alone and self._draws.below(3 if several else 6):
            return category
        terms = self._terms(category, target)
        # 'object' is used if there is no better term, or sometimes.
        if terms and (terms[0] != OBJECT or several or not self._draws.below(3)):
            return self._draws.one(terms)
        return category

    def _terms(self, category: str, target: int) -> list[str]:
        """Returns the broader terms of a target that the language can say and whose objects are all annotated."""
        if category not in self._broader:
            self._broader[category] = [
                term
                for term in (*sorted(self._facts.concepts.ancestors(category)), OBJECT)
                if self._facts.is_complete(term)
                and self._facts.head(term).sure >> target & 1
                and self._language.noun_kind(term)
            ]
        return self._broader[category]

    def _features_of(self, target: int) -> list[Feature]:
        """Returns the attributes that the target surely has and that the language can say."""
        if target not in self._features:
            facts, said = self._facts, self._language.words["colors"]
            colors = [["color", name] for name in facts.colors_of(target) if name in said]
            words = [
                ["word", word]
                for word in sorted(claims(facts.image.instances[target])[1])
                if facts.attribute("word", word).sure >> target & 1 and self._language.attribute(word)
            ]
            self._features[target] = [(each, facts.attribute(*each)) for each in (*colors, *colors, *words)]
        return self._features[target]

    def _one_attribute(self, meaning: Phrase, target: int, among: Fact) -> Option | None:
        """Draws a noun phrase extended by attributes of the target; None if there is none."""
        found = self._draws.one(self._attributes(meaning, target, among) or [None])
        return found and ({**meaning, "attributes": found[0]}, among & found[1])

    def _by_attributes(self, meaning: Phrase, target: int, among: Fact, ranks: bool = True) -> Iterator[Option]:
        """Yields noun phrases extended by the target's attributes or its rank by size, in random order."""
        found = self._attributes(meaning, target, among)
        options: Iterator[Option] = (
            ({**meaning, "attributes": attributes}, among & fact) for attributes, fact in found
        )
        if not ranks or among.sure.bit_count() < 2 or self._is_person(target):
            return options
        # "The largest dog", "the largest brown dog": as often first as last.
        kinds = [(meaning, among), *(({**meaning, "attributes": one}, among & fact) for one, fact in found[:2])]
        by_size = self._by_size(kinds, target)
        return chain(by_size, options) if self._draws.below(3) == 0 else chain(options, by_size)

    def _attributes(self, meaning: Phrase, target: int, among: Fact) -> list[tuple[list[list[str]], Fact]]:
        """Returns lists of attributes of the target and the facts that an object has them, in random order."""
        facts, draws = self._facts, self._draws
        features = self._features_of(target)
        options = [([feature], fact) for feature, fact in features]
        if features:
            (one, fact), (other, other_fact) = draws.one(features), draws.one(features)
            if one[0] != other[0]:
                options.append((sorted([one, other]), fact & other_fact))
        # Sizes are compared within one category: "all small objects" says little. People are not described by area.
        sized = among.sure.bit_count() > 1 and meaning["head"] == facts.categories[target]
        if sized and not self._is_person(target):
            for value in ("large", "small"):
                fact = facts.size_of(value, among)
                if fact.sure >> target & 1:
                    options.append(([["size", value]], fact))
        return draws.shuffled(options)

    def _is_person(self, index: int) -> bool:
        return bool(self._people >> index & 1)

    def _by_size(self, kinds: Sequence[Option], target: int) -> Iterator[Option]:
        for meaning, among in kinds:
            sizes = [each for each in meaning.get("attributes", ()) if each[0] == "size"]
            if not sizes and among.sure.bit_count() > 1:
                for by in ("large", "small"):
                    if self._is_nth(target, 1, among, by):
                        yield self._with_rank(meaning, {"by": by, "n": 1}), Fact(1 << target, 1 << target)

    def _is_nth(self, target: int, n: int, among: Fact, by: str) -> bool:
        """Returns whether the target surely is the n-th of the objects ``among`` in an order."""
        order, others = self._facts.order(by), among.may & ~(1 << target)
        before = order.before[target] & among.sure
        return before.bit_count() == n - 1 and not others & ~before & ~order.after[target]

    @staticmethod
    def _with_rank(meaning: Phrase, rank: dict[str, Any]) -> Phrase:
        # An order says that it is one: "the leftmost sheep".
        number = "one" if meaning["number"] == "unmarked" else meaning["number"]
        return {**meaning, "number": number, "rank": rank}

    def _by_places(self, meaning: Phrase, target: int, among: Fact, ranks: bool = True) -> Iterator[Option]:
        """Yields noun phrases extended by the target's location, in random order."""
        ways = [self._positions, self._relations]
        if ranks:
            ways.append(self._ranks)
        # What takes longer is looked at less often.
        rare = self._draws.below(8)
        if rare == 0:
            ways.append(self._relations_close)
        elif ranks and rare < 3:
            ways.append((self._between, self._nearest)[rare - 1])
        for way in self._draws.shuffled(ways):
            yield from way(meaning, target, among)

    def _positions(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        if target not in self._places:
            here = {name for name in POSITIONS if self._facts.position(name).sure >> target & 1}
            self._places[target] = [each for each in _POSITIONS if here.issuperset(each)]
        for names in self._draws.shuffled(self._places[target]):
            fact = among
            for name in names:
                fact = fact & self._facts.position_among(name, among)
            yield {**meaning, "positions": names}, fact

    def _relations(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        facts, draws, own = self._facts, self._draws, 1 << target
        first = draws.below(4)
        for name, opposite in (*_DIRECTIONS[first:], *_DIRECTIONS[:first]):
            # What is right of the target has the target to its left.
            landmarks = indices(facts.relations(opposite)[target].sure & self._speakable)
            if landmarks and name in self._said:
                # Landmarks for which the relation holds for the target alone come first.
                toward = facts.relations(name)
                single = [each for each in landmarks if toward[each].may & among.may == own]
                for chosen in filter(None, (single, landmarks)):
                    landmark = draws.one(chosen)
                    yield {**meaning, "relations": [{"relation": name, "to": [landmark]}]}, toward[landmark]

    def _relations_close(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        # These relations need masks, which is slow, so only a few landmarks are tried.
        names = [name for name in _CLOSE if name in self._said]
        if self._facts.concepts.is_a(meaning["head"], "animal") is not False:
            names = [name for name in names if name != "overlapping"]
        touchable = self._facts.geometry.nearly_touching(target)
        for landmark in self._others(target):
            name = self._draws.one(names)
            if name in CONTACTS and not touchable >> landmark & 1:
                continue
            fact = self._facts.relation(name, landmark)
            if fact.sure >> target & 1:
                yield {**meaning, "relations": [{"relation": name, "to": [landmark]}]}, fact

    def _ranks(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        """Yields noun phrases with the target's rank from a side, such as "the second dog from the left"."""
        if among.sure.bit_count() < 2:
            return
        # People do not use ordinals for small objects only, for objects of mixed categories, or for high ranks.
        sized = any(kind == "size" for kind, _ in meaning.get("attributes", ()))
        uncounted = sized or meaning["head"] == OBJECT or not self._language.nouns(meaning["head"])[0].many
        most = 1 if uncounted or among.sure.bit_count() > _MOST_IN_ORDER else _MOST_COUNTED
        deep = self._facts.image.instances[target].depth is not None
        for by in self._draws.shuffled((*SIDES, "front", "back") if deep else SIDES):
            n = (self._facts.order(by).before[target] & among.sure).bit_count() + 1
            if (n == 1 or (by in SIDES and n <= most)) and self._is_nth(target, n, among, by):
                yield self._with_rank(meaning, {"by": by, "n": n}), Fact(1 << target, 1 << target)

    def _between(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        others = self._others(target)
        for one, other in pairwise(others):
            fact = self._facts.between(one, other)
            if fact.sure >> target & 1:
                yield {**meaning, "relations": [{"relation": "between", "to": [one, other]}]}, fact

    def _nearest(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        if among.sure.bit_count() < 2:
            return
        for landmark in self._others(target):
            rest = among.may & ~(1 << target) & ~(1 << landmark)
            for by in self._draws.shuffled(("near", "far")):
                if rest and not rest & ~self._facts.nearer(by, landmark).after[target]:
                    rank = {"by": by, "n": 1, "to": [landmark]}
                    yield self._with_rank(meaning, rank), Fact(1 << target, 1 << target)

    def _others(self, target: int) -> list[int]:
        """Draws a few other objects that may serve as landmarks."""
        drawn = dict.fromkeys(self._draws.one(self._targets) for _ in range(_FEW + 1))
        return [each for each in drawn if each != target][:_FEW]

    def _described(self, meaning: Phrase, targets: tuple[int, ...]) -> Proposal | None:
        """Replaces landmark indices by noun phrases; None if a landmark cannot be described."""
        owners = [*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])]
        for owner in owners:
            described = [self._describe(each) for each in owner["to"]]
            if None in described:
                return None
            owner["to"] = described
        return meaning, targets

    def _describe(self, index: int) -> Phrase | None:
        """Draws a short noun phrase that surely means exactly one instance; None if there is none."""
        if index not in self._landmarks:
            self._landmarks[index] = self._descriptions(index)
        found = self._landmarks[index]
        return self._draws.one(found) if found else None

    def _descriptions(self, index: int) -> list[Phrase]:
        facts = self._facts
        start = self._start(facts.categories[index], "one")
        drafts: list[dict[str, Any]] = [start]
        drafts += [{**start, "attributes": [feature]} for feature, _ in self._features_of(index)]
        single = {**start, "number": "one"}
        if facts.head(start["head"]).sure.bit_count() > 1:
            orders = ("left", "right") if self._is_person(index) else ("large", "small", "left", "right")
            drafts += [{**single, "rank": {"by": by, "n": 1}} for by in orders]
        return [each for each in drafts if judge(each, facts, (index,))[0] == "true"]
