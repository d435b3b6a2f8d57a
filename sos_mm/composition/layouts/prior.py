"""The type `Layout`, the interface of layout priors, and the options that they share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sos_mm.checks import check_choice, check_integer, check_pair, check_range
from sos_mm.composition.scene import Placement
from sos_mm.registry import Registry
from sos_mm.segments.sides import Sides


class LayoutError(RuntimeError):
    """An error that is raised when no layout that keeps the prior's rules was found."""


@dataclass(frozen=True)
class Layout:
    """The placements of an image, as plain data.

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
    """The attributes of a segment that a layout prior reads; `Segment` and `SegmentInfo` have them."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def category(self) -> str:
        """Name of its category."""

    @property
    def source_size(self) -> tuple[int, int] | None:
        """Height and width of the image that it was cut out of; None if it was not."""

    @property
    def cut_sides(self) -> int:
        """The `Sides` on which the border of that image cut it off; 0 if on none, or unknown."""


@dataclass(frozen=True, eq=False)
class Draft:
    """The sizes of objects that a prior has drawn before the segments are final.

    Attributes:
        boxes: (N, 2) float64 heights and widths in pixels; of a mean box if the prior draws the box later; 0 where any
            segment is large enough.
        columns: Further draws, as arrays of N rows, which only `LayoutPrior.plan` reads.
    """

    boxes: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def take(self, objects: Sequence[int]) -> "Draft":
        """Returns the draft of a selection of the objects."""
        positions = np.asarray(objects, np.int64)
        return Draft(self.boxes[positions], {name: values[positions] for name, values in self.columns.items()})


class LayoutPrior(Protocol):
    """The interface of layout priors."""

    @property
    def max_enlargement(self) -> float | None:
        """The largest factor by which a segment's pixels are enlarged; None for no limit."""

    def draw_count(self, rng: np.random.Generator) -> int:
        """Draws the number of objects of the next image."""

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws the size of each object, so that segments which are too small can be replaced."""

    def plan(
        self,
        rng: np.random.Generator,
        segments: Sequence[SizedSegment],
        canvas: tuple[int, int],
        draft: Draft | None = None,
    ) -> Layout:
        """Places the segments on a canvas of a height and width, from a draft or from a new one."""


@dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """The options that all priors share.

    An object that the border of its image cut off is placed at the same border of the canvas, so that no cut is seen,
    and is neither mirrored nor rotated. One that was cut off on opposite sides goes to the left or lower border, and
    its other cut is seen, unless it is as large as the canvas (see `SourceSizeLayout`).

    Args:
        counts: Least and largest number of objects in an image.
        flip: Probability of mirroring a segment. It is not mirrored if that could make its texts false.
        max_enlargement: Largest factor by which a segment's pixels are enlarged, in [0.01, 1000]: a larger box shrinks
            about its centre. None for no limit.
        rotation: Objects are rotated by up to so many degrees to either side, uniform. Off by default.
        hue: Probability of another hue, uniform over the circle, if the texts can be adapted. Off by default.

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
        """The largest enlargement as a number; infinite for None."""
        return math.inf if self.max_enlargement is None else self.max_enlargement

    def draw_count(self, rng: np.random.Generator) -> int:
        """Draws the number of objects of the next image, uniform over ``counts``."""
        return int(rng.integers(self.counts[0], self.counts[1] + 1))

    def draw_variants(self, rng: np.random.Generator, segments: Sequence[SizedSegment]) -> "Variants":
        """Draws which objects are mirrored, and the rotation angles of objects and of hues."""
        number, cut_sides = len(segments), cut_sides_of(segments)
        rotations: np.ndarray = np.zeros(number)
        hues: np.ndarray = np.zeros(number)
        if self.rotation:
            rotations = rng.uniform(-self.rotation, self.rotation, number)
        if self.hue:
            chosen, turns = rng.random((2, number))
            hues = np.where(chosen < self.hue, 360 * turns, 0)
        # Mirrored ones could go to the other border, but mirroring may be undone later, to keep texts true.
        flips = (rng.random(number) < self.flip) & ((cut_sides & (Sides.LEFT | Sides.RIGHT)) == 0)
        return Variants(flips, np.where(cut_sides == 0, rotations, 0), hues, cut_sides)


