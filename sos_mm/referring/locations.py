"""Extends noun phrases by where their targets are: positions, relations to landmarks, ranks from a side."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.facts import Fact, indices
from sos_mm.referring.geometry import CONTACTS, DIRECTIONS, POSITIONS, SIDES
from sos_mm.referring.meaning import Phrase
from sos_mm.referring.noun_phrases import NounPhrases, Option

_POSITIONS = (["left"], ["right"], ["top"], ["bottom"], ["middle"], ["left", "top"], ["right", "top"],
              ["bottom", "left"], ["bottom", "right"])  # fmt: skip
_DIRECTIONS = (("left of", "right of"), ("above", "below"), ("right of", "left of"), ("below", "above"))
_CLOSE = ("next to", "touching", "overlapping", "in front of", "behind")
# Largest ordinal from a side; most objects among which ordinals are used.
_MOST_COUNTED, _MOST_IN_ORDER = 3, 6
# Most landmarks tried for a target.
_FEW = 2


class Locations:
    """Extends noun phrases by the locations of an image's instances.

    Args:
        phrases: The parts of noun phrases about the image.
    """

    def __init__(self, phrases: NounPhrases):
        self._phrases, self._facts, self._draws = phrases, phrases.facts, phrases.draws
        self._said = phrases.language.words["relations"]
        self._places: dict[int, list[list[str]]] = {}

    def extended(self, meaning: Phrase, target: int, among: Fact) -> Iterator[Option]:
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
        return sure == may and (
            sure == 1 << target if single else sure & (sure - 1) != 0 and self._phrases.may_mean(sure)
        )

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
            around = related[opposite][0][target] & self._phrases.speakable
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
            phrase = self._phrases.description(landmark)
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
        uncounted = sized or meaning["head"] == OBJECT or not self._phrases.language.nouns(meaning["head"])[0].many
        most = 1 if uncounted or among.sure.bit_count() > _MOST_IN_ORDER else _MOST_COUNTED
        deep = self._facts.image.instances[target].depth is not None
        for by in self._draws.shuffled((*SIDES, "front", "back") if deep else SIDES):
            n = self._phrases.rank(target, among, by)
            if n == 1 or (by in SIDES and 1 < n <= most):
                yield self._phrases.with_rank(meaning, {"by": by, "n": n}), Fact(1 << target, 1 << target)

    def _between(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        for one, other in pairwise(self._others(target)):
            if self._facts.geometry.surely_between(one, other) >> target & 1:
                fact, to = (
                    self._facts.between(one, other),
                    [self._phrases.description(one), self._phrases.description(other)],
                )
                if None not in to and self._is_meant(among.sure & fact.sure, among.may & fact.may, target, single):
                    yield {**meaning, "relations": [{"relation": "between", "to": to}]}, fact

    def _nearest(self, meaning: Phrase, target: int, among: Fact, single: bool) -> Iterator[Option]:
        if among.sure.bit_count() < 2:
            return
        for landmark in self._others(target):
            rest = among.may & ~(1 << target) & ~(1 << landmark)
            phrase = self._phrases.description(landmark)
            for by in self._draws.shuffled(("near", "far")):
                if phrase and rest and not rest & ~self._facts.nearer(by, landmark).after[target]:
                    rank = {"by": by, "n": 1, "to": [phrase]}
                    yield self._phrases.with_rank(meaning, rank), Fact(1 << target, 1 << target)

    def _others(self, target: int) -> list[int]:
        """Draws a few other objects that may serve as landmarks."""
        drawn = dict.fromkeys(self._draws.one(self._phrases.targets) for _ in range(_FEW + 1))
        return [each for each in drawn if each != target][:_FEW]

    def _landmark(self, choices: tuple[int, ...]) -> tuple[int, Phrase] | None:
        """Draws one of some objects that a short noun phrase means, and such a phrase; None if there is none."""
        if choices:
            # A random one, or the first behind it that can be described.
            start = self._draws.below(len(choices))
            for index in (*choices[start:], *choices[:start]):
                phrase = self._phrases.description(index)
                if phrase is not None:
                    return index, phrase
        return None
