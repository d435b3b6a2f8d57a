"""False sentences: true ones with one detail exchanged, of which an evaluator with wide margins says that they are."""

import re
from collections.abc import Iterator

import numpy as np

from tests.referring.brute_force import BROADER, CONFUSED, BruteForce

COLORS = {"gray" if name == "grey" else name: name for name in CONFUSED}
WORDS = {word: sorted({*group} - {word}) for group in BROADER["exclusive"] for word in group}
SIZES = {
    "large": "small", "big": "little", "largest": "smallest", "biggest": "smallest", "larger": "smaller",
    "bigger": "smaller",
}  # fmt: skip
PLACES = {
    "left": "right", "leftmost": "rightmost", "top": "bottom", "topmost": "bottommost", "highest": "lowest",
    "upper": "lower", "above": "below", "higher up than": "lower down than", "in front of": "behind",
    "partly covering": "partly hidden by", "closest to": "farthest from", "nearest to": "farthest away from",
    "frontmost": "backmost",
}  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
NUMBERS = ("two", "three", "four", "five", "six", "seven")
ERRORS = ("attribute", "spatial", "count")


def _both_ways(table: dict[str, str]) -> dict[str, list[str]]:
    turned = {new: [old] for old, new in reversed(table.items())}
    return turned | {old: [new] for old, new in table.items()}


def _each_other(words) -> dict[str, list[str]]:
    return {each: [other for other in words if other != each] for each in words}


def _other_colors() -> dict[str, list[str]]:
    return {
        word: [other for other, meant in COLORS.items() if meant not in {name, *CONFUSED[name]}]
        for word, name in COLORS.items()
    }


# For each word or phrase, those that may stand in its place and contradict it.
OTHERS = {
    "attribute": _other_colors() | WORDS | _both_ways(SIZES),
    "spatial": _each_other(ORDINALS) | _both_ways(PLACES),
    "count": _each_other(NUMBERS) | {"both": ["all three"]},
}
# Whole words, but not "closest to" in "closest to the left edge", nor "big" in "big-wheeled".
PATTERNS = {
    kind: re.compile(
        rf"(?<![\w-])(?:{'|'.join(sorted(table, key=len, reverse=True))})(?![\w-])(?! the (?:left|right|top|bottom)\b)"
    )
    for kind, table in OTHERS.items()
}


# The fruit, not the colour: without it "the orange below the cup" would become "the pink below the cup".
FRUIT = re.compile(
    r"(?<!is )(?<!are )\borange(?= (?:above|at|below|behind|closest|farthest|from|frontmost|higher|in|lower|"
    r"nearest|on|partly|that|to|touching|with)\b|$)"
)


def planted(text: str, kind: str, rng: np.random.Generator) -> Iterator[str]:
    """Yields the text with one detail exchanged, for each detail of a kind."""
    fruit = {found.start() for found in FRUIT.finditer(text)}
    for place in PATTERNS[kind].finditer(text):
        if place.start() in fruit:
            continue
        others = OTHERS[kind][place[0]]
        yield text[: place.start()] + others[rng.integers(len(others))] + text[place.end() :]


class WideMargins(BruteForce):
    """An evaluator that says true or false only where anybody would, by simpler definitions than the page's.

    Sides are judged by centres alone, and colours by the source's words where there are some.
    """

    def attribute(self, i, kind, value, head):
        if kind != "color" or self.is_a(i, "person"):
            return super().attribute(i, kind, value, head)
        each, colors = self.image.instances[i], self.claims[i][0]
        if each.mask.sum() < 64:
            return super().attribute(i, kind, value, head)
        share = self.shares(i)
        near = sum(share[name] for name in CONFUSED[value])
        if colors and not colors & {value, *CONFUSED[value]}:
            return False if share[value] <= 0.05 else None
        if not colors and share[value] <= 0.05 and near <= 0.2:
            return False
        return True if share[value] >= 0.7 and colors == {value} else None

    def place(self, i, name):
        if name == "middle":
            return super().place(i, name)
        axis = 0 if name in ("left", "right") else 1
        far = self.center(i, axis) / self.length(axis)
        far = 1 - far if name in ("right", "bottom") else far
        return True if far <= 0.25 and super().place(i, name) else False if far >= 0.55 else None

    def related(self, i, name, j):
        if name not in ("left of", "above"):
            return super().related(i, name, j)
        axis = 0 if name == "left of" else 1
        ahead = (self.center(j, axis) - self.center(i, axis)) / self.length(axis)
        return False if i == j or ahead <= -0.05 else super().related(i, name, j)

    def before(self, i, j, by, landmark=None):
        if by not in ("left", "right", "top", "bottom"):
            return super().before(i, j, by, landmark)
        axis = 0 if by in ("left", "right") else 1
        ahead = (self.center(j, axis) - self.center(i, axis)) / self.length(axis)
        return (ahead if by in ("left", "top") else -ahead) >= 0.1
