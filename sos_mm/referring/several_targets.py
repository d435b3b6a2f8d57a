"""Proposes meanings of referring expressions with several targets; callers judge them before writing them."""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain, combinations

from sos_mm.referring.facts import Fact, indices
from sos_mm.referring.geometry import SIDES
from sos_mm.referring.locations import Locations
from sos_mm.referring.meaning import Phrase
from sos_mm.referring.noun_phrases import Attributes, NounPhrases, Option, Proposal, colors_twice

# Largest count put into words.
_MOST_WORDED = 10
# Most objects of which a sentence says that they are the first ones in an order.
_MOST_FIRST = 4


class SeveralTargets:
    """Proposes meanings that mean several of an image's instances.

    Args:
        phrases: The parts of noun phrases about the image.
        locations: What extends them by locations.
    """

    def __init__(self, phrases: NounPhrases, locations: Locations):
        self._phrases, self._locations = phrases, locations
        self._facts, self._draws = phrases.facts, phrases.draws
        # What is left to propose: by kind noun phrases, and pairs of a target and a head noun.
        self._left_alike: dict[str, list[Option]] = {}
        self._left_plurals: list[tuple[int, str]] | None = None

    def propose(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for several instances; None if none was found."""
        if kind == "mixed" or (kind == "attribute" and self._draws.below(5)):
            return self._propose_alike(kind)
        if self._left_plurals is None:
            self._left_plurals = [(target, head) for target, heads in self._plurals.items() for head in heads]
        if not self._left_plurals:
            return None
        target, head = pair = self._draws.one(self._left_plurals)
        meaning, among = self._phrases.start(head, "all"), self._facts.head(head)
        if kind == "category":
            return self._counted(meaning, among)
        if kind == "attribute":
            return self._first_few(meaning, ("large", "small"), among)
        if self._draws.below(4) == 0:
            return self._first_few(meaning, SIDES, among)
        found = self._propose_at_place(meaning, target, among)
        if found is None:
            self._left_plurals.remove(pair)
        return found

    def _propose_alike(self, kind: str) -> Proposal | None:
        """Proposes several instances with common attributes, of the kind 'mixed' those at a place.

        A noun phrase is proposed once, and of the kind 'mixed' until it fails.
        """
        left = self._left_alike.get(kind)
        if left is None:
            alike = self._alike
            if kind == "attribute":
                alike = [each for each in alike if each[1].sure == each[1].may and self._phrases.may_mean(each[1].may)]
            left = self._left_alike[kind] = alike.copy()
        if not left:
            return None
        chosen = self._draws.below(len(left))
        meaning, meant = left[chosen]
        if kind == "attribute":
            del left[chosen]
            return self._counted(meaning, meant)
        target = self._draws.one(indices(meant.sure & self._phrases.speakable))
        found = self._propose_at_place(meaning, target, meant)
        if found is None:
            del left[chosen]
        return found

    def _propose_at_place(self, meaning: Phrase, target: int, among: Fact) -> Proposal | None:
        found = next(self._locations.extended(meaning, target, among), None)
        return self._counted(found[0], among & found[1]) if found else None

    @cached_property
    def _plurals(self) -> dict[int, list[str]]:
        """By target, the head nouns that surely mean several objects: its category, and broader terms."""
        facts, by_category = self._facts, {}
        members = facts.members
        for category in dict.fromkeys(facts.categories[target] for target in self._phrases.targets):
            by_category[category] = [
                head
                for head in (category, *self._phrases.broader_terms(category))
                if members.get(head, 0).bit_count() > 1
                and any(noun.many for noun in self._phrases.language.nouns(head))
            ]
        named = {target: by_category[facts.categories[target]] for target in self._phrases.targets}
        return {target: heads for target, heads in named.items() if heads}

    @cached_property
    def _alike(self) -> list[Option]:
        """Noun phrases with attributes that surely mean several objects, and what they mean."""
        found: list[Option] = []
        shared = self._shared_attributes
        for head in dict.fromkeys(chain.from_iterable(self._plurals.values())):
            meaning, among = self._phrases.start(head, "all"), self._facts.head(head)
            for attributes, fact in (*shared, *self._phrases.sizes(among.sure, head, among)):
                sure = among.sure & fact.sure
                # More than one object, one of them large enough.
                if sure & (sure - 1) and sure & self._phrases.speakable:
                    found.append(({**meaning, "attributes": attributes}, Fact(sure, among.may & fact.may)))
        return found

    @cached_property
    def _shared_attributes(self) -> list[Attributes]:
        """The attributes that several objects surely have, and pairs of them, and who has them."""
        features = {
            tuple(each): (each, fact)
            for target in self._phrases.targets
            for each, fact in self._phrases.features(target)
        }
        shared = [(each, fact) for each, fact in features.values() if fact.sure.bit_count() > 1]
        pairs = [
            (sorted([one, other]), fact & other_fact)
            for (one, fact), (other, other_fact) in combinations(shared, 2)
            if one[0] != other[0] and (fact.sure & other_fact.sure).bit_count() > 1
        ]
        return colors_twice([([each], fact) for each, fact in shared]) + pairs

    def _counted(self, meaning: Phrase, meant: Fact) -> Proposal | None:
        """Proposes all objects of a fact, with or without their count; None if they are fewer than two or unsure."""
        count = meant.sure.bit_count()
        if meant.sure != meant.may or count < 2 or not self._phrases.may_mean(meant.sure):
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
            firsts = [each for each in self._firsts(by, among.sure) if self._phrases.may_mean(each)]
            if firsts:
                meant = self._draws.one(firsts)
                rank = {"by": by, "n": 1}
                return {"number": "count", "count": meant.bit_count(), "head": head, "rank": rank}, indices(meant)
        return None

    def _firsts(self, by: str, among: int) -> list[int]:
        """Returns the bit sets of the first two, three and four of some objects in an order, where these are clear."""
        order, found = self._facts.order(by), []
        # For each object, how many of the others precede it at least, and at most.
        ranks = [
            (1 << index, (among & order.before[index]).bit_count(), (among & ~order.after[index]).bit_count() - 1)
            for index in indices(among)
        ]
        for count in range(2, min(len(ranks), _MOST_FIRST + 1)):
            sure = sum(own for own, _, most in ranks if most < count)
            if sure == sum(own for own, least, _ in ranks if least < count):
                found.append(sure)
        return found