@dataclass(frozen=True, eq=False)
class Variants:
    """Mirroring, rotation and hue of each of N objects.

    Attributes:
        flips: (N,) bool, whether it is mirrored.
        rotations: (N,) float64 degrees.
        hues: (N,) float64 degrees.
        cut_sides: (N,) int64, the `Sides` on which it is cut off.
    """

    flips: np.ndarray
    rotations: np.ndarray
    hues: np.ndarray
    cut_sides: np.ndarray

    def place(self, index: int, box: np.ndarray, limited: bool, depth: float | None = None) -> Placement:
        """Returns the placement of one object in a box (4,) int64."""
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
    """The options of priors that try boxes until no object is occluded too far.

    A box is accepted if the visible share of every box is then at least ``min_visible``, and at least
    ``min_mean_visible`` on average. Shares are computed for the segments' bounding boxes; the occluded area is summed
    up over the boxes in front, which never underestimates it. The compositor computes the visibility of the masks.
    There is less room for objects that must be at a border: many large ones, or two in one corner, may not fit.

    Args:
        min_mean_visible: Least mean visible share of the boxes, in [0, 1].
        min_visible: Least visible share of each box, in [0, 1].
        crowded: What to do when no layout was found: 'raise' a LayoutError, or place 'fewer' objects.
        attempts: Number of boxes to try for an object.
        restarts: Number of layouts to try before giving up.
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
            rng: Source of the random draws.
            segments: The segments to place.
            canvas: Height and width in pixels.
            draft: The result of `draft` for these segments; drawn here if None. A restart draws a new one.

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
        """Draws the size of each object."""
        raise NotImplementedError

    def try_once(
        self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int], draft: Draft
    ) -> list[Placement]:
        """Tries one layout; returns the placements of the objects for which a box was found."""
        raise NotImplementedError


def sizes_of(segments: Sequence[SizedSegment]) -> np.ndarray:
    """Returns the heights and widths of segments, (N, 2) float64."""
    return np.array([segment.size for segment in segments], float).reshape(-1, 2)


def cut_sides_of(segments: Sequence[SizedSegment]) -> np.ndarray:
    """Returns the sides on which each segment is cut off, (N,) int64 values of `Sides`."""
    return np.array([segment.cut_sides for segment in segments], np.int64)


_PRIORS: Registry["LayoutPrior"] = Registry("layout.type", "key of layout")
# Registers a prior, a dataclass of its options, with `build_layout` under its name.
register_layout = _PRIORS.register


def build_layout(config: Mapping[str, Any]) -> LayoutPrior:
    """Builds a layout prior from a dict such as ``dict(type='StructuredLayout', ...)``.

    Raises:
        ValueError: If the type or a key is unknown, or a value out of its range.
    """
    return _PRIORS.build(config)


def check_counts(counts: Sequence[int]) -> None:
    """Raises ValueError unless they are two integers, the first not above the second."""
    check_pair("counts", counts, 1, 10_000)
    for each in counts:
        check_integer("counts", each, 1, 10_000)


def check_classes(classes: Sequence[str], shares: Mapping[str, float], name: str, ranges: Mapping[str, Any]) -> None:
    """Checks the shares of classes of objects, such as sizes, and that each class has a range.

    Args:
        classes: Names of the classes.
        shares: Share of each class.
        name: Name of the option with the ranges.
        ranges: Range of each class; only the names are checked.

    Raises:
        ValueError: If one of them has other names, or shares are negative or do not add up to 1.
    """
    for option, value in (("shares", shares), (name, ranges)):
        if set(value) != set(classes):
            raise ValueError(f"`{option}` must have the keys {classes}, but got {tuple(value)}.")
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"`shares` must be at least 0 and add up to 1, but got {dict(shares)}.")
