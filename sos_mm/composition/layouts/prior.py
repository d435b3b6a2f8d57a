"""Layouts: where objects go in a new image, and what all priors that plan them have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Protocol

import numpy as np

from sos_mm.checks import check_choice, check_integer, check_range
from sos_mm.composition.scene import Placement
from sos_mm.registry import Registry


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


class SizedSegment(Protocol):
    """What a layout prior looks at of a segment; `Segment` and `SegmentInfo` have it."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def category(self) -> str:
        """Its category."""

    @property
    def source_size(self) -> tuple[int, int] | None:
        """Height and width of the image that it was cut from; None if it was not."""


@dataclass(frozen=True, eq=False)
class Draft:
    """What a prior decides of each object before the segments are final: how large a box it is to fill.

    Attributes:
        boxes: (N, 2) float64 heights and widths in pixels, those of a mean box where the prior draws it later; 0
            where any segment will do.
        columns: What else was decided, as arrays of N rows, for `LayoutPrior.plan` alone.
    """

    boxes: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def take(self, objects: Sequence[int]) -> "Draft":
        """The draft of some of the objects."""
        places = np.asarray(objects, np.int64)
        return Draft(self.boxes[places], {name: values[places] for name, values in self.columns.items()})


class LayoutPrior(Protocol):
    """What plans layouts."""

    @property
    def max_enlargement(self) -> float | None:
        """The largest factor by which a segment's pixels are enlarged; None for no limit."""

    def draw_count(self, rng: np.random.Generator) -> int:
        """Draws how many objects the next image gets."""

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Decides how large each object is to be, so that segments which are too small can be drawn anew."""

    def plan(
        self,
        rng: np.random.Generator,
        segments: Sequence[SizedSegment],
        canvas: tuple[int, int],
        draft: Draft | None = None,
    ) -> Layout:
        """Places the segments on a canvas of that height and width, by a draft or by one of its own."""


@dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """The options that all priors share.

    Args:
        counts: Least and largest number of objects an image.
        flip: Probability of a mirrored segment. Where a segment's words would become false, it is not mirrored.
        max_enlargement: Largest factor by which a segment's pixels are enlarged, in [0.01, 1000]: a larger box shrinks
            about its centre. None for no limit.
        rotation: Objects are turned by up to so many degrees to either side, uniform. Off by default.
        hue: Probability of another hue, uniform over the circle, where the words can follow. Off by default.

    Raises:
        ValueError: If an argument is out of its range.
    """

    counts: tuple[int, int] = (5, 20)
    flip: float = 0.5
    max_enlargement: float | None = 1.5
    rotation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        check_counts(self.counts)
        check_range("flip", self.flip, 0, 1)
        if self.max_enlargement is not None:
            check_range("max_enlargement", self.max_enlargement, 0.01, 1000)
        check_range("rotation", self.rotation, 0, 180)
        check_range("hue", self.hue, 0, 1)

    @property
    def limit(self) -> float:
        """The largest enlargement as a number."""
        return math.inf if self.max_enlargement is None else self.max_enlargement

    def draw_count(self, rng: np.random.Generator) -> int:
        """Draws how many objects the next image gets, uniform over ``counts``."""
        return int(rng.integers(self.counts[0], self.counts[1] + 1))

    def draw_variants(self, rng: np.random.Generator, number: int) -> "Variants":
        """Draws which objects are mirrored, how far they are turned, and by how much their hues are."""
        rotations: np.ndarray = np.zeros(number)
        hues: np.ndarray = np.zeros(number)
        if self.rotation:
            rotations = rng.uniform(-self.rotation, self.rotation, number)
        if self.hue:
            chosen, turns = rng.random((2, number))
            hues = np.where(chosen < self.hue, 360 * turns, 0)
        return Variants(rng.random(number) < self.flip, rotations, hues)


@dataclass(frozen=True, eq=False)
class Variants:
    """What is done to each of N objects beside placing and scaling it.

    Attributes:
        flips: (N,) bool, whether it is mirrored.
        rotations: (N,) float64 degrees.
        hues: (N,) float64 degrees.
    """

    flips: np.ndarray
    rotations: np.ndarray
    hues: np.ndarray

    def place(self, index: int, box: np.ndarray, limited: bool, depth: float | None = None) -> Placement:
        """The placement of one object in a box (4,) int64."""
        return Placement(
            index,
            tuple(box.tolist()),
            bool(self.flips[index]),
            float(self.rotations[index]),
            float(self.hues[index]),
            depth,
            bool(limited),
        )


@dataclass(frozen=True, kw_only=True)
class OcclusionOptions(PriorOptions):
    """The options of priors that try boxes until none is hidden too far.

    A box is taken if, with it, the share of every box that shows is at least ``min_visible``, and at least
    ``min_mean_visible`` on average. Shares are those of the fitted extents of the segments, hidden area being added up
    over the boxes in front (so never judged too small); what shows of the masks is for the compositor to say.

    Args:
        min_mean_visible: See above.
        min_visible: See above.
        crowded: What to do when no layout was found: 'raise' a LayoutError, or place 'fewer' objects.
        attempts: Boxes to try for an object.
        restarts: Layouts to begin before giving up.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    min_mean_visible: float = 0.8
    min_visible: float = 0.5
    crowded: str = "raise"
    attempts: int = 96
    restarts: int = 20

    def __post_init__(self):
        super().__post_init__()
        check_range("min_mean_visible", self.min_mean_visible, 0, 1)
        check_range("min_visible", self.min_visible, 0, 1)
        check_choice("crowded", self.crowded, ("raise", "fewer"))
        check_integer("attempts", self.attempts, 1, 1_000_000)
        check_integer("restarts", self.restarts, 1, 1_000_000)

    def plan(
        self,
        rng: np.random.Generator,
        segments: Sequence[SizedSegment],
        canvas: tuple[int, int],
        draft: Draft | None = None,
    ) -> Layout:
        """Places every segment once.

        Args:
            rng: Where the draws come from.
            segments: What to place.
            canvas: Height and width in pixels.
            draft: What `draft` gave for these segments; made here if None. A layout that is begun anew makes its own.

        Raises:
            LayoutError: If no layout was found and ``crowded`` is 'raise', or if not even one object fits.
        """
        best: list[Placement] = []
        for restart in range(self.restarts):
            if draft is None or restart:
                draft = self.draft(rng, segments, canvas)
            placements = self.try_once(rng, segments, canvas, draft)
            if len(placements) == len(segments):
                return Layout(canvas, tuple(placements))
            best = max(best, placements, key=len)
        if best and self.crowded == "fewer":
            return Layout(canvas, tuple(best))
        raise LayoutError(
            f"{len(segments)} objects do not fit a canvas of height and width {canvas}: the best of {self.restarts} "
            f"layouts held {len(best)}. Ask for fewer or smaller objects, lower `min_visible` and `min_mean_visible`, "
            "or set `crowded='fewer'`."
        )

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Decides how large each object is to be."""
        raise NotImplementedError

    def try_once(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int], draft: Draft
    ) -> list[Placement]:
        """Tries one layout; gives the placements of the objects that found a place."""
        raise NotImplementedError


def sizes_of(segments: Sequence[SizedSegment]) -> np.ndarray:
    """(N, 2) float64 heights and widths."""
    return np.array([segment.size for segment in segments], float).reshape(-1, 2)


_PRIORS: Registry["LayoutPrior"] = Registry("layout.type", "key of layout")
# Makes a prior, a dataclass of its options, known to `build_layout` by its name.
register_layout = _PRIORS.register


def build_layout(config: Mapping[str, Any]) -> LayoutPrior:
    """A layout prior from ``dict(type='StructuredLayout', ...)``.

    Raises:
        ValueError: If the type or a key is unknown, or a value out of its range.
    """
    return _PRIORS.build(config)


def check_pair(name: str, pair: Sequence[float], low: float, high: float) -> None:
    """Raises ValueError unless ``pair`` is two numbers in [low, high], the first not above the second."""
    numbers = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(each, Real) for each in pair)
    if not numbers or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"`{name}` must be a pair low <= high in [{low}, {high}], but got {pair!r}.")


def check_counts(counts: Sequence[int]) -> None:
    """Raises ValueError unless they are two whole numbers of objects, the first not above the second."""
    check_pair("counts", counts, 1, 10_000)
    for each in counts:
        check_integer("counts", each, 1, 10_000)
