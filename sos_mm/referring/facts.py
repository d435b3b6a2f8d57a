"""Facts of an annotated image, each true, false or undecidable.

A fact is a pair of sets of objects: those for which it is surely true, and those for which it may be true. For an
object in the second set alone the fact is undecidable. A set is a bit set, an integer with bit i for ``instances[i]``,
so that conjunctions are fast.

After the instances come *phantoms*, objects that may exist without being annotated: one for each ignored region, and
one anywhere in the image for objects that the annotations do not cover. It is never sure that a phantom exists. So a
phantom is never a target, and an expression that may mean one is undecidable.
"""

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.claims import claims
from sos_mm.referring.concepts import OBJECT, Concepts, concepts
from sos_mm.referring.geometry import POSITIONS, SIDES, Geometry, both_ways
from sos_mm.referring.measured_colors import COLOR_INDICES, measured_colors
from sos_mm.referring.thresholds import Thresholds
from sos_mm.segments.colors import COLOR_NAMES

_THRESHOLDS = Thresholds()


class Fact(NamedTuple):
    """The objects for which a statement holds, as two bit sets.

    Attributes:
        sure: The objects for which it surely holds.
        may: The objects for which it may hold; a superset of ``sure``.
    """

    sure: int
    may: int

    def __and__(self, other: "Fact") -> "Fact":
        return Fact(self.sure & other.sure, self.may & other.may)


class Order(NamedTuple):
    """A partial order of objects.

    Attributes:
        before: For each object, the bit set of the objects that surely precede it.
        after: For each object, the bit set of the objects that surely follow it.
    """

    before: list[int]
    after: list[int]


