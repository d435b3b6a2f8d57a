"""Expressions of composed scenes, checked one by one by an evaluator that knows the documentation alone."""

import re
from collections import Counter

import numpy as np
import pytest

from sos_mm.referring.phrasing import write
from sos_mm.referring.verify import facts_of, parser_of, verify
from tests.referring.brute_force import BruteForce
from tests.referring.claimed import claimed
from tests.referring.scenes import RECIPES, composed

KINDS = sorted(RECIPES)


def expressions(kind: str, start: int, stop: int, language: str = "en"):
    """Scenes with an evaluator and their expressions."""
    for index in range(start, stop):
        image = composed(kind, index)
        brute = BruteForce(image, [claimed(each) for each in image.instances])
        yield image, brute, write(image, np.random.default_rng(index), language)


def check(image, brute, out, language="en") -> Counter:
    """Each expression is true and unique in every reading of its text; how many there are of each type."""
    counts = Counter()
    for each in out:
        readings = parser_of(facts_of(image), language).readings(each.text)
        assert each.meaning in readings, each
        for meaning in brute.counting(readings, each.targets):
            assert brute.verdict(meaning, each.targets) == "true", (each, meaning)
        sure = [index for index, value in enumerate(brute.phrase(each.meaning)) if value]
        if each.targets:
            assert sure == list(each.targets)
            assert each.plural or len(each.targets) == 1
        counts["none" if not each.targets else "several" if each.plural else "one", each.kind] += 1
    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_composed_scenes(kind):
    counts = Counter()
    for image, brute, out in expressions(kind, 0, 9):
        counts += check(image, brute, out)
    assert {number for number, _ in counts} == {"none", "one", "several"}
    assert all(counts["one", each] + counts["several", each] >= 6 for each in ("attribute", "spatial", "mixed"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_composed_scenes(kind):
    counts = Counter()
    for image, brute, out in expressions(kind, 100, 434):
        counts += check(image, brute, out)
    print(kind, dict(counts))
    assert sum(counts.values()) > 334 * 8


def test_most_scenes_get_nine_and_kinds_are_balanced():
    numbers = []
    for kind in KINDS:
        for _, _, out in expressions(kind, 20, 32):
            numbers.append(Counter(each.kind for each in out))
    assert np.mean([sum(each.values()) >= 9 for each in numbers]) > 0.85
    totals = sum(numbers, Counter())
    assert min(totals[each] for each in ("attribute", "spatial", "mixed")) > 0.2 * sum(totals.values())


SWAPS = {
    "side": {"left": "right", "leftmost": "rightmost", "top": "bottom", "above": "below", "upper": "lower",
             "topmost": "bottommost", "highest": "lowest", "higher": "lower"},
    "color": {"red": "green", "orange": "blue", "yellow": "purple", "green": "pink", "blue": "orange",
              "purple": "yellow", "pink": "green", "brown": "cyan", "black": "white", "gray": "red", "white": "black"},
    "count": {"two": "three", "three": "five", "four": "two", "five": "four", "six": "three", "both": "all three"},
    "ordinal": {"second": "fourth", "third": "first", "fourth": "second", "fifth": "first"},
}  # fmt: skip
SWAPS["side"] |= {new: old for old, new in SWAPS["side"].items() if new not in SWAPS["side"]}


def planted(text: str, image, rng) -> dict[str, str]:
    """The text with one word swapped for another of its kind, for each kind of word that it has."""
    found = {}
    for error, table in SWAPS.items():
        places = [each for each in re.finditer(r"\w+", text) if each[0] in table]
        if places:
            place = places[rng.integers(len(places))]
            found[error] = text[: place.start()] + table[place[0]] + text[place.end() :]
    return found


def test_planted_errors_are_refused_and_true_ones_kept():
    rng = np.random.default_rng(0)
    caught, refused, kept = Counter(), Counter(), []
    total = Counter()
    for kind in KINDS:
        for image, brute, out in expressions(kind, 40, 50):
            absent = facts_of(image).absent
            for each in out:
                kept.append(verify(image, each.text, each.targets).status == "true")
                errors = planted(each.text, image, rng)
                if each.targets:
                    start, stop = each.head
                    noun = absent[rng.integers(len(absent))]
                    errors["category"] = each.text[:start] + noun + each.text[stop:]
                for error, text in errors.items():
                    readings = parser_of(facts_of(image), "en").readings(text)
                    counting = brute.counting(readings, each.targets)
                    if readings and all(brute.verdict(one, each.targets) == "true" for one in counting):
                        continue  # No error: the second of three from the left is the second from the right.
                    status = verify(image, text, each.targets).status
                    total[error] += 1
                    caught[error] += status != "true"
                    refused[error] += status == "refused"
    assert np.mean(kept) >= 0.98
    print({error: f"{caught[error]}/{number}, refused {refused[error]}" for error, number in total.items()})
    for error, number in total.items():
        assert number > 20, error
        assert caught[error] >= 0.99 * number, error


PARAPHRASES = (
    lambda text: text.capitalize() + ".",
    lambda text: text.removeprefix("the "),
    lambda text: f"find {text}",
    lambda text: re.sub(r"\b(that|which) (is|are) ", "", text),
    lambda text: re.sub(r" (on|at|in) the (left|right|top|bottom)\b", r" that is located \1 the \2", text, count=1),
    lambda text: text.replace("to the left of", "on the left side of").replace("gray", "grey"),
    lambda text: text.replace("largest", "biggest").replace("next to", "beside").replace("below", "underneath"),
)


def test_other_wordings_mean_the_same():
    kept = []
    for kind in KINDS:
        for image, _, out in expressions(kind, 60, 67):
            for each in out:
                kept += [
                    verify(image, say(each.text), each.targets).status == "true"
                    for say in PARAPHRASES
                    if say(each.text) != each.text
                ]
    assert len(kept) > 500
    assert np.mean(kept) >= 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_german(kind):
    counts = Counter()
    for image, brute, out in expressions(kind, 0, 6, "de"):
        counts += check(image, brute, out, "de")
        assert all(verify(image, each.text, each.targets, "de").status == "true" for each in out)
        assert not [each for each in out if " the " in f" {each.text} "]
    assert {number for number, _ in counts} == {"none", "one", "several"}
