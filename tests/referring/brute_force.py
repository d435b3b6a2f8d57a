"""An evaluator of expressions of its own, written from docs/referring.md: loops over instances, masks of whole images.

It knows nothing of phantoms: everything must be annotated ('object' is in ``complete``) and no region ignored. Values
are True, False and None for undecidable.
"""

import json
import math
from pathlib import Path

import numpy as np

import sos_mm
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.segments.colors import color_names

BROADER = json.loads((Path(sos_mm.__file__).parent / "referring" / "words" / "broader.json").read_text())
LISTED = {*BROADER["broader"], *(each for members in BROADER["broader"].values() for each in members)}
CONFUSED = {
    "red": {"orange", "pink", "brown", "purple"}, "orange": {"red", "yellow", "brown"},
    "yellow": {"orange", "green", "brown"}, "green": {"yellow", "cyan"}, "cyan": {"green", "blue"},
    "blue": {"cyan", "purple"}, "purple": {"blue", "pink", "red"}, "pink": {"red", "purple"},
    "brown": {"orange", "red", "yellow", "black"}, "black": {"grey", "brown"}, "grey": {"black", "white"},
    "white": {"grey"},
}  # fmt: skip
# The facts are measured on a grid of pixels, this evaluator on all of them.
GRID = 0.06
TURNED = {"right of": "left of", "below": "above", "behind": "in front of"}
NAMES = [*CONFUSED]


def conjunction(values):
    values = list(values)
    return False if False in values else None if None in values else True


def disjunction(values):
    values = list(values)
    return True if True in values else None if None in values else False


def name_of(category: str) -> str:
    name = " ".join(category.lower().replace("_", " ").split())
    for concept, others in BROADER["same"].items():
        if name in others:
            return concept
    return name


def broader_terms(name: str) -> set[str]:
    found, front = set(), {name}
    while front:
        front = {term for term, members in BROADER["broader"].items() for each in front if each in members} - found
        found |= front
    return found


