"""Scenes whose truths are plain: objects in the cells of a grid, and what is said of them, worked out by hand."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage, Instance

CELLS, SIDE = 4, 250
CATEGORIES = {"car": "cars", "chair": "chairs", "apple": "apples", "bottle": "bottles", "kite": "kites"}
# No two are easily confused.
COLORS = ("red", "green", "blue", "white")
NUMBERS = {2: "two", 3: "three", 4: "four"}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Thing:
    category: str
    color: str
    column: int
    row: int


def draw_scene(rng: np.random.Generator, number: int) -> tuple[list[Thing], AnnotatedImage]:
    """Things in different cells, and the same as an annotated image."""
    cells = rng.permutation(CELLS * CELLS)[:number]
    things = [
        Thing(str(rng.choice(list(CATEGORIES))), str(rng.choice(COLORS)), int(cell) % CELLS, int(cell) // CELLS)
        for cell in cells
    ]
    instances = []
    for index, thing in enumerate(things):
        x, y = (SIDE * (place + 0.5) + rng.uniform(-15, 15) for place in (thing.column, thing.row))
        half = rng.uniform(45, 55)
        box = (x - half, y - half, x + half, y + half)
        instances.append(Instance(index, thing.category, box, attributes=(thing.color,)))
    size = CELLS * SIDE
    return things, AnnotatedImage(size, size, tuple(instances), complete=frozenset(CATEGORIES))


@dataclass(frozen=True)
class Claim:
    """A sentence in parts: of which category and colour, how many, and where."""

    category: str
    color: str = ""
    count: int = 1  # 0 stands for all.
    side: str = ""  # Of the image.
    relation: str = ""  # To the only thing of another category.
    landmark: str = ""
    place: int = 0  # Which one from the left, from 1.

    @property
    def kind(self) -> str:
        spatial = bool(self.side or self.relation or self.place)
        return "mixed" if spatial and self.color else "spatial" if spatial else "attribute"

    def text(self) -> str:
        noun = self.category if self.count == 1 else CATEGORIES[self.category]
        ordinal = {0: "", 1: "first", 2: "second", 3: "third"}[self.place]
        number = {0: "all", 1: "the", 2: "both"}.get(self.count, f"the {NUMBERS.get(self.count)}")
        words = [number, ordinal, self.color, noun]
        if self.side:
            words.append({"left": "on the left", "right": "on the right"}[self.side])
        if self.place:
            words.append("from the left")
        if self.relation:
            joined = {"left": "to the left of", "right": "to the right of"}.get(self.relation, self.relation)
            words.append(f"{joined} the {self.landmark}")
        return " ".join(filter(None, words))

    def meant(self, things: list[Thing]) -> tuple[int, ...] | None:
        """Which things are meant, whatever their number; None where people may differ."""
        found = [
            index
            for index, thing in enumerate(things)
            if thing.category == self.category and self.color in ("", thing.color)
        ]
        if self.place:
            columns = sorted(things[index].column for index in found)
            if len(set(columns)) < len(columns):
                return None
            return tuple(index for index in found if columns.index(things[index].column) == self.place - 1)
        chosen = []
        for index in found:
            holds = self._holds(things[index], things)
            if holds is None:
                return None
            chosen += [index] * holds
        return tuple(chosen)

    def _holds(self, thing: Thing, things: list[Thing]) -> bool | None:
        if self.side:
            column = thing.column if self.side == "left" else CELLS - 1 - thing.column
            return {0: True, 1: None}.get(column, False)
        if self.relation:
            landmarks = [each for each in things if each.category == self.landmark]
            if len(landmarks) != 1 or self.landmark == self.category:
                return None
            ahead, aside = landmarks[0].column - thing.column, abs(landmarks[0].row - thing.row)
            if self.relation in ("above", "below"):
                ahead, aside = landmarks[0].row - thing.row, abs(landmarks[0].column - thing.column)
            if self.relation in ("right", "below"):
                ahead = -ahead
            # Of what stands right above or below, a few pixels decide whether it is to the left.
            return True if ahead > 0 and aside == 0 else False if ahead < 0 else None
        return True

    def targets(self, things: list[Thing]) -> tuple[int, ...] | None:
        """What is truly meant: () where nothing fits; None where the words do not fit the number, or are unclear."""
        meant = self.meant(things)
        if meant is None or (meant and len(meant) != (self.count or max(len(meant), 2))):
            return None
        # "Both" and "three" of one that is there are false, and not about nothing.
        return meant


def true_claims(things: list[Thing]) -> list[tuple[Claim, tuple[int, ...]]]:
    """Everything that can be said of one or several things and is true and unique."""
    claims = []
    for category in CATEGORIES:
        for color in ("", *COLORS):
            for count in (0, 1, 2, 3):
                plain = Claim(category, color, count)
                claims.append(plain)
                claims += [replace(plain, side=side) for side in ("left", "right")]
                claims += [
                    replace(plain, relation=relation, landmark=landmark)
                    for relation in OPPOSITE
                    for landmark in CATEGORIES
                ]
            claims += [Claim(category, color, 1, place=place) for place in (1, 2, 3)]
    found = [(claim, claim.targets(things)) for claim in claims]
    # Of kinds that are asked for: something must tell the targets apart.
    return [(claim, targets) for claim, targets in found if targets and (claim.color or claim.kind != "attribute")]


def falsified(claim: Claim, targets: tuple[int, ...], things: list[Thing], rng: np.random.Generator):
    """A false sentence about the same targets, or the same one about others: (claim, targets, what was changed)."""
    options = [(replace(claim, color=color), targets, "attribute") for color in COLORS if color != claim.color]
    if claim.side:
        options.append((replace(claim, side=OPPOSITE[claim.side]), targets, "spatial"))
    if claim.relation:
        options.append((replace(claim, relation=OPPOSITE[claim.relation]), targets, "spatial"))
    if claim.place:
        options += [(replace(claim, place=place), targets, "spatial") for place in (1, 2, 3)]
    options += [(replace(claim, count=count), targets, "count") for count in (2, 3, 4) if not claim.place]
    options += [(claim, other, "count") for other in combinations(targets, len(targets) - 1) if other]
    others = [index for index, thing in enumerate(things) if thing.category == claim.category and index not in targets]
    options += [(claim, tuple(sorted((*targets, other))), "count") for other in others if len(targets) > 1]
    false = [each for each in options if surely_false(*each[:2], things)]
    kinds = sorted({changed for _, _, changed in false})
    if not kinds:
        return None
    kind = kinds[rng.integers(len(kinds))]
    chosen = [each for each in false if each[2] == kind]
    return chosen[rng.integers(len(chosen))]


def surely_false(claim: Claim, targets: tuple[int, ...], things: list[Thing]) -> bool:
    """Whether a sentence surely does not mean just these targets."""
    meant = claim.meant(things)
    return meant is not None and (meant != targets or (claim.count > 0 and claim.count != len(targets)))
