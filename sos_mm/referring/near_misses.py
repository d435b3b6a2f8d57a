"""What differs from a true expression in one thing: near misses that mean nothing, and twins."""

from collections.abc import Iterator
from copy import deepcopy

from sos_mm.referring.facts import Facts, indices
from sos_mm.referring.language import Language
from sos_mm.referring.meaning import Phrase, denotation
from sos_mm.referring.proposals import Draws
from sos_mm.segments.colors import COLOR_NAMES

_OPPOSITES = {
    "left of": "right of", "right of": "left of", "above": "below", "below": "above", "in front of": "behind",
    "behind": "in front of", "left": "right", "right": "left", "top": "bottom", "bottom": "top",
}  # fmt: skip
_OTHER_ENDS = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "large": "small", "small": "large",
               "front": "back", "back": "front", "near": "far", "far": "near"}  # fmt: skip


def near_misses(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    """A meaning that differs in one thing and may well mean nothing, and what was changed.

    Args:
        meaning: That of a true expression.
        facts: Those of the image.
        language: In which it is to be said.
        draws: Where choices come from.

    Returns:
        The meaning, and 'object', 'attribute', 'relation' or 'count'; None if nothing came to mind.
    """
    ways = [_other_object]
    if any(kind != "size" for kind, _ in meaning.get("attributes", ())):
        ways += [_other_attribute] * 2
    if "positions" in meaning or any(each["relation"] in _OPPOSITES for each in meaning.get("relations", ())):
        ways += [_other_place] * 2
    if "relations" in meaning or "to" in meaning.get("rank", {}):
        ways += [_other_landmark]
    if meaning["number"] == "count" or meaning.get("rank", {}).get("n", 1) > 1:
        ways += [_other_count] * 2
    return draws.one(ways)(deepcopy(meaning), facts, language, draws)


def _absent_like(concept: str, facts: Facts, language: Language, draws: Draws) -> str | None:
    """A concept that is surely absent, and plausible where the other one is."""
    absent = [each for each in facts.absent if language.nouns(each) and not language.nouns(each)[0].unmarked]
    siblings = facts.concepts.siblings(concept)
    alike = [each for each in absent if each in siblings]
    choices = alike if alike and draws.below(3) else absent
    return draws.one(choices) if choices else None


def _other_object(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    if meaning["number"] == "unmarked":
        return None
    other = _absent_like(meaning["head"], facts, language, draws)
    if other is None:
        return None
    meaning["head"] = other
    return meaning, "object"


def _other_landmark(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    owner = draws.one([*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])])
    landmark = draws.one(owner["to"])
    other = None if landmark["number"] == "unmarked" else _absent_like(landmark["head"], facts, language, draws)
    if other is None:
        return None
    landmark["head"] = other
    return meaning, "object"


def _other_attribute(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    changeable = [place for place, (kind, _) in enumerate(meaning["attributes"]) if kind != "size"]
    place = draws.one(changeable)
    kind, value = meaning["attributes"][place]
    if kind == "color":
        choices = [each for each in COLOR_NAMES if each != value and each in language.words["colors"]]
    else:
        choices = sorted(each for each in facts.concepts.exclusive.get(value, ()) if language.attribute(each))
    if not choices:
        return None
    meaning["attributes"][place] = [kind, draws.one(choices)]
    meaning["attributes"].sort()
    return meaning, "attribute"


def _other_place(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    turnable = [each for each in meaning.get("relations", ()) if each["relation"] in _OPPOSITES]
    names = meaning.get("positions", [])
    if names and (not turnable or draws.below(2)):
        place = draws.below(len(names))
        if names[place] not in _OPPOSITES:
            return None
        names[place] = _OPPOSITES[names[place]]
        names.sort()
    else:
        relation = draws.one(turnable)
        relation["relation"] = _OPPOSITES[relation["relation"]]
    return meaning, "relation"


def _other_count(meaning: Phrase, facts: Facts, language: Language, draws: Draws) -> tuple[Phrase, str] | None:
    more = 1 + draws.below(2)
    if meaning["number"] == "count":
        meaning["count"] += more
    else:
        kind = facts.head(meaning["head"])
        meaning["rank"]["n"] = max(kind.may.bit_count(), meaning["rank"]["n"]) + more
    return meaning, "count"


def twins(meaning: Phrase, facts: Facts, draws: Draws) -> Iterator[tuple[Phrase, int]]:
    """Meanings that differ in one attribute or relation and surely mean one instance, in random order.

    Args:
        meaning: That of a true expression.
        facts: Those of the image.
        draws: Where choices come from.

    Yields:
        A meaning and the position of the instance.
    """
    for changed in draws.shuffled(list(_changes(meaning, facts))):
        meant = denotation(changed, facts)
        if meant.sure == meant.may and meant.sure.bit_count() == 1:
            yield changed, indices(meant.sure)[0]


def _changes(meaning: Phrase, facts: Facts) -> Iterator[Phrase]:
    for place, (kind, value) in enumerate(meaning.get("attributes", ())):
        others = {"color": COLOR_NAMES, "size": ("large", "small")}.get(kind, facts.concepts.exclusive.get(value, ()))
        for other in sorted(set(others) - {value}):
            changed = deepcopy(meaning)
            changed["attributes"][place] = [kind, other]
            changed["attributes"].sort()
            yield changed
    for place, name in enumerate(meaning.get("positions", ())):
        if name in _OPPOSITES:
            changed = deepcopy(meaning)
            changed["positions"][place] = _OPPOSITES[name]
            changed["positions"].sort()
            yield changed
    for place, relation in enumerate(meaning.get("relations", ())):
        if relation["relation"] in _OPPOSITES:
            changed = deepcopy(meaning)
            changed["relations"][place]["relation"] = _OPPOSITES[relation["relation"]]
            yield changed
    if "rank" in meaning:
        yield {**deepcopy(meaning), "rank": {**deepcopy(meaning["rank"]), "by": _OTHER_ENDS[meaning["rank"]["by"]]}}
        if "to" not in meaning["rank"] and meaning["rank"]["by"] not in ("large", "small", "front", "back"):
            for n in range(1, min(facts.head(meaning["head"]).sure.bit_count(), 8) + 1):
                yield {**deepcopy(meaning), "rank": {**meaning["rank"], "n": n}}
