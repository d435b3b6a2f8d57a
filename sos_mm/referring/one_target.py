"""Proposes meanings of referring expressions with one target; callers judge them before writing them."""

from collections.abc import Sequence
from itertools import combinations

from sos_mm.referring.facts import Fact
from sos_mm.referring.locations import Locations
from sos_mm.referring.meaning import Phrase
from sos_mm.referring.noun_phrases import Attributes, NounPhrases, Option, Proposal, colors_twice

# Most failed proposals of a kind for a target.
_MOST_FAILED = 2


class OneTarget:
    """Proposes meanings that mean one of an image's instances alone.

    Args:
        phrases: The parts of noun phrases about the image.
        locations: What extends them by locations.
    """

    def __init__(self, phrases: NounPhrases, locations: Locations):
        self._phrases, self._locations = phrases, locations
        self._facts, self._draws = phrases.facts, phrases.draws
        self._attributes: dict[tuple[int, str], tuple[list[Attributes], list[Attributes]]] = {}
        # By kind, the targets that are left to propose, each as often as it may fail.
        self._left: dict[str, list[int]] = {}

    def propose(self, kind: str) -> Proposal | None:
        """Proposes a meaning of a kind for one random instance; None if none was found.

        Returns:
            The noun phrase and the indices of its targets.
        """
        left = self._left.setdefault(kind, self._phrases.targets * _MOST_FAILED)
        if not left:
            return None
        target = self._draws.one(left)
        meaning = self._phrases.start(self._phrases.head(target), "one")
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
        return next((changed for changed, _ in self._locations.extended(meaning, target, among)), None)

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
        if among.sure.bit_count() < 2 or self._phrases.is_person(target) or (found and draws.below(3)):
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
            features = self._phrases.features(target)
            single = colors_twice([([each], fact) for each, fact in features])
            pairs = [
                (sorted([one, other]), fact & other_fact)
                for (one, fact), (other, other_fact) in combinations(features, 2)
                if one[0] != other[0]
            ]
            self._attributes[key] = single + self._phrases.sizes(1 << target, head, self._facts.head(head)), pairs
        return self._attributes[key]

    def _by_size(self, kinds: Sequence[Option], target: int) -> Phrase | None:
        """Returns the first of some noun phrases whose largest or smallest object the target is, with that rank."""
        for meaning, among in kinds:
            sizes = [each for each in meaning.get("attributes", ()) if each[0] == "size"]
            if not sizes and among.sure.bit_count() > 1:
                for by in ("large", "small"):
                    if self._phrases.rank(target, among, by) == 1:
                        return self._phrases.with_rank(meaning, {"by": by, "n": 1})
        return None