class Facts:
    """The facts of an image, each computed at its first use.

    Args:
        image: The image.
        thresholds: Thresholds of the facts; the default ones if None.
        known: Relations between categories; the built-in ones if None.

    Attributes:
        image: The image.
        number: Number of instances.
        claims: For each instance, the colours and the other attributes that the source's words state about it.
        categories: For each instance, the concept of its category.
        real: Bit set of all instances.
        everything: Bit set of all instances and phantoms.
        vocabulary: Concepts of the image's instances and of its completely annotated categories.
    """

    def __init__(self, image: AnnotatedImage, thresholds: Thresholds | None = None, known: Concepts | None = None):
        self.image, self.thresholds = image, thresholds or _THRESHOLDS
        self.concepts = known or concepts()
        self.number = len(image.instances)
        self.claims = list(map(claims, image.instances))
        self.categories = [self.concepts.concept(each.category) for each in image.instances]
        self._regions = [self.concepts.concept(each.category) for each in image.ignored]
        self._complete = self.concepts.all_concepts(image.complete)
        # The same set for all images of a data set, if possible: what is cached by it is found fast.
        all_listed = self._complete.issuperset(self.categories)
        self.vocabulary = self._complete if all_listed else self._complete.union(self.categories)
        self._kinds: dict[str, int] = {}
        for index, category in enumerate(self.categories):
            self._kinds[category] = self._kinds.get(category, 0) | 1 << index
        self.size = self.number + len(self._regions) + 1
        self.real, self.everything = (1 << self.number) - 1, (1 << self.size) - 1
        self._heads: dict[Any, Fact] = {}
        self._attributes: dict[Any, Fact] = {}
        self._sizes: dict[Fact, dict[str, Fact]] = {}
        self._among: dict[tuple[str, Fact, int], Fact] = {}
        self._relations: dict[tuple[str, int], Fact] = {}
        self._shared: dict[tuple[str, int], int] = {}
        self._orders: dict[str, Order] = {}
        self._nearer: dict[int, dict[str, Order]] = {}
        self._between: dict[tuple[int, int], Fact] = {}

    @cached_property
    def geometry(self) -> Geometry:
        """Positions and relations of instances and phantoms."""
        return Geometry(self.image, self.thresholds)

    def is_complete(self, term: str) -> bool:
        """Returns whether all objects of a concept are annotated or in an ignored region."""
        known = self._complete
        return OBJECT in known or term in known or not known.isdisjoint(self.concepts.ancestors(term))

    @cached_property
    def absent(self) -> list[str]:
        """Concepts of the vocabulary that surely are not in the image, sorted."""
        if "" in self._regions:
            return []
        present = {*self._kinds, *self._regions}
        found = self._complete.difference(*(self.concepts.confusable(each, self._complete) for each in present))
        return sorted(found - {OBJECT})

    def broader_terms(self, category: str) -> tuple[str, ...]:
        """Returns the broader terms that surely apply to an object of a category, the most general one last."""
        *terms, last = self.concepts.broader_terms(category)
        return (*terms, last) if self.concepts.is_a(category, last) else tuple(terms)

    @cached_property
    def members(self) -> dict[str, int]:
        """For each category and broader term in the image, the bit set of the instances that surely are of it."""
        found = dict(self._kinds)
        for category, members in self._kinds.items():
            for term in self.broader_terms(category):
                found[term] = found.get(term, 0) | members
        return found

    def head(self, term: str) -> Fact:
        """Finds the objects of a concept."""
        if term not in self._heads:
            sure = may = 0
            answers, listed = self.concepts.answers(term, self.vocabulary), term in self.vocabulary
            for category, members in self._kinds.items():
                # What surely is something else is found fast, in a set for each category.
                if listed and term not in self.concepts.confusable(category, self.vocabulary):
                    continue
                answer = answers[category]
                if answer is not False:
                    may |= members
                    sure |= members if answer else 0
            for index, category in enumerate(self._regions, self.number):
                may |= (not category or answers[category] is not False) << index
            may |= (not self.is_complete(term)) << (self.size - 1)
            self._heads[term] = Fact(sure, may)
        return self._heads[term]

    def attribute(self, kind: str, value: str) -> Fact:
        """Finds the objects with an attribute that does not depend on other objects: of kind 'color' or 'word'."""
        key = kind, value
        if key not in self._attributes:
            self._attributes[key] = self._color(value) if kind == "color" else self._word(value)
        return self._attributes[key]

    def _word(self, word: str) -> Fact:
        """Finds the objects with an attribute word; only an object with an opposite word surely lacks it."""
        sure, may = 0, self.everything
        opposites = self.concepts.exclusive.get(word, frozenset())
        for index, (_, said) in enumerate(self.claims):
            if said & opposites:
                may &= ~(1 << index)
            elif word in said:
                sure |= 1 << index
        return Fact(sure, may)

    def _color(self, name: str) -> Fact:
        index = COLOR_INDICES[name]
        phantoms = self.everything & ~self.real
        sure, may = self._colors
        return Fact(sure[index], may[index] | phantoms)

    @cached_property
    def _colors(self) -> tuple[list[int], list[int]]:
        """For each colour, the bit sets of the instances that surely have it, and that may have it."""
        sure, may = measured_colors(self.image, [colors for colors, _ in self.claims], self.thresholds)
        # A person is not described by the colours of the pixels.
        return [each & ~self.people for each in sure], [each | self.people for each in may]

    @cached_property
    def people(self) -> int:
        """Bit set of the instances that surely are people."""
        return self.head("person").sure

    def colors_of(self, index: int) -> list[str]:
        """Lists the colours that an instance surely has."""
        return self._colors_by_instance[index]

    @cached_property
    def _colors_by_instance(self) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in range(self.number)]
        for name, members in zip(COLOR_NAMES, self._colors[0], strict=True):
            for index in indices(members):
                found[index].append(name)
        return found

    def size_of(self, value: str, among: Fact) -> Fact:
        """Finds the objects that are 'large' or 'small' in comparison with the others in ``among``."""
        if among not in self._sizes:
            self._sizes[among] = self._find_sizes(among)
        return self._sizes[among][value]

    def _find_sizes(self, among: Fact) -> dict[str, Fact]:
        inside = list(indices(among.sure))
        if among.may != among.sure or len(inside) < 2:
            return dict.fromkeys(("large", "small"), Fact(0, self.everything))
        low, high = (each[inside].tolist() for each in self.geometry.log_areas)
        # Not `sum`, whose rounding depends on the version of Python.
        all_low, all_high, others = math.fsum(low), math.fsum(high), len(inside) - 1
        sure, maybe = math.log(self.thresholds.much_larger), math.log(self.thresholds.not_larger)
        large = maybe_large = small = maybe_small = 0
        for index, least, most in zip(inside, low, high, strict=True):
            # Logarithms of the ratio to the geometric mean of the others: at least, and at most.
            larger, maybe_larger = least - (all_high - most) / others, most - (all_low - least) / others
            large |= (larger >= sure) << index
            maybe_large |= (maybe_larger > maybe) << index
            small |= (-maybe_larger >= sure) << index
            maybe_small |= (-larger > maybe) << index
        return {"large": Fact(large, maybe_large), "small": Fact(small, maybe_small)}

    def position(self, name: str) -> Fact:
        """Finds the objects at a position of the image: 'left', 'right', 'top', 'bottom' or 'middle'."""
        return self._positions[name]

    @cached_property
    def _positions(self) -> dict[str, Fact]:
        return {name: Fact(*found) for name, found in zip(POSITIONS, self.geometry.positions(), strict=True)}

    def position_among(self, name: str, kind: Fact, number: int = 1) -> Fact:
        """Finds the objects at a position of the image; of several of a kind, perhaps also the outermost one.

        Args:
            name: The position.
            kind: The objects of the kind.
            number: Least number of objects that are meant; their kind must have more to have outermost ones.
        """
        key = name, kind, number
        if key not in self._among:
            sure, may = self._positions[name]
            # A phantom stands for any number of objects.
            if kind.may.bit_count() > number or kind.may & ~self.real:
                may |= kind.may & ~self._surely_elsewhere(name, kind, number)
            self._among[key] = Fact(sure, may)
        return self._among[key]

    def _surely_elsewhere(self, name: str, kind: Fact, number: int) -> int:
        """Finds the objects of a kind that surely are not the outermost, or the middle one, of that kind."""
        elsewhere = 0
        if name == "middle":
            phantoms = kind.may & ~self.real
            if kind.may.bit_count() < 3 and not phantoms:
                return kind.may
            # What surely stands outside the others, on any side, is not in their middle.
            orders = [self.order(side) for side in SIDES]
            for index in indices(kind.may & self.real):
                others = kind.may & ~(1 << index)
                if any(not others & ~order.after[index] for order in orders):
                    elsewhere |= 1 << index
            return elsewhere
        before, phantoms = self.order(name).before, ~self.real
        for index in indices(kind.may):
            own = 1 << index
            if before[index] & kind.sure:
                elsewhere |= own
            else:
                behind = kind.may & ~before[index] & ~own
                if behind.bit_count() < number and not (behind | own) & phantoms:
                    elsewhere |= own
        return elsewhere

    def relation(self, name: str, to: int) -> Fact:
        """Finds the objects with a relation to object ``to``; see `sos_mm.referring.geometry.RELATIONS`."""
        key = name, to
        if key not in self._relations:
            self._relations[key] = Fact(*self.geometry.relation(name, to))
        return self._relations[key]

    def relations(self, name: str) -> tuple[list[int], list[int]]:
        """Finds for each object those next to it, or in one of `sos_mm.referring.geometry.DIRECTIONS` from it.

        Returns:
            For each object two bit sets: those for which it surely holds, and may hold.
        """
        return self.geometry.relations(name)

    def related_to_several(self, name: str, objects: int) -> int:
        """Finds what may be in a relation of `relations` to two or more objects of a bit set."""
        key = name, objects
        if key not in self._shared:
            once = twice = 0
            of_each = self.relations(name)[1]
            for index in indices(objects):
                may = of_each[index]
                twice |= once & may
                once |= may
            self._shared[key] = twice
        return self._shared[key]

    def between(self, one: int, other: int) -> Fact:
        """Finds the objects between two others."""
        key = one, other
        if key not in self._between:
            sure = self.geometry.surely_between(one, other)
            self._between[key] = Fact(sure, sure | self.geometry.maybe_between(one, other))
        return self._between[key]

    def order(self, by: str) -> Order:
        """Orders the objects from a side, by size or by depth; see `sos_mm.referring.geometry.RANKS`."""
        if by not in self._orders:
            self._orders[by] = Order(*self.geometry.orders(by))
        return self._orders[by]

    def nearer(self, by: str, landmark: int) -> Order:
        """Orders the objects by their distance from a landmark, from 'near' or from 'far'."""
        if landmark not in self._nearer:
            before, after = both_ways(self.geometry.nearer(landmark))
            self._nearer[landmark] = {"near": Order(before, after), "far": Order(after, before)}
        return self._nearer[landmark][by]


@lru_cache(maxsize=2**15)
def indices(number: int) -> tuple[int, ...]:
    """Converts a bit set to the indices in it, ascending."""
    found = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return tuple(found)


def as_bits(positions: Sequence[int]) -> int:
    """Converts indices to a bit set."""
    total = 0
    for position in positions:
        total |= 1 << int(position)
    return total
