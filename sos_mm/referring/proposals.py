"""Proposes meanings of referring expressions for an image's instances; callers judge them before writing them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, combinations, pairwise
from typing import Any

import numpy as np

from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.draws import Draws
from sos_mm.referring.facts import Fact, Facts, as_bits, indices
from sos_mm.referring.geometry import CONTACTS, DIRECTIONS, POSITIONS, SIDES
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase

_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_DIRECTIONS = (("left of", "right of"), ("above", "below"), ("right of", "left of"), ("below", "above"))
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
# Largest count put into words; largest ordinal from a side; most objects among which ordinals are used.
_MOST_WORDED, _MOST_COUNTED, _MOST_IN_ORDER = 10, 3, 6
# Most objects of which a sentence says that they are the first ones in an order.
_MOST_FIRST = 4
# Most landmarks tried for a target, and most failed proposals of a kind for it.
_FEW, _MOST_FAILED = 2, 2
Proposal = tuple[Phrase, tuple[int, ...]]
# An extended noun phrase, and the fact for which objects the extension holds.
Option = tuple[Phrase, Fact]
# An attribute, a pair of its kind and value, and the fact for which objects it holds.
Feature = tuple[list[str], Fact]
# Attributes of a noun phrase, and the fact for which objects all of them hold.
Attributes = tuple[list[list[str]], Fact]


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
        self._attributes: dict[tuple[int, str], tuple[list[Attributes], list[Attributes]]] = {}
        self._places: dict[int, list[list[str]]] = {}
        # By kind, the targets that are left to propose, each as often as it may fail.
        self._left: dict[str, list[int]] = {}
        # What is left to propose of several targets: by kind noun phrases, and pairs of a target and a head noun.
        self._left_alike: dict[str, list[Option]] = {}
        self._left_plurals: list[tuple[int, str]] | None = None
        self._said = language.words["relations"]
        self._people = facts.people

    def may_mean(self, targets: tuple[int, ...]) -> bool:
        """Returns whether a reader can find so many targets, all of them large enough."""
        return self._may_mean(as_bits(targets))

    def _may_mean(self, targets: int) -> bool:
        return targets.bit_count() <= self._facts.thresholds.most and not targets & ~self._speakable

    def single(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for one random instance; None if none was found.

        Returns:
            The noun phrase and the indices of its targets.
        """
        left = self._left.setdefault(kind, self._targets * _MOST_FAILED)
        if not left:
            return None
        target = self._draws.one(left)
        meaning = self._start(self._head(target), "one")
        found = self._alone(kind, meaning, target)
        if found is None:
            if meaning["head"] == self._facts.categories[target]:
                left.remove(target)
            return None
        return found, (target,)

    def _alone(self, kind: str, meaning: Phrase, target: int) -> Phrase | None:
        """Extends a noun phrase so that it means one target alone; None if that was not found."""
        among = self._facts.head(meaning["head"])
        if kind == "category":
            return meaning if among.may == among.sure == 1 << target else None
        if kind == "attribute":
            return self._attribute_alone(meaning, target, among)
        if kind == "mixed":
            options = self._some_attributes(target, meaning["head"])
            if not options:
                return None
            attributes, fact = self._draws.one(options)
            meaning, among = {**meaning, "attributes": attributes}, among & fact
        return next((changed for changed, _ in self._by_places(meaning, target, among)), None)

    def several(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for several instances; None if none was found."""
        if kind == "mixed" or (kind == "attribute" and self._draws.below(5)):
            return self._several_alike(kind)
        if self._left_plurals is None:
            self._left_plurals = [(target, head) for target, heads in self._plurals.items() for head in heads]
        if not self._left_plurals:
            return None
        target, head = pair = self._draws.one(self._left_plurals)
        meaning, among = self._start(head, "all"), self._facts.head(head)
        if kind == "category":
            return self._counted(meaning, among)
        if kind == "attribute":
            return self._first_few(meaning, ("large", "small"), among)
        if self._draws.below(4) == 0:
            return self._first_few(meaning, SIDES, among)
        found = self._several_at_place(meaning, target, among)
        if found is None:
            self._left_plurals.remove(pair)
        return found

    def _several_alike(self, kind: str) -> Proposal | None:
        """Proposes several instances with common attributes, of the kind 'mixed' those at a place.

        A noun phrase is proposed once, and of the kind 'mixed' until it fails.
        """
        left = self._left_alike.get(kind)
        if left is None:
            alike = self._alike
            if kind == "attribute":
                alike = [each for each in alike if each[1].sure == each[1].may and self._may_mean(each[1].may)]
            left = self._left_alike[kind] = alike.copy()
        if not left:
            return None
        place = self._draws.below(len(left))
        meaning, meant = left[place]
        if kind == "attribute":
            del left[place]
            return self._counted(meaning, meant)
        target = self._draws.one(indices(meant.sure & self._speakable))
        found = self._several_at_place(meaning, target, meant)
        if found is None:
            del left[place]
        return found

    def _several_at_place(self, meaning: Phrase, target: int, among: Fact) -> Proposal | None:
        found = next(self._by_places(meaning, target, among), None)
        return self._counted(found[0], among & found[1]) if found else None

    @cached_property
    def _plurals(self) -> dict[int, list[str]]:
        """By target, the head nouns that surely mean several objects: its category, and broader terms."""
        facts, by_category = self._facts, {}
        members = facts.members
        for category in dict.fromkeys(facts.categories[target] for target in self._targets):
            by_category[category] = [
                head
                for head in (category, *self._terms(category))
                if members.get(head, 0).bit_count() > 1 and any(noun.many for noun in self._language.nouns(head))
            ]
        named = {target: by_category[facts.categories[target]] for target in self._targets}
        return {target: heads for target, heads in named.items() if heads}

    @cached_property
    def _alike(self) -> list[Option]:
        """Noun phrases with attributes that surely mean several objects, and what they mean."""
        found: list[Option] = []
        shared = self._shared_attributes
        for head in dict.fromkeys(chain.from_iterable(self._plurals.values())):
            meaning, among = self._start(head, "all"), self._facts.head(head)
            for attributes, fact in (*shared, *self._sizes_of(among.sure, head, among)):
                sure = among.sure & fact.sure
                # More than one object, one of them large enough.
                if sure & (sure - 1) and sure & self._speakable:
                    found.append(({**meaning, "attributes": attributes}, Fact(sure, among.may & fact.may)))
        return found

    @cached_property
    def _shared_attributes(self) -> list[Attributes]:
        """The attributes that several objects surely have, and pairs of them, and who has them."""
        features = {tuple(each): (each, fact) for target in self._targets for each, fact in self._features_of(target)}
        shared = [(each, fact) for each, fact in features.values() if fact.sure.bit_count() > 1]
        pairs = [
            (sorted([one, other]), fact & other_fact)
            for (one, fact), (other, other_fact) in combinations(shared, 2)
            if one[0] != other[0] and (fact.sure & other_fact.sure).bit_count() > 1
        ]
        return _colors_twice([([each], fact) for each, fact in shared]) + pairs

    def _counted(self, meaning: Phrase, meant: Fact) -> Proposal | None:
        """Proposes all objects of a fact, with or without their count; None if they are fewer than two or unsure."""
        count = meant.sure.bit_count()
        if meant.sure != meant.may or count < 2 or not self._may_mean(meant.sure):
            return None
        if count == 2 or (count <= _MOST_WORDED and self._draws.below(2)):
            meaning = {"number": "count", "count": count, **{key: meaning[key] for key in meaning if key != "number"}}
        return meaning, indices(meant.sure)

    def _first_few(self, meaning: Phrase, orders: Sequence[str], among: Fact) -> Proposal | None:
        """Proposes the first few objects in an order, such as "the leftmost two dogs"."""
        head = meaning["head"]
        if among.sure != among.may:
            return None
        if "large" in orders and self._facts.concepts.is_a(head, "person") is not False:
            return None
        for by in self._draws.shuffled(orders):
            firsts = [each for each in self._firsts(by, among.sure) if self._may_mean(each)]
            if firsts:
                meant = self._draws.one(firsts)
                rank = {"by": by, "n": 1}
                return {"number": "count", "count": meant.bit_count(), "head": head, "rank": rank}, indices(meant)
        return None

    def _firsts(self, by: str, among: int) -> list[int]:
        """Returns the bit sets of the first two, three and four of some objects in an order, where these are clear."""
        order, found = self._facts.order(by), []
        # For each object, how many of the others precede it at least, and at most.
        places = [
            (1 << index, (among & order.before[index]).bit_count(), (among & ~order.after[index]).bit_count() - 1)
            for index in indices(among)
        ]
        for count in range(2, min(len(places), _MOST_FIRST + 1)):
            sure = sum(own for own, _, most in places if most < count)
            if sure == sum(own for own, least, _ in places if least < count):
                found.append(sure)
        return found

    def _start(self, head: str, number: str) -> Phrase:
        # "The sheep" does not say how many.
        if number == "one" and self._language.noun_kind(head) == "unmarked":
            number = "unmarked"
        return {"number": number, "head": head}

    def _head(self, target: int) -> str:
        """Draws the head noun of a target: its category, or sometimes a broader term."""
        category = self._facts.categories[target]
        if self._draws.below(6):
            return category
        terms = self._terms(category)
        # 'object' is used if there is no better term, or sometimes.
        if terms and (terms[0] != OBJECT or not self._draws.below(3)):
            return self._draws.one(terms)
        return category

    def _terms(self, category: str) -> list[str]:
        """Returns the broader terms of a category that the language can say and whose objects are all annotated."""
        if category not in self._broader:
            self._broader[category] = [
                term
                for term in self._facts.broader_terms(category)
                if self._facts.is_complete(term) and self._language.noun_kind(term)
            ]
        return self._broader[category]

    def _features_of(self, target: int) -> list[Feature]:
        """Returns the attributes that the target surely has and that the language can say."""
        if target not in self._features:
            facts, said = self._facts, self._language.words["colors"]
            named = [["color", name] for name in facts.colors_of(target) if name in said]
            named += [["word", word] for word in sorted(facts.claims[target][1]) if self._language.attribute(word)]
            found = [(each, facts.attribute(*each)) for each in named]
            self._features[target] = [(each, fact) for each, fact in found if fact.sure >> target & 1]
        return self._features[target]

    def _attribute_alone(self, meaning: Phrase, target: int, among: Fact) -> Phrase | None:
        """Draws a noun phrase whose attributes or rank by size nothing else may have; None if none was found."""
        draws, own, head = self._draws, 1 << target, meaning["head"]
        options = self._some_attributes(target, head)
        fits = [attributes for attributes, fact in options if among.may & fact.may == own]
        if not fits:
            fits = [
                attributes for attributes, fact in self._attributes_of(target, head)[1] if among.may & fact.may == own
            ]
        found = {**meaning, "attributes": draws.one(fits)} if fits else None
        if among.sure.bit_count() < 2 or self._is_person(target) or (found and draws.below(3)):
            return found
        # "The largest dog", "the largest brown dog".
        kinds = [(meaning, among)]
        if options:
            attributes, fact = draws.one(options)
            kinds.append(({**meaning, "attributes": attributes}, among & fact))
        return self._by_size(kinds, target) or found

    def _some_attributes(self, target: int, head: str) -> list[Attributes]:
        """Returns lists of attributes of the target, among them sometimes one pair."""
        single, pairs = self._attributes_of(target, head)
        return [*single, self._draws.one(pairs)] if pairs and self._draws.below(2) else single

    def _attributes_of(self, target: int, head: str) -> tuple[list[Attributes], list[Attributes]]:
        """Returns single attributes of the target, its size among a head noun's objects included, and pairs."""
        key = target, head
        if key not in self._attributes:
            features = self._features_of(target)
            single = _colors_twice([([each], fact) for each, fact in features])
            pairs = [
                (sorted([one, other]), fact & other_fact)
                for (one, fact), (other, other_fact) in combinations(features, 2)
                if one[0] != other[0]
            ]
            self._attributes[key] = single + self._sizes_of(1 << target, head, self._facts.head(head)), pairs
        return self._attributes[key]

    def _sizes_of(self, objects: int, head: str, among: Fact) -> list[Attributes]:
        """Returns 'large' or 'small' and who is, if they fit any object of a bit set."""
        # Sizes are compared within one category: "all small objects" says little. People are not described by area.
        if among.sure.bit_count() < 2 or head not in self._facts.categories or objects & self._people:
            return []
        facts = [(value, self._facts.size_of(value, among)) for value in ("large", "small")]
        return [([["size", value]], fact) for value, fact in facts if fact.sure & objects]

    def _is_person(self, index: int) -> bool:
        return bool(self._people >> index & 1)

    def _by_size(self, kinds: Sequence[Option], target: int) -> Phrase | None:
        """Returns the first of some noun phrases whose largest or smallest object the target is, with that rank."""
        for meaning, among in kinds:
            sizes = [each for each in meaning.get("attributes", ()) if each[0] == "size"]
            if not sizes and among.sure.bit_count() > 1:
                for by in ("large", "small"):
                    if self._rank_of(target, among, by) == 1:
                        return self._with_rank(meaning, {"by": by, "n": 1})
        return None

    def _rank_of(self, target: int, among: Fact, by: str) -> int:
        """Returns the target's rank in an order of the objects ``among``, from 1; 0 if it is not sure."""
        order = self._facts.order(by)
        before = order.before[target] & among.sure
        unclear = among.may & ~(1 << target) & ~before & ~order.after[target]
        return 0 if unclear else before.bit_count() + 1

    @staticmethod
    def _with_rank(meaning: Phrase, rank: dict[str, Any]) -> Phrase:
        # An order says that it is one: "the leftmost sheep".
        number = "one" if meaning["number"] == "unmarked" else meaning["number"]
        return {**meaning, "number": number, "rank": rank}

    def _by_places(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        """Yields noun phrases extended by the target's location that mean nothing unsure, in random order.

        They mean the target alone, or where ``meaning`` is of several objects, it and others.
        """
        single = meaning["number"] != "all"
        ways = [self._positions, self._relations]
        # What takes longer is looked at less often.
        rare = self._draws.below(8)
        if rare == 0:
            ways.append(self._relations_close)
        if single:
            ways.append(self._ranks)
            if 0 < rare < 3:
                ways.append((self._between, self._nearest)[rare - 1])
        for way in self._draws.shuffled(ways):
            yield from way(meaning, target, among, single)

    def _is_meant(self, sure: int, may: int, target: int, single: bool) -> bool:
        """Returns whether a noun phrase that means ``sure`` and may mean ``may`` means what is to be proposed."""
        return sure == may and (sure == 1 << target if single else sure & (sure - 1) != 0 and self._may_mean(sure))

    def _positions(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        if target not in self._places:
            here = {name for name in POSITIONS if self._facts.position(name).sure >> target & 1}
            self._places[target] = [each for each in _POSITIONS if here.issuperset(each)] if here else []
        for names in self._draws.shuffled(self._places[target]):
            sure, may = among
            for name in names:
                there = self._facts.position(name)
                sure, may = sure & there.sure, may & there.may
            if self._is_meant(sure, may, target, single):
                fact = among
                for name in names:
                    fact = fact & self._facts.position_among(name, among)
                if fact.may == sure:
                    yield {**meaning, "positions": names}, fact

    def _directions(self) -> Sequence[tuple[str, str]]:
        """Returns the directions that the language can say and their opposites, from a random one on."""
        first = self._draws.below(4)
        return [pair for pair in (*_DIRECTIONS[first:], *_DIRECTIONS[:first]) if pair[0] in self._said]

    def _relations(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        """Yields noun phrases with a direction from a landmark."""
        related = self._related
        for name, opposite in self._directions():
            # What is right of the target has the target to its left.
            around = related[opposite][0][target] & self._speakable
            if not around:
                continue
            sure, may = related[name]
            if single:
                landmarks = indices(around & ~self._facts.related_to_several(opposite, among.may))
            else:
                landmarks = tuple(
                    index
                    for index in indices(around)
                    if self._is_meant(among.sure & sure[index], among.may & may[index], target, False)
                )
            landmark = self._landmark(landmarks)
            if landmark:
                index, phrase = landmark
                yield {**meaning, "relations": [{"relation": name, "to": [phrase]}]}, Fact(sure[index], may[index])

    @cached_property
    def _related(self) -> dict[str, tuple[list[int], list[int]]]:
        return {name: self._facts.relations(name) for name in DIRECTIONS}

    def _relations_close(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        # These relations need masks, which is slow, so only a few landmarks are tried.
        names = [name for name in _CLOSE if name in self._said]
        if self._facts.concepts.is_a(meaning["head"], "animal") is not False:
            names = [name for name in names if name != "overlapping"]
        touchable = self._facts.geometry.nearly_touching(target)
        for landmark in self._others(target):
            name = self._draws.one(names)
            phrase = self._describe(landmark)
            if phrase is None or (name in CONTACTS and not touchable >> landmark & 1):
                continue
            fact = self._facts.relation(name, landmark)
            if fact.sure >> target & 1 and self._is_meant(among.sure & fact.sure, among.may & fact.may, target, single):
                yield {**meaning, "relations": [{"relation": name, "to": [phrase]}]}, fact

    def _ranks(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        """Yields noun phrases with the target's rank from a side, such as "the second dog from the left"."""
        if among.sure.bit_count() < 2:
            return
        # People do not use ordinals for small objects only, for objects of mixed categories, or for high ranks.
        sized = any(kind == "size" for kind, _ in meaning.get("attributes", ()))
        uncounted = sized or meaning["head"] == OBJECT or not self._language.nouns(meaning["head"])[0].many
        most = 1 if uncounted or among.sure.bit_count() > _MOST_IN_ORDER else _MOST_COUNTED
        deep = self._facts.image.instances[target].depth is not None
        for by in self._draws.shuffled((*SIDES, "front", "back") if deep else SIDES):
            n = self._rank_of(target, among, by)
            if n == 1 or (by in SIDES and 1 < n <= most):
                yield self._with_rank(meaning, {"by": by, "n": n}), Fact(1 << target, 1 << target)

    def _between(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        for one, other in pairwise(self._others(target)):
            if self._facts.geometry.surely_between(one, other) >> target & 1:
                fact, to = self._facts.between(one, other), [self._describe(one), self._describe(other)]
                if None not in to and self._is_meant(among.sure & fact.sure, among.may & fact.may, target, single):
                    yield {**meaning, "relations": [{"relation": "between", "to": to}]}, fact

    def _nearest(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        if among.sure.bit_count() < 2:
            return
        for landmark in self._others(target):
            rest = among.may & ~(1 << target) & ~(1 << landmark)
            phrase = self._describe(landmark)
            for by in self._draws.shuffled(("near", "far")):
                if phrase and rest and not rest & ~self._facts.nearer(by, landmark).after[target]:
                    rank = {"by": by, "n": 1, "to": [phrase]}
                    yield self._with_rank(meaning, rank), Fact(1 << target, 1 << target)

    def _others(self, target: int) -> list[int]:
        """Draws a few other objects that may serve as landmarks."""
        drawn = dict.fromkeys(self._draws.one(self._targets) for _ in range(_FEW + 1))
        return [each for each in drawn if each != target][:_FEW]

    def _landmark(self, choices: tuple[int, ...]) -> tuple[int, Phrase] | None:
        """Draws one of some objects that a short noun phrase means, and such a phrase; None if there is none."""
        if choices:
            # A random one, or the first behind it that can be described.
            start = self._draws.below(len(choices))
            for index in (*choices[start:], *choices[:start]):
                phrase = self._describe(index)
                if phrase is not None:
                    return index, phrase
        return None

    def _describe(self, index: int) -> Phrase | None:
        """Draws a short noun phrase that surely means exactly one instance; None if there is none."""
        if index not in self._landmarks:
            self._landmarks[index] = self._descriptions(index)
        found = self._landmarks[index]
        return self._draws.one(found) if found else None

    def _descriptions(self, index: int) -> list[Phrase]:
        own, start = 1 << index, self._start(self._facts.categories[index], "one")
        among = self._facts.head(start["head"])
        found: list[Phrase] = [start] if among.may == own else []
        found += [
            {**start, "attributes": [feature]}
            for feature, fact in self._features_of(index)
            if among.may & fact.may == own
        ]
        if among.sure.bit_count() > 1:
            orders = ("left", "right") if self._is_person(index) else ("large", "small", "left", "right")
            ranks = [{"by": by, "n": 1} for by in orders if self._rank_of(index, among, by) == 1]
            found += [{**start, "number": "one", "rank": rank} for rank in ranks]
        return found


def _colors_twice(options: list[Attributes]) -> list[Attributes]:
    """Repeats the colours of a list of attributes, since people say them most."""
    return options + [each for each in options if each[0][0][0] == "color"]
