"""Layouts: where objects go in a new image, and priors that plan them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, Protocol

import numpy as np

from sos_mm.checks import check_choice, check_range, check_whole
from sos_mm.composition.place import fit_boxes, turned_sizes
from sos_mm.composition.scene import Placement
from sos_mm.segments.segment import Segment

SIZE_CLASSES = ("large", "medium", "small")
# Boxes that are tried at once: whole arrays cost hardly more than single boxes.
_BATCH = 16


class LayoutError(RuntimeError):
    """No layout was found that keeps the prior's rules."""


@dataclass(frozen=True)
class Layout:
    """A plan of an image, as pure data.

    Attributes:
        canvas: Height and width in pixels.
        placements: From back to front.

    Raises:
        ValueError: If the canvas or a box is empty.
    """

    canvas: tuple[int, int]
    placements: tuple[Placement, ...]

    def __post_init__(self):
        if len(self.canvas) != 2 or min(self.canvas) < 1:
            raise ValueError(f"`canvas` must be a height and a width of at least 1, but got {self.canvas}.")
        for planned in self.placements:
            x0, y0, x1, y1 = planned.box
            if x0 >= x1 or y0 >= y1:
                raise ValueError(f"`box` must have x0 < x1 and y0 < y1, but got {planned.box}.")


class LayoutPrior(Protocol):
    """What plans layouts."""

    def draw_count(self, rng: np.random.Generator) -> int:
        """How many objects the next image gets."""

    def plan(self, rng: np.random.Generator, segments: Sequence[Segment], canvas: tuple[int, int]) -> Layout:
        """Places the segments on a canvas of that height and width."""


