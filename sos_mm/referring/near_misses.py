"""Changes one detail of a true expression: into a near miss without target, or the other half of a minimal pair."""

from collections.abc import Iterator
from functools import cached_property

from sos_mm.referring.draws import Draws
from sos_mm.referring.facts import Facts, indices
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, copied, denotation
from sos_mm.segments.colors import COLOR_NAMES

_OPPOSITES = {
    "left of": "right of", "right of": "left of", "above": "below", "below": "above", "in front of": "behind",
    "behind": "in front of", "left": "right", "right": "left", "top": "bottom", "bottom": "top",
}  # fmt: skip
_OTHER_ENDS = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "large": "small", "small": "large",
               "front": "back", "back": "front", "near": "far", "far": "near"}  # fmt: skip

_MOST_COUNTED = 4


class NearMisses:
    """Changes one detail of true expressions of an image, so that they probably have no target.

    Args:
        facts: Facts of the image.
        language: Language of the expressions.
        draws: Source of the random choices.
    """

    def __init__(self, facts: Facts, language: Language, draws: Draws):
        self._facts, self._language, self._draws = facts, language, draws
        # By concept, the absent concepts that are similar.
        self._alike: dict[str, list[str]] = {}

    def near(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        """Changes one detail of a meaning; None if the drawn change is not possible.

        Args:
            meaning: Meaning of a true expression.

        Returns:
            The changed meaning, and the kind of change: 'object', 'attribute', 'relation' or 'count'.
        """
        ways = [self._other_object]
        if any(kind != "size" for kind, _ in meaning.get("attributes", ())):
            ways += [self._other_attribute] * 2
        if "positions" in meaning or any(each["relation"] in _OPPOSITES for each in meaning.get("relations", ())):
            ways += [self._other_place] * 2
        if "relations" in meaning or "to" in meaning.get("rank", {}):
            ways += [self._other_landmark]
        if meaning["number"] == "count" or meaning.get("rank", {}).get("n", 1) > 1:
            ways += [self._other_count] * 2
        return self._draws.one(ways)(copied(meaning))

    @cached_property
    def _absent(self) -> list[str]:
        marked = self._language.marked(self._facts.vocabulary)
        return [each for each in self._facts.absent if each in marked]

    def _absent_like(self, concept: str, only_like: bool = False) -> str | None:
        """Draws a concept that is surely absent, preferably one similar to ``concept``; None if there is none."""
        if concept not in self._alike:
            siblings = self._facts.concepts.siblings(concept)
            self._alike[concept] = [each for each in self._absent if each in siblings]
        alike = self._alike[concept]
        choices = alike if only_like or (alike and self._draws.below(3)) else self._absent
        return self._draws.one(choices) if choices else None

    def _other_object(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        # An attribute word may not fit an unrelated category: "the peeled bus".
        featured = any(kind == "word" for kind, _ in meaning.get("attributes", ()))
        other = None if meaning["number"] == "unmarked" else self._absent_like(meaning["head"], featured)
        if other is None:
            return None
        meaning["head"] = other
        return meaning, "object"

    def _other_landmark(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        ordered = [meaning["rank"]] if "to" in meaning.get("rank", {}) else []
        landmark = self._draws.one(self._draws.one([*meaning.get("relations", ()), *ordered])["to"])
        other = None if landmark["number"] == "unmarked" else self._absent_like(landmark["head"])
        if other is None:
            return None
        landmark["head"] = other
        return meaning, "object"

    def _other_attribute(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        changeable = [index for index, (kind, _) in enumerate(meaning["attributes"]) if kind != "size"]
        index = self._draws.one(changeable)
        kind, value = meaning["attributes"][index]
        if kind == "color":
            choices = [each for each in COLOR_NAMES if each != value and each in self._language.words["colors"]]
        else:
            opposites = self._facts.concepts.exclusive.get(value, ())
            choices = sorted(each for each in opposites if self._language.attribute(each))
        if not choices:
            return None
        meaning["attributes"][index] = [kind, self._draws.one(choices)]
        meaning["attributes"].sort()
        return meaning, "attribute"

    def _other_place(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        turnable = [each for each in meaning.get("relations", ()) if each["relation"] in _OPPOSITES]
        names = meaning.get("positions", [])
        if names and (not turnable or self._draws.below(2)):
            index = self._draws.below(len(names))
            if names[index] not in _OPPOSITES:
                return None
            names[index] = _OPPOSITES[names[index]]
            names.sort()
        else:
            relation = self._draws.one(turnable)
            relation["relation"] = _OPPOSITES[relation["relation"]]
        return meaning, "relation"

    def _other_count(self, meaning: Phrase) -> tuple[Phrase, str] | None:
        more = 1 + self._draws.below(2)
        if meaning["number"] == "count":
            meaning["count"] += more
        else:
            kind = self._facts.head(meaning["head"])
            meaning["rank"]["n"] = max(kind.may.bit_count(), meaning["rank"]["n"]) + more
        return meaning, "count"


def twins(meaning: Phrase, facts: Facts, draws: Draws) -> Iterator[tuple[Phrase, int]]:
    """Yields changes of one attribute or relation that surely mean one instance, in random order.

    Args:
        meaning: Meaning of a true expression.
        facts: Facts of the image.
        draws: Source of the random choices.

    Yields:
        A meaning and the index of the instance.
    """
    for changed in draws.shuffled(list(_changes(meaning, facts))):
        meant = denotation(changed, facts)
        if meant.sure == meant.may and meant.sure.bit_count() == 1:
            yield changed, indices(meant.sure)[0]


def _changes(meaning: Phrase, facts: Facts) -> Iterator[Phrase]:
    for index, (kind, value) in enumerate(meaning.get("attributes", ())):
        others = {"color": COLOR_NAMES, "size": ("large", "small")}.get(kind, facts.concepts.exclusive.get(value, ()))
        for other in sorted(set(others) - {value}):
            # Nothing is surely meant by an attribute that nothing surely has.
            if kind != "size" and not facts.attribute(kind, other).sure:
                continue
            changed = copied(meaning)
            changed["attributes"][index] = [kind, other]
            changed["attributes"].sort()
            yield changed
    for index, name in enumerate(meaning.get("positions", ())):
        if name in _OPPOSITES:
            changed = copied(meaning)
            changed["positions"][index] = _OPPOSITES[name]
            changed["positions"].sort()
            yield changed
    for index, relation in enumerate(meaning.get("relations", ())):
        if relation["relation"] in _OPPOSITES:
            changed = copied(meaning)
            changed["relations"][index]["relation"] = _OPPOSITES[relation["relation"]]
            yield changed
    if "rank" in meaning:
        yield {**copied(meaning), "rank": {**copied(meaning["rank"]), "by": _OTHER_ENDS[meaning["rank"]["by"]]}}
        if meaning["rank"]["n"] > 1:
            for n in range(2, min(facts.head(meaning["head"]).sure.bit_count(), _MOST_COUNTED) + 1):
                yield {**copied(meaning), "rank": {**meaning["rank"], "n": n}}
