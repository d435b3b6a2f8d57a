"""The interface of everything that segments are drawn from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.quality import Filters
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.segment import Segment


class Bank(Protocol):
    """The interface of a source of segments; implemented by `SegmentBank` and `MixedBank`.

    Attributes:
        categories: Names, sorted.
        skipped: Number of segments that were left out, by reason.
        faults: Error message of each broken segment met in this run; each names its file.
    """

    categories: tuple[str, ...]
    skipped: dict[str, int]
    faults: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Content hash, 64 hexadecimal digits: the same for the same segments."""

    @property
    def has_source_sizes(self) -> bool:
        """Whether the size of the source image is known for every segment."""

    def __len__(self) -> int: ...

    def select(
        self,
        filters: Filters | None = None,
        vocabulary: str | Path | Iterable[str] | None = None,
        attributes: Iterable[str] = (),
        broken: str = "error",
    ) -> "Bank":
        """Returns a bank of the segments that pass the filters; see `SegmentBank.select`."""

    def weighted(self, category_weights: Mapping[str, float], category_pairs: CategoryPairs | None = None) -> "Bank":
        """Returns the same bank with these weights and pairs for the strategy 'weighted'."""

    def category_ids(self, vocabulary: Any = None) -> dict[str, int]:
        """Returns the id of each category in a vocabulary."""

    def draw_of(self, rng: np.random.Generator, category: str) -> int:
        """Draws a segment of a category; returns its index."""

    def sample(self, rng: np.random.Generator, number: int, strategy: str = "category") -> np.ndarray:
        """Draws segments; returns (number,) int64 indices."""

    def redraw(
        self,
        rng: np.random.Generator,
        drawn: Sequence[int],
        boxes: np.ndarray,
        max_enlargement: float,
        allowed: Callable[[int], bool] | None = None,
    ) -> list[int]:
        """Replaces drawn segments that are too small for their boxes by larger ones of the same categories."""

    def file(self, index: int) -> str:
        """Returns the path of the file that holds a segment."""

    def info(self, index: int) -> SegmentInfo:
        """Returns the size and category of a segment, which is what a layout needs."""

    def record(self, index: int) -> SegmentRecord:
        """Returns the record of a segment: the position of its pixels on disk, and its texts."""

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """Decodes a segment, or a copy of lower resolution of at least a height and width."""