@dataclass(frozen=True)
class Variation:
    """What any prior can vary beside place and size. Off by default, and then draws nothing.

    Args:
        rotation: Objects are turned by up to so many degrees to either side, uniform.
        hue: Probability of another hue, uniform over the circle, where the words can follow.

    Raises:
        ValueError: If an argument is out of its range.
    """

    rotation: float = field(default=0.0, kw_only=True)
    hue: float = field(default=0.0, kw_only=True)

    def __post_init__(self):
        check_range("rotation", self.rotation, 0, 180)
        check_range("hue", self.hue, 0, 1)

    def draw_variants(self, rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(number,) rotations and (number,) turns of the hue, in degrees."""
        rotations, hues = np.zeros(number), np.zeros(number)
        if self.rotation:
            rotations = rng.uniform(-self.rotation, self.rotation, number)
        if self.hue:
            chosen, turns = rng.random((2, number))
            hues = np.where(chosen < self.hue, 360 * turns, 0)
        return rotations, hues


def draw_count(rng: np.random.Generator, counts: tuple[int, int]) -> int:
    """A number of objects, uniform between and with both."""
    return int(rng.integers(counts[0], counts[1] + 1))


def first_whole(tries: Iterable[list[Placement]], number: int, canvas: tuple[int, int], fewer: bool) -> Layout:
    """The first try that placed so many objects, or with ``fewer`` the fullest one, if it placed any.

    Raises:
        LayoutError: If there is none.
    """
    best: list[Placement] = []
    done = 0
    for placements in tries:
        if len(placements) == number:
            return Layout(canvas, tuple(placements))
        best, done = max(best, placements, key=len), done + 1
    if best and fewer:
        return Layout(canvas, tuple(best))
    raise LayoutError(
        f"{number} objects do not fit a canvas of height and width {canvas}: the best of {done} layouts held "
        f"{len(best)}. Ask for fewer or smaller objects, lower `min_visible` and `min_mean_visible`, or set "
        "`crowded='fewer'`."
    )


_PRIORS: dict[str, type] = {}


def register_layout(cls: type) -> type:
    """Makes a prior, a dataclass of its options, known to `build_layout` by its name."""
    _PRIORS[cls.__name__] = cls
    return cls


def _default_shares() -> dict[str, float]:
    return {"large": 0.24, "medium": 0.34, "small": 0.42}


def _default_areas() -> dict[str, tuple[float, float]]:
    frame = 640 * 480
    return {"large": (9216 / frame, 0.5), "medium": (1024 / frame, 9216 / frame), "small": (512 / frame, 1024 / frame)}


@register_layout
@dataclass(frozen=True)
class StructuredLayout(Variation):
    """The layout prior of SOS: objects of three sizes, larger ones behind, none hidden too far.

    Each object draws its size class; boxes are placed from large to small, each one in front of those before,
    at a uniform position inside the canvas. A box is taken if, with it, the share of every box that shows is
    at least ``min_visible``, and at least ``min_mean_visible`` on average. Shares are those of the fitted
    extents of the segments, hidden area being added up over the boxes in front (so never judged too small);
    what shows of the masks is for the compositor to say.

    Args:
        counts: Least and largest number of objects an image.
        shares: Probability of each size class.
        areas: Range of a box's area for each size class, uniform, as a fraction of the canvas.
        aspect: Range of a box's width over its height, uniform. The segment keeps its own inside the box.
        min_mean_visible: See above.
        min_visible: See above.
        flip: Probability of a mirrored segment.
        crowded: What to do when no layout was found: 'raise' a LayoutError, or place 'fewer' objects.
        attempts: Boxes to try for an object.
        restarts: Layouts to begin before giving up.
        rotation, hue: See `Variation`.

    Source: "SOS: Synthetic Object Segments", arXiv 2510.09110; the areas are those of its 640x480 frame.

    Raises:
        ValueError: If an argument is out of its range.
    """

    counts: tuple[int, int] = (5, 20)
    shares: Mapping[str, float] = field(default_factory=_default_shares)
    areas: Mapping[str, tuple[float, float]] = field(default_factory=_default_areas)
    aspect: tuple[float, float] = (0.5, 2.0)
    min_mean_visible: float = 0.8
    min_visible: float = 0.5
    flip: float = 0.5
    crowded: str = "raise"
    attempts: int = 96
    restarts: int = 20

    def __post_init__(self):
        super().__post_init__()
        check_counts(self.counts)
        for name, value in (("shares", self.shares), ("areas", self.areas)):
            if set(value) != set(SIZE_CLASSES):
                raise ValueError(f"`{name}` must have the keys {SIZE_CLASSES}, but got {tuple(value)}.")
        if min(self.shares.values()) < 0 or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"`shares` must be at least 0 and add up to 1, but got {dict(self.shares)}.")
        for name in SIZE_CLASSES:
            check_pair(f"areas[{name!r}]", self.areas[name], 0, 1)
        check_pair("aspect", self.aspect, 0.01, 100)
        for name in ("min_mean_visible", "min_visible", "flip"):
            check_range(name, getattr(self, name), 0, 1)
        check_choice("crowded", self.crowded, ("raise", "fewer"))
        check_whole("attempts", self.attempts, 1, 1_000_000)
        check_whole("restarts", self.restarts, 1, 1_000_000)

    def draw_count(self, rng: np.random.Generator) -> int:
        """How many objects the next image gets, uniform over ``counts``."""
        return draw_count(rng, self.counts)

    def plan(self, rng: np.random.Generator, segments: Sequence[Segment], canvas: tuple[int, int]) -> Layout:
        """Places every segment once; only their sizes are looked at.

        Args:
            rng: Where the draws come from.
            segments: What to place.
            canvas: Height and width in pixels.

        Raises:
            LayoutError: If no layout was found and ``crowded`` is 'raise', or if not even one object fits.
        """
        sizes = np.array([segment.size for segment in segments]).reshape(-1, 2)
        tries = (self._try(rng, sizes, canvas) for _ in range(self.restarts))
        return first_whole(tries, len(segments), canvas, self.crowded == "fewer")

    def _try(self, rng: np.random.Generator, sizes: np.ndarray, canvas: tuple[int, int]) -> list[Placement]:
        """One layout, without the objects that found no place."""
        rotations, hues = self.draw_variants(rng, len(sizes))
        if self.rotation:
            sizes = turned_sizes(sizes, rotations)
        classes = rng.choice(len(SIZE_CLASSES), size=len(sizes), p=[self.shares[name] for name in SIZE_CLASSES])
        flips = rng.random(len(sizes)) < self.flip
        taken = TakenBoxes(len(sizes), self.min_visible, self.min_mean_visible)
        placements = []
        for index in np.argsort(classes, kind="stable").tolist():
            for _ in range(-(-self.attempts // _BATCH)):
                boxes = self._draw_boxes(rng, self.areas[SIZE_CLASSES[classes[index]]], canvas)
                chosen = taken.add_first(fit_boxes(boxes, sizes[index])) if len(boxes) else None
                if chosen is not None:
                    box, variant = tuple(boxes[chosen].tolist()), (rotations[index], hues[index])
                    placements.append(Placement(index, box, bool(flips[index]), *map(float, variant)))
                    break
        return placements

    def _draw_boxes(self, rng: np.random.Generator, areas: tuple[float, float], canvas: tuple[int, int]) -> np.ndarray:
        """(N, 4) int64 boxes inside the canvas; those that would not fit it are dropped."""
        height, width = canvas
        draws = rng.random((4, _BATCH))
        area = (areas[0] + draws[0] * (areas[1] - areas[0])) * height * width
        aspect = self.aspect[0] + draws[1] * (self.aspect[1] - self.aspect[0])
        extent = np.maximum(np.rint(np.sqrt([area * aspect, area / aspect])), 1).astype(np.int64)
        room = np.array([[width], [height]]) - extent
        corner = np.floor(draws[2:] * (room + 1)).astype(np.int64)
        return np.concatenate([corner, corner + extent]).T[(room >= 0).all(axis=0)]


class TakenBoxes:
    """The boxes taken so far and how much of each is hidden at most."""

    def __init__(self, number: int, min_visible: float, min_mean_visible: float):
        self.boxes = np.empty((number, 4), np.int64)
        self.areas = np.empty(number)
        self.hidden = np.zeros(number)
        self.number = 0
        self.min_visible, self.min_mean_visible = min_visible, min_mean_visible

    def add_first(self, candidates: np.ndarray) -> int | None:
        """Takes the first of (N, 4) boxes that keeps the rules, in front of all others; its index, or None."""
        boxes = self.boxes[: self.number]
        # Wide and high apart: numpy is slow over a last axis of two.
        wide, high = (
            np.minimum(candidates[:, axis + 2, None], boxes[:, axis + 2])
            - np.maximum(candidates[:, axis, None], boxes[:, axis])
            for axis in (0, 1)
        )
        hidden = self.hidden[: self.number] + np.maximum(wide, 0) * np.maximum(high, 0)
        visible = np.maximum(1 - hidden / self.areas[: self.number], 0)
        mean = (visible.sum(axis=1) + 1) / (self.number + 1)
        good = (visible >= self.min_visible).all(axis=1) & (mean >= self.min_mean_visible)
        if not good.any():
            return None
        chosen = int(good.argmax())
        self.hidden[: self.number] = hidden[chosen]
        self.boxes[self.number] = candidates[chosen]
        self.areas[self.number] = (candidates[chosen, 2:] - candidates[chosen, :2]).prod()
        self.number += 1
        return chosen


def build_layout(config: Mapping[str, Any]) -> LayoutPrior:
    """A layout prior from ``dict(type='StructuredLayout', ...)``.

    Raises:
        ValueError: If the type or a key is unknown, or a value out of its range.
    """
    check_choice("layout.type", config.get("type"), _PRIORS)
    prior = _PRIORS[config["type"]]
    options = {key: value for key, value in config.items() if key != "type"}
    for key in options:
        check_choice("key of layout", key, [known.name for known in fields(prior)])
    return prior(**options)


def check_pair(name: str, pair: Sequence[float], low: float, high: float) -> None:
    """Raises ValueError unless ``pair`` is two numbers in [low, high], the first not above the second."""
    numbers = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(each, Real) for each in pair)
    if not numbers or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"`{name}` must be a pair low <= high in [{low}, {high}], but got {pair!r}.")


def check_counts(counts: Sequence[int]) -> None:
    """Raises ValueError unless they are two whole numbers of objects, the first not above the second."""
    check_pair("counts", counts, 1, 10_000)
    for each in counts:
        check_whole("counts", each, 1, 10_000)
