"""Represents the meaning of an expression as JSON-ready values (its logical form), and evaluates it on facts.

A noun phrase is a dict. All keys but the first two are left out where they would be empty.

- ``number``: 'one'; 'all'; 'count' with ``count``; 'unmarked' (the words are the same for one and for several, as in
  'sheep'); for a landmark also 'some' ('a dog').
- ``head``: a concept, a broader term, or 'object'.
- ``attributes``: sorted ``[kind, value]`` pairs; kinds are 'color', 'word' and 'size' ('large', 'small').
- ``positions``: sorted, of 'left', 'right', 'top', 'bottom', 'middle'.
- ``relations``: dicts with ``relation`` and ``to``, a list of one noun phrase; for 'between' of two, or of one that
  means two objects.
- ``rank``: a dict with ``by`` (a side, 'large', 'small', 'front', 'back', or 'near' or 'far' with ``to``) and ``n``,
  from 1. With ``count`` it means the first ``count`` objects.

`docs/referring.md` defines when each holds.
"""

from typing import Any, NamedTuple

from sos_mm.referring.facts import Fact, Facts, Order, as_bits, indices

Phrase = dict[str, Any]
_OPPOSITE_SIDE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


class Meant(NamedTuple):
    """The instances that a noun phrase means in an image.

    Attributes:
        sure: Indices of the instances that it surely means, ascending.
        possible: Indices of the instances that it may mean, ascending; a superset of ``sure``.
        open: Whether it may also mean an object that is not annotated.
    """

    sure: tuple[int, ...]
    possible: tuple[int, ...]
    open: bool


def copied(meaning: Any) -> Any:
    """Returns a deep copy of a noun phrase."""
    if isinstance(meaning, dict):
        return {key: copied(value) for key, value in meaning.items()}
    return [copied(each) for each in meaning] if isinstance(meaning, list) else meaning


def evaluate(meaning: Phrase, facts: Facts) -> Meant:
    """Finds the instances that a noun phrase means in an image.

    Args:
        meaning: The noun phrase; see the module.
        facts: Facts of the image.
    """
    sure, may = denotation(meaning, facts)
    return Meant(indices(sure), indices(may & facts.real), bool(may & ~facts.real))


def denotation(meaning: Phrase, facts: Facts) -> Fact:
    """Finds the objects that a noun phrase surely means, and may mean; the latter include phantoms."""
    kind = facts.head(meaning["head"])
    for key, value in meaning.get("attributes", ()):
        if key != "size":
            kind = kind & facts.attribute(key, value)
    for key, value in meaning.get("attributes", ()):
        if key == "size":
            kind = kind & facts.size_of(value, facts.head(meaning["head"]))
    found = kind
    for name in meaning.get("positions", ()):
        found = found & facts.position_among(name, kind, _least_number(meaning))
    for relation in meaning.get("relations", ()):
        found = found & _relation(relation, facts)
    if "rank" not in meaning:
        return found
    # "The largest dog on the left" may be the largest of those, or the largest of all.
    first = meaning["count"] if meaning["number"] == "count" else 0
    inner = _ranked(meaning["rank"], found, facts, first)
    if found == kind:
        return inner
    outer = _ranked(meaning["rank"], kind, facts, first) & found
    return Fact(inner.sure & outer.sure, inner.may | outer.may)


def _least_number(meaning: Phrase) -> int:
    """Returns the least number of objects that a noun phrase can mean."""
    return meaning["count"] if meaning["number"] == "count" else 2 if meaning["number"] == "all" else 1


def _relation(relation: dict[str, Any], facts: Facts) -> Fact:
    """Finds the objects in a relation to a landmark.

    It surely holds if it holds for every object that the landmark's phrase may mean, and perhaps if for any of them.
    """
    if relation["relation"] == "between":
        return _between(relation["to"], facts)
    landmark = relation["to"][0]
    meant, name = denotation(landmark, facts), relation["relation"]
    may = some = 0
    sure = facts.everything
    for index in indices(meant.may):
        own, fact = 1 << index, facts.relation(name, index)
        may |= fact.may & ~own
        sure &= fact.sure | own
        if meant.sure & own:
            some |= (fact.sure if landmark["number"] == "some" else facts.everything) & ~own
    return Fact(some if landmark["number"] == "some" else sure & some, may)


def _between(landmarks: list[Phrase], facts: Facts) -> Fact:
    one, other = (denotation(each, facts) for each in (landmarks * 2)[:2])
    if len(landmarks) == 1 and one.may.bit_count() != 2:
        # "Between the dogs" of which there are three says nothing.
        return Fact(0, facts.everything if one.may else 0)
    sure, may, some = facts.everything, 0, False
    for first in indices(one.may):
        for second in indices(other.may):
            if first != second:
                fact = facts.between(first, second)
                sure, may = sure & fact.sure, may | fact.may
                some |= bool(one.sure >> first & 1 and other.sure >> second & 1)
    return Fact(sure if some else 0, may)