class BruteForce:
    """What holds in an image.

    Args:
        image: The image.
        claims: For each instance, the colours and the other attributes that its words claim, found otherwise.
    """

    def __init__(self, image: AnnotatedImage, claims):
        assert "object" in image.complete
        assert not image.ignored
        self.image, self.claims = image, claims
        self.all = range(len(image.instances))
        self.known = {name_of(each) for each in (*image.complete, *(one.category for one in image.instances))}
        self.masks, self.colors = {}, {}

    # --- Single objects

    def box(self, i):
        return self.image.instances[i].box

    def center(self, i, axis):
        return (self.box(i)[axis] + self.box(i)[axis + 2]) / 2

    def extent(self, i, axis):
        return self.box(i)[axis + 2] - self.box(i)[axis]

    def length(self, axis):
        return (self.image.width, self.image.height)[axis]

    def mask(self, i):
        if i not in self.masks:
            each = self.image.instances[i]
            full = np.zeros((self.image.height, self.image.width), bool)
            (x, y), (h, w) = each.offset, each.mask.shape
            full[y : y + h, x : x + w] = each.mask
            self.masks[i] = full
        return self.masks[i]

    def is_a(self, i, term):
        name = name_of(self.image.instances[i].category)
        if name == term:
            return True
        above = broader_terms(name)
        if term == "object":
            return None if {"person", "animal"} & ({name} | above) else True
        if term in above:
            return True
        if name in broader_terms(term):
            return None
        for one, other in BROADER["similar"]:
            if term in (one, other) and {one, other} & (above | {name}):
                return None
        if set(name.split()) & set(term.split()):
            return None
        if (name in LISTED and term in LISTED) or (name in self.known and term in self.known):
            return False
        return None

    def attribute(self, i, kind, value, head):
        if kind == "size":
            return self.size(i, value, head)
        colors, words = self.claims[i]
        if kind == "word":
            if any(value in group and words & (set(group) - {value}) for group in BROADER["exclusive"]):
                return False
            return True if value in words else None
        if self.is_a(i, "person"):
            return None
        each = self.image.instances[i]
        if self.image.image is None or each.mask is None or each.mask.sum() < 64:
            if value in colors:
                return True
            return False if colors and not colors & CONFUSED[value] else None
        share = self.shares(i)
        seen = self.seen(i)
        if share[value] >= 0.6 - GRID and value in colors:
            return True
        pixels = self.image.image[self.mask(i)].astype(float)
        most, least = pixels.max(axis=1), pixels.min(axis=1)
        strong = (255 * (most - least) >= 100 * most) & (most >= 70)
        clear = np.full(len(seen), True) if value in ("black", "white") else np.full(len(seen), False)
        clear = strong if value not in ("black", "white", "grey") else clear
        if np.mean((seen == value) & clear) >= 0.6 - GRID and not colors:
            return True
        if share[value] >= 0.4 - GRID and colors == {value}:
            return True
        near = share[value] + sum(share[name] for name in CONFUSED[value])
        if share[value] <= 0.1 + GRID and near <= 0.3 + GRID and value not in colors:
            return False
        if len(colors) == 1:
            (said,) = colors
            confirmed = share[said] >= 0.4 - GRID and value not in {said, *CONFUSED[said]}
            if confirmed and share[value] <= 0.1 + GRID and near < share[said] + GRID:
                return False
        return None

    def seen(self, i):
        """The names of the colours of an instance's pixels."""
        if i not in self.colors:
            self.colors[i] = color_names(self.image.image[self.mask(i)])
        return self.colors[i]

    def shares(self, i):
        """The share of each colour's name."""
        return {name: float(np.mean(self.seen(i) == name)) for name in NAMES}

    def areas(self, i):
        each = self.image.instances[i]
        seen = float(each.mask.sum()) if each.mask is not None else self.extent(i, 0) * self.extent(i, 1)
        return seen, seen / (each.visible_share or 1) * (2 if each.truncated else 1)

    def size(self, i, value, head):
        values = [self.is_a(j, head) for j in self.all]
        if None in values or values.count(True) < 2:
            return None
        if not values[i]:
            return False
        others = [self.areas(j) for j in self.all if values[j] and j != i]
        least, most = (math.prod(each[k] ** (1 / len(others)) for each in others) for k in (0, 1))
        low, high = self.areas(i)
        if value == "large":
            return True if low >= 2.5 * most * 0.9999 else False if high <= 1.2 * least * 1.0001 else None
        return True if high * 2.5 <= least * 1.0001 else False if most <= 1.2 * low * 1.0001 else None

    def place(self, i, name):
        if name == "middle":
            offsets = [abs(self.center(i, axis) / self.length(axis) - 0.5) for axis in (0, 1)]
            return True if max(offsets) <= 0.1 else False if max(offsets) > 0.25 else None
        axis = 0 if name in ("left", "right") else 1
        size = self.length(axis)
        center, reach = self.center(i, axis), self.box(i)[axis + 2]
        if name in ("right", "bottom"):
            center, reach = size - center, size - self.box(i)[axis]
        if center <= 0.3 * size and reach <= 0.6 * size:
            return True
        return False if center >= 0.45 * size else None

    # --- Pairs

    def gap(self, i, j):
        return math.hypot(*(
            max(self.box(j)[a] - self.box(i)[a + 2], self.box(i)[a] - self.box(j)[a + 2], 0) for a in (0, 1)
        ))  # fmt: skip

    def common(self, i, j, axis):
        return max(min(self.box(i)[axis + 2], self.box(j)[axis + 2]) - max(self.box(i)[axis], self.box(j)[axis]), 0)

    def inside(self, i, j):
        smaller = min(self.extent(k, 0) * self.extent(k, 1) for k in (i, j))
        return self.common(i, j, 0) * self.common(i, j, 1) / smaller

    def within(self, i, j, distance):
        x0, y0, x1, y1 = (int(each) for each in self.box(i))
        one, other = self.mask(i)[y0:y1, x0:x1], np.pad(self.mask(j), distance)
        height, width = one.shape
        other = other[y0 : y1 + 2 * distance, x0 : x1 + 2 * distance]
        return any(
            (one & other[y : y + height, x : x + width]).any()
            for y in range(2 * distance + 1)
            for x in range(2 * distance + 1)
        )

    def related(self, i, name, j):
        if i == j:
            return False
        if name in TURNED:
            return self.related(j, TURNED[name], i)
        if name in ("left of", "above"):
            axis = 0 if name == "left of" else 1
            ahead = self.center(j, axis) - self.center(i, axis)
            aside = abs(self.center(j, 1 - axis) - self.center(i, 1 - axis))
            over = self.box(i)[axis + 2] - self.box(j)[axis]
            if ahead > 0 and aside <= ahead and over <= 0.15 * min(self.extent(i, axis), self.extent(j, axis)):
                return True
            return False if -ahead >= 0.01 * self.length(axis) else None
        if name == "next to":
            sizes = [math.sqrt(self.extent(k, 0) * self.extent(k, 1)) for k in (i, j)]
            level = self.common(i, j, 1) >= 0.5 * min(self.extent(i, 1), self.extent(j, 1))
            if self.gap(i, j) <= 0.5 * min(sizes) and level and self.inside(i, j) < 0.2:
                return True
            return False if self.gap(i, j) >= 1.5 * max(sizes) else None
        if name == "touching":
            return self.touching(i, j)
        if name == "overlapping":
            return self.overlapping(i, j)
        assert name == "in front of"
        return self.in_front(i, j)

    def touching(self, i, j):
        if self.gap(i, j) >= 8:
            return False
        if self.image.instances[i].mask is None or self.image.instances[j].mask is None:
            return None
        return True if self.within(i, j, 2) else None if self.within(i, j, 8) else False

    def overlapping(self, i, j):
        touching = self.touching(i, j)
        if touching is False or self.inside(i, j) == 0:
            return False
        return True if touching and self.inside(i, j) >= 0.2 else None

    def closer(self, i, j):
        one, other = (self.image.instances[k].depth for k in (i, j))
        return one is not None and other is not None and other >= 1.15 * one and other > one

    def in_front(self, i, j):
        one, other = (self.image.instances[k] for k in (i, j))
        ordered = one.z_order is not None and other.z_order is not None
        above, under = ordered and one.z_order > other.z_order, ordered and one.z_order < other.z_order
        if (under and self.overlapping(i, j)) or self.closer(j, i):
            return False
        if under:
            return None
        hidden = other.visible_share is None or other.visible_share <= 0.95
        if above and self.overlapping(i, j) and hidden:
            return True
        level = self.common(i, j, 0) >= 0.5 * min(self.extent(i, 0), self.extent(j, 0))
        return True if self.closer(i, j) and level and self.overlapping(i, j) is not False else None

    def between(self, i, j, k):
        if i in (j, k):
            return False
        for name in ("left of", "above"):
            for a, b in ((j, k), (k, j)):
                if self.related(a, name, i) and self.related(i, name, b):
                    return True
        ax, ay, bx, by, px, py = (self.center(n, axis) for n in (j, k, i) for axis in (0, 1))
        dx, dy = bx - ax, by - ay
        length = math.hypot(dx, dy)
        if not length:
            return None
        t = ((px - ax) * dx + (py - ay) * dy) / length**2
        away = abs((px - ax) * dy - (py - ay) * dx) / length
        return False if t <= -0.05 or t >= 1.05 or away >= length else None

    def before(self, i, j, by, landmark=None):
        if by in ("left", "right", "top", "bottom"):
            axis = 0 if by in ("left", "right") else 1
            if by in ("right", "bottom"):
                i, j = j, i
            return (
                self.center(j, axis) - self.center(i, axis) >= 0.03 * self.length(axis)
                and self.box(i)[axis] <= self.box(j)[axis]
                and self.box(i)[axis + 2] <= self.box(j)[axis + 2]
            )
        if by in ("small", "back", "far"):
            return self.before(j, i, {"small": "large", "back": "front", "far": "near"}[by], landmark)
        if by == "large":
            return self.areas(i)[0] >= 1.4 * self.areas(j)[1] * 0.9999
        if by == "front":
            return self.closer(i, j)
        one, other = (
            math.hypot(*(self.center(k, axis) - self.center(landmark, axis) for axis in (0, 1))) for k in (i, j)
        )
        return one * 1.3 <= other and one < other and self.gap(i, landmark) <= self.gap(j, landmark)

    # --- Phrases

    def phrase(self, meaning):
        """For each instance, whether a noun phrase means it."""
        head = meaning["head"]
        kind = [
            conjunction(
                [self.is_a(i, head), *(self.attribute(i, *pair, head) for pair in meaning.get("attributes", ()))]
            )
            for i in self.all
        ]
        least = meaning["count"] if meaning["number"] == "count" else 2 if meaning["number"] == "all" else 1
        found = [
            conjunction([
                kind[i],
                *(self.at(i, name, kind, least) for name in meaning.get("positions", ())),
                *(self.in_relation(i, each) for each in meaning.get("relations", ())),
            ])
            for i in self.all
        ]  # fmt: skip
        if "rank" not in meaning:
            return found
        several = meaning.get("count", 0) if meaning["number"] == "count" else 0
        inner = self.ranked(meaning["rank"], found, several)
        outer = [conjunction(pair) for pair in zip(self.ranked(meaning["rank"], kind, several), found, strict=True)]
        return [
            True if a and b else None if (a is not False or b is not False) else False
            for a, b in zip(inner, outer, strict=True)
        ]

    def at(self, i, name, kind, least):
        here = self.place(i, name)
        rivals = [j for j in self.all if kind[j] is not False]
        if here is not False or i not in rivals or len(rivals) <= least:
            return here
        if name == "middle":
            others = [j for j in rivals if j != i]
            outer = any(all(self.before(i, j, side) for j in others) for side in ("left", "right", "top", "bottom"))
            return None if len(rivals) >= 3 and not outer else False
        first = not any(kind[j] and self.before(j, i, name) for j in self.all)
        behind = [j for j in rivals if j != i and not self.before(j, i, name)]
        return None if first and len(behind) >= least else False

    def in_relation(self, i, relation):
        if relation["relation"] == "between":
            one, other = (self.phrase(each) for each in (relation["to"][0], relation["to"][-1]))
            number = sum(value is not False for value in one)
            if len(relation["to"]) == 1 and number != 2:
                return None if number else False
            pairs = [
                (j, k) for j in self.all for k in self.all
                if j != k and one[j] is not False and other[k] is not False
            ]  # fmt: skip
            values = [self.between(i, j, k) for j, k in pairs]
            if not any(value is not False for value in values):
                return False
            sure = any(one[j] and other[k] for j, k in pairs)
            return True if sure and all(values) else None
        landmark = relation["to"][0]
        meant = self.phrase(landmark)
        values = {j: self.related(i, relation["relation"], j) for j in self.all if meant[j] is not False and j != i}
        if all(value is False for value in values.values()):
            return False
        if landmark["number"] == "some":
            return True if any(values[j] and meant[j] for j in values) else None
        return True if all(values.values()) and any(meant[j] for j in values) else None

    def ranked(self, rank, kind, several):
        if "to" not in rank:
            return [self.nth(i, rank["n"], kind, several, rank["by"]) for i in self.all]
        landmarks = self.phrase(rank["to"][0])
        found = []
        for i in self.all:
            values = []
            for mark in self.all:
                if landmarks[mark] is not False:
                    rest = [False if j == mark else kind[j] for j in self.all]
                    values.append(self.nth(i, rank["n"], rest, several, rank["by"], mark))
            sure = any(each is True for each in landmarks) and all(values)
            found.append(True if sure else False if all(each is False for each in values) else None)
        return found

    def nth(self, i, n, kind, several, by, landmark=None):
        if kind[i] is False:
            return False
        rivals = [j for j in self.all if j != i and kind[j] is not False]
        least = sum(1 for j in rivals if kind[j] and self.before(j, i, by, landmark))
        most = least + sum(
            1
            for j in rivals
            if not (kind[j] and self.before(j, i, by, landmark)) and not self.before(i, j, by, landmark)
        )
        if several:
            return False if least >= several else True if most < several and kind[i] else None
        if not least <= n - 1 <= most:
            return False
        return True if least == most and kind[i] else None

    def has_landmarks(self, meaning):
        """Whether each landmark of a phrase may be in the image."""
        owners = [*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])]
        return all(
            any(self.is_a(i, each["head"]) is not False for i in self.all) and self.has_landmarks(each)
            for owner in owners
            for each in owner["to"]
        )

    def counting(self, readings, targets):
        """The readings that count: with targets, those whose landmarks may be there, if there are any."""
        return [each for each in readings if targets and self.has_landmarks(each)] or list(readings)

    def verdict(self, meaning, targets):
        """'true', 'refused' or 'undecidable' by the first list of the page."""
        values = self.phrase(meaning)
        sure = [i for i in self.all if values[i] is True]
        possible = [i for i in self.all if values[i] is not False]
        targets = sorted(targets)
        count = meaning["count"] if meaning["number"] == "count" else 0
        if not targets:
            if len(possible) < max(count, 1):
                return "true"
            return "refused" if len(sure) >= max(count, 1) else "undecidable"
        fits = {"one": len(targets) == 1, "all": len(targets) >= 2, "count": len(targets) == count, "unmarked": True}
        if not fits[meaning["number"]] or set(targets) - set(possible) or set(sure) - set(targets):
            return "refused"
        if meaning["number"] == "one" and len(sure) > 1:
            return "refused"
        return "true" if sure == possible == targets else "undecidable"
