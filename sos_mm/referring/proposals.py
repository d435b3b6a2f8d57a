"""Proposes meanings of referring expressions for an image's instances; callers judge them before writing them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, combinations, islice, pairwise
from typing import Any

import numpy as np

from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.draws import Draws
from sos_mm.referring.facts import Fact, Facts, as_bits, indices
from sos_mm.referring.geometry import CONTACTS, POSITIONS, SIDES
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, denotation, judge

_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_DIRECTIONS = (("left of", "right of"), ("above", "below"), ("right of", "left of"), ("below", "above"))
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
# Largest count put into words; largest ordinal from a side; most objects among which ordinals are used.
_MOST_WORDED, _MOST_COUNTED, _MOST_IN_ORDER = 10, 3, 6
# Most landmarks tried for a target, and most options tried for it.
_FEW, _MOST_OPTIONS = 2, 10
Proposal = tuple[Phrase, tuple[int, ...]]
# An extended noun phrase, and the fact for which objects the extension holds. Landmarks are indices of instances
# until an option is chosen.
Option = tuple[Phrase, Fact]
# An attribute, a pair of its kind and value, and the fact for which objects it holds.
Feature = tuple[list[str], Fact]


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
        self._people = facts.people

    def may_mean(self, targets: tuple[int, ...]) -> bool:
        """Returns whether a reader can find so many targets, all of them large enough."""
        return len(targets) <= self._facts.thresholds.most and not as_bits(targets) & ~self._speakable

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
        if kind == "attribute":
            described = self._attribute_alone(meaning, target, among)
            return (described, (target,)) if described else None
        for changed, fact in islice(self._by_places(meaning, target, among), _MOST_OPTIONS):
            if among.may & fact.may == own:
                return self._described(changed, (target,))
        return None

    def several(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for several instances; None if none was found."""
        if kind == "mixed" or (kind == "attribute" and self._draws.below(5)):
            return self._several_alike(kind)
        if not self._plurals:
            return None
        target = self._draws.one(list(self._plurals))
        head, *others = self._plurals[target]
        if others and (head != self._facts.categories[target] or not self._draws.below(3)):
            head = self._draws.one(others)
        meaning, among = self._start(head, "all"), self._facts.head(head)
        if kind == "category":
            return self._counted(meaning, among)
        if kind == "attribute":
            return self._first_few(meaning, ("large", "small"), among)
        if self._draws.below(4) == 0:
            return self._first_few(meaning, SIDES, among)
        return self._several_at_place(meaning, target, among)

    def _several_alike(self, kind: str) -> Proposal | None:
        """Proposes several instances with common attributes, of the kind 'mixed' those at a place."""
        alike = self._alike if kind == "mixed" else self._surely_alike
        if not alike:
            return None
        target = self._draws.one(list(alike))
        meaning, meant = self._draws.one(alike[target])
        return self._several_at_place(meaning, target, meant) if kind == "mixed" else self._counted(meaning, meant)

    def _several_at_place(self, meaning: Phrase, target: int, among: Fact) -> Proposal | None:
        for changed, fact in islice(self._by_places(meaning, target, among, single=False), _MOST_OPTIONS):
            counted = self._counted(changed, among & fact)
            if counted is not None:
                return self._described(*counted)
        return None

    @cached_property
    def _plurals(self) -> dict[int, list[str]]:
        """By target, the head nouns that surely mean several objects: its category, and broader terms."""
        by_category: dict[str, list[str]] = {}
        for target in self._targets:
            category = self._facts.categories[target]
            if category not in by_category:
                by_category[category] = [
                    head
                    for head in (category, *self._terms(category, target))
                    if self._facts.head(head).sure.bit_count() > 1
                    and any(noun.many for noun in self._language.nouns(head))
                ]
        named = {target: by_category[self._facts.categories[target]] for target in self._targets}
        return {target: heads for target, heads in named.items() if heads}

    @cached_property
    def _alike(self) -> dict[int, list[Option]]:
        """By target, noun phrases with attributes that surely mean it and other objects, and what they mean."""
        found: dict[int, list[Option]] = {}
        shared = self._shared_attributes()
        for head in dict.fromkeys(chain.from_iterable(self._plurals.values())):
            meaning, among = self._start(head, "all"), self._facts.head(head)
            for attributes, fact in (*shared, *self._sizes_of(among.sure, head, among)):
                meant = among & fact
                if meant.sure.bit_count() > 1:
                    option = {**meaning, "attributes": attributes}, meant
                    for target in indices(meant.sure & self._speakable):
                        found.setdefault(target, []).append(option)
        return found

    @cached_property
    def _surely_alike(self) -> dict[int, list[Option]]:
        """As `_alike`, of the noun phrases that may mean nothing else."""
        sure = {
            target: [option for option in options if option[1].sure == option[1].may]
            for target, options in self._alike.items()
        }
        return {target: options for target, options in sure.items() if options}

    def _shared_attributes(self) -> list[tuple[list[list[str]], Fact]]:
        """Returns the attributes that several objects surely have, and pairs of them, and who has them."""
        features = {tuple(each): (each, fact) for target in self._targets for each, fact in self._features_of(target)}
        shared = [(each, fact) for each, fact in features.values() if fact.sure.bit_count() > 1]
        pairs = [
            (sorted([one, other]), fact & other_fact)
            for (one, fact), (other, other_fact) in combinations(shared, 2)
            if one[0] != other[0]
        ]
        return _colors_twice([([each], fact) for each, fact in shared]) + pairs

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

    def _head(self, target: int) -> str:
        """Draws the head noun of a target: its category, or sometimes a broader term."""
        category = self._facts.categories[target]
        if self._draws.below(6):
            return category
        terms = self._terms(category, target)
        # 'object' is used if there is no better term, or sometimes.
        if terms and (terms[0] != OBJECT or not self._draws.below(3)):
            return self._draws.one(terms)
        return category

    def _terms(self, category: str, target: int) -> list[str]:
        """Returns the broader terms of a target that the language can say and whose objects are all annotated."""
        if category not in self._broader:
            self._broader[category] = [
                term
                for term in self._facts.concepts.broader_terms(category)
                if self._facts.is_complete(term)
                and self._facts.head(term).sure >> target & 1
                and self._language.noun_kind(term)
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

    def _one_attribute(self, meaning: Phrase, target: int, among: Fact) -> Option | None:
        """Draws a noun phrase extended by attributes of the target; None if there is none."""
        options = self._attributes(meaning, target, among)
        if not options:
            return None
        attributes, fact = self._draws.one(options)
        return {**meaning, "attributes": attributes}, among & fact

    def _attribute_alone(self, meaning: Phrase, target: int, among: Fact) -> Phrase | None:
        """Draws a noun phrase whose attributes or rank by size nothing else may have; None if none was found."""
        draws, own = self._draws, 1 << target
        options = self._attributes(meaning, target, among)
        fits = [attributes for attributes, fact in options if among.may & fact.may == own]
        found = {**meaning, "attributes": draws.one(fits)} if fits else None
        if among.sure.bit_count() < 2 or self._is_person(target) or (found and draws.below(3)):
            return found
        # "The largest dog", "the largest brown dog".
        kinds = [(meaning, among)]
        if options:
            attributes, fact = draws.one(options)
            kinds.append(({**meaning, "attributes": attributes}, among & fact))
        return self._by_size(kinds, target) or found

    def _attributes(self, meaning: Phrase, target: int, among: Fact) -> list[tuple[list[list[str]], Fact]]:
        """Returns lists of attributes of the target and the facts that an object has them."""
        draws, features = self._draws, self._features_of(target)
        options = _colors_twice([([each], fact) for each, fact in features])
        if len(features) > 1:
            (one, fact), (other, other_fact) = draws.one(features), draws.one(features)
            if one[0] != other[0]:
                options.append((sorted([one, other]), fact & other_fact))
        return options + self._sizes_of(1 << target, meaning["head"], among)

    def _sizes_of(self, objects: int, head: str, among: Fact) -> list[tuple[list[list[str]], Fact]]:
        """Returns 'large' or 'small' as `_attributes` returns attributes, if they fit any object of a bit set."""
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

    def _by_places(self, meaning: Phrase, target: int, among: Fact, single: bool = True) -> Iterator[Option]:
        """Yields noun phrases extended by the target's location, in random order.

        Ranks, and of landmarks those that tell the target apart, are for a ``single`` target.
        """
        ways = [self._positions, self._relations_alone, self._ranks] if single else [self._positions, self._relations]
        # What takes longer is looked at less often.
        rare = self._draws.below(8)
        if rare == 0:
            ways.append(self._relations_close)
        elif single and rare < 3:
            ways.append((self._between, self._nearest)[rare - 1])
        for way in self._draws.shuffled(ways):
            yield from way(meaning, target, among)

    def _positions(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        if target not in self._places:
            here = {name for name in POSITIONS if self._facts.position(name).sure >> target & 1}
            self._places[target] = [each for each in _POSITIONS if here.issuperset(each)] if here else []
        least = 2 if meaning["number"] == "all" else 1
        for names in self._draws.shuffled(self._places[target]):
            sure = among.sure
            for name in names:
                sure &= self._facts.position(name).sure
            if sure.bit_count() >= least:
                fact = among
                for name in names:
                    fact = fact & self._facts.position_among(name, among)
                yield {**meaning, "positions": names}, fact

    def _directions(self) -> Sequence[tuple[str, str]]:
        """Returns the directions that the language can say and their opposites, from a random one on."""
        first = self._draws.below(4)
        return [pair for pair in (*_DIRECTIONS[first:], *_DIRECTIONS[:first]) if pair[0] in self._said]

    def _relations(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        """Yields noun phrases of the target and other objects in the same direction from a landmark."""
        for name, opposite in self._directions():
            # What is right of the target has the target to its left.
            landmarks = indices(self._facts.relations(opposite)[target].sure & self._speakable)
            if landmarks:
                landmark = self._draws.one(landmarks)
                fact = self._facts.relation(name, landmark)
                if (among.sure & fact.sure).bit_count() > 1:
                    yield {**meaning, "relations": [{"relation": name, "to": [landmark]}]}, fact

    def _relations_alone(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        """Yields as `_relations`, with landmarks for which the relation may hold for no other object."""
        for name, opposite in self._directions():
            around = self._facts.relations(opposite)[target].sure & self._speakable
            others = self._facts.related_to_several(opposite, among.may) if around else 0
            landmarks = indices(around & ~others)
            if landmarks:
                relation = {"relation": name, "to": [self._draws.one(landmarks)]}
                yield {**meaning, "relations": [relation]}, Fact(1 << target, 1 << target)

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
            n = self._rank_of(target, among, by)
            if n == 1 or (by in SIDES and 1 < n <= most):
                yield self._with_rank(meaning, {"by": by, "n": n}), Fact(1 << target, 1 << target)

    def _between(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
        others = self._others(target)
        for one, other in pairwise(others):
            if self._facts.geometry.surely_between(one, other) >> target & 1:
                relation = {"relation": "between", "to": [one, other]}
                yield {**meaning, "relations": [relation]}, self._facts.between(one, other)

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


def _colors_twice(options: list[tuple[list[list[str]], Fact]]) -> list[tuple[list[list[str]], Fact]]:
    """Repeats the colours of a list of attributes, since people say them most."""
    return options + [each for each in options if each[0][0][0] == "color"]