def _ranked(rank: dict[str, Any], among: Fact, facts: Facts, first: int) -> Fact:
    """Finds the n-th object in an order, or the first ``first`` ones if ``first`` is not 0."""
    if "to" not in rank:
        return _in_order(rank["n"], among, facts.order(rank["by"]), facts, first)
    landmarks = denotation(rank["to"][0], facts)
    found = Fact(facts.everything if landmarks.sure else 0, 0)
    for index in indices(landmarks.may):
        others = Fact(among.sure & ~(1 << index), among.may & ~(1 << index))
        each = _in_order(rank["n"], others, facts.nearer(rank["by"], index), facts, first)
        found = Fact(found.sure & each.sure, found.may | each.may)
    return found


def _in_order(n: int, among: Fact, order: Order, facts: Facts, first: int) -> Fact:
    sure = may = 0
    phantoms = among.may & ~facts.real
    for index in indices(among.may):
        own = 1 << index
        before = among.sure & order.before[index]
        unclear = among.may & ~order.after[index] & ~before & ~own
        least = before.bit_count()
        # A phantom stands for any number of objects, so any number may precede it.
        most = among.may.bit_count() + n if (unclear | own) & phantoms else least + unclear.bit_count()
        if own & among.sure and (most < first if first else least == most == n - 1):
            sure |= own
        if least < first if first else least <= n - 1 <= most:
            may |= own
    return Fact(sure, may)


def judge(meaning: Phrase, facts: Facts, targets: tuple[int, ...]) -> tuple[str, str]:
    """Judges whether a noun phrase means exactly the targets.

    Args:
        meaning: The noun phrase.
        facts: Facts of the image.
        targets: Indices of the instances that it should mean; empty for an expression without target.

    Returns:
        'true', 'refused' or 'undecidable', and the reason, empty for 'true'.
    """
    meant, claimed = denotation(meaning, facts), as_bits(targets)
    count = meaning["count"] if meaning["number"] == "count" else 0
    if not claimed:
        return _judge_none(meant, facts, count)
    refusal = _wrong_number(meaning["number"], count, len(targets))
    if refusal:
        return "refused", refusal
    missed = claimed & ~meant.may
    if missed:
        return "refused", f"it does not fit instance {indices(missed)[0]}"
    ambiguous = meaning["number"] == "one" and meant.sure.bit_count() > 1
    if ambiguous:
        return "refused", f"it fits several instances: {', '.join(map(str, indices(meant.sure)))}"
    if meant.sure & ~claimed:
        return "refused", f"it also fits instance {indices(meant.sure & ~claimed)[0]}"
    if meant.may & ~facts.real:
        return "undecidable", "it may also mean something that is not annotated"
    if meant.may & ~claimed:
        return "undecidable", f"it may also mean instance {indices(meant.may & ~claimed)[0]}"
    if meant.sure != claimed:
        return "undecidable", f"it is not sure that it fits instance {indices(claimed & ~meant.sure)[0]}"
    return "true", ""


def _judge_none(meant: Fact, facts: Facts, count: int) -> tuple[str, str]:
    phantom = meant.may & ~facts.real
    if not phantom and meant.may.bit_count() < max(count, 1):
        return "true", ""
    if meant.sure.bit_count() >= max(count, 1):
        return "refused", f"it means instance {indices(meant.sure)[0]}"
    if phantom:
        return "undecidable", "it may mean something that is not annotated"
    return "undecidable", f"it may mean instance {indices(meant.may)[0]}"


def _wrong_number(number: str, count: int, targets: int) -> str:
    if number == "one" and targets > 1:
        return f"it is worded for one target, not for {targets}"
    if number == "all" and targets < 2:
        return "it is worded for several targets, not for one"
    if number == "count" and targets != count:
        return f"it is worded for {count} targets, not for {targets}"
    return ""


def has_landmarks(meaning: Phrase, facts: Facts) -> bool:
    """Returns whether the image may show an object of each landmark's head noun."""
    owners = [*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])]
    landmarks = [each for owner in owners for each in owner["to"]]
    return all(facts.head(each["head"]).may and has_landmarks(each, facts) for each in landmarks)


def kind_of(meaning: Phrase) -> str:
    """Returns what distinguishes the targets of a meaning: 'category', 'attribute', 'spatial' or 'mixed'.

    Size and order by size are attributes; depth is spatial.
    """
    by_size = "rank" in meaning and meaning["rank"]["by"] in ("large", "small")
    attribute = by_size or "attributes" in meaning
    spatial = "positions" in meaning or "relations" in meaning or ("rank" in meaning and not by_size)
    if attribute:
        return "mixed" if spatial else "attribute"
    return "spatial" if spatial else "category"
