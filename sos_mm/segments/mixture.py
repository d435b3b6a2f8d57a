"""Several banks that are drawn from as one."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.segments.bank import Bank, cumulative, wanted_categories
from sos_mm.segments.index.fingerprint import combined
from sos_mm.segments.quality import Filters
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.segment import Segment
from sos_mm.segments.vocabulary import category_ids


class MixedBank:
    """Banks with weights; it is used as a `SegmentBank` is.

    Args:
        banks: What to mix.
        weights: How often to draw from each, in any unit; evenly if None.

    Attributes:
        categories: Sorted names of all.
        skipped: How many segments the banks left out, by reason.
        faults: What was wrong with each broken one, as far as it was met now.

    Raises:
        ValueError: If there are no banks, or weights are not as many, negative or all 0.
    """

    def __init__(self, banks: Sequence[Bank], weights: Sequence[float] | None = None):
        weights = [1.0] * len(banks) if weights is None else list(weights)
        if not banks or len(weights) != len(banks):
            raise ValueError(f"`weights` must be one for each bank, but got {len(weights)} for {len(banks)} banks.")
        self.banks, self.weights = tuple(banks), weights
        self._edges = cumulative("weights", weights)
        self._starts = np.cumsum([0, *map(len, banks)])
        self.categories: tuple[str, ...] = tuple(sorted({name for bank in banks for name in bank.categories}))
        self.skipped: dict[str, int] = dict(sum((Counter(bank.skipped) for bank in banks), Counter()))
        self.faults: tuple[str, ...] = tuple(text for bank in banks for text in bank.faults)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def select(
        self,
        filters: Filters | None = None,
        vocabulary: str | Path | Iterable[str] | None = None,
        attributes: Iterable[str] = (),
        broken: str = "error",
    ) -> "MixedBank":
        """As `SegmentBank.select`; a bank that has none of the categories is left out, and its weight with it."""
        names = self.categories if vocabulary is None else wanted_categories(vocabulary, self.categories)
        own = [[name for name in bank.categories if name in names] for bank in self.banks]
        left = [place for place, each in enumerate(own) if each]
        if not left:
            raise ValueError(f"The banks must have categories of the vocabulary, but none is in {vocabulary!r}.")
        banks = [self.banks[place].select(filters, own[place], attributes, broken) for place in left]
        return MixedBank(banks, [self.weights[place] for place in left])

    def category_ids(self, vocabulary: Any = None) -> dict[str, int]:
        """The id of each category in a vocabulary, one table for all banks; see `category_ids`."""
        return category_ids(self.categories, vocabulary)

    def sample(self, rng: np.random.Generator, number: int, strategy: str = "category") -> np.ndarray:
        """Draws a bank for each segment by weight, then the segment as `SegmentBank.sample` does.

        All segments of 'single_category' come from one bank.

        Returns:
            (number,) int64 indices for `load`.
        """
        draws = rng.random(1 if strategy == "single_category" else number)
        bank = np.broadcast_to(np.searchsorted(self._edges, draws, side="right"), number)
        drawn = np.empty(number, np.int64)
        for place in np.unique(bank):
            here = bank == place
            drawn[here] = self._starts[place] + self.banks[place].sample(rng, int(here.sum()), strategy)
        return drawn

    def redraw(
        self,
        rng: np.random.Generator,
        drawn: Sequence[int],
        boxes: np.ndarray,
        max_enlargement: float,
        allowed: Callable[[int], bool] | None = None,
    ) -> list[int]:
        """As `SegmentBank.redraw`; new segments come from the same banks as the old ones."""
        banks, own = np.array([self.origin(index) for index in drawn], np.int64).reshape(-1, 2).T
        chosen, boxes = np.array(drawn, np.int64), np.asarray(boxes, float)
        for place in np.unique(banks).tolist():
            here, start = banks == place, int(self._starts[place])
            fits = None if allowed is None else partial(_allowed_from, allowed, start)
            chosen[here] = self.banks[place].redraw(rng, own[here], boxes[here], max_enlargement, fits)
            chosen[here] += start
        return chosen.tolist()

    def origin(self, index: int) -> tuple[int, int]:
        """Which bank a segment is from, and its index there.

        Raises:
            IndexError: If there is no such segment.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in [0, {len(self)}), but got {index}.")
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        return place, int(index - self._starts[place])

    @cached_property
    def fingerprint(self) -> str:
        """As `SegmentBank.fingerprint`, of all banks and their weights."""
        return combined([bank.fingerprint for bank in self.banks], self._edges)

    @property
    def has_source_sizes(self) -> bool:
        """As `SegmentBank.has_source_sizes`, of all banks."""
        return all(bank.has_source_sizes for bank in self.banks)

    def file(self, index: int) -> str:
        """As `SegmentBank.file`."""
        place, index = self.origin(index)
        return self.banks[place].file(index)

    def record(self, index: int) -> SegmentRecord:
        """As `SegmentBank.record`."""
        place, index = self.origin(index)
        return self.banks[place].record(index)

    def outline(self, index: int) -> SegmentInfo:
        """As `SegmentBank.outline`."""
        place, index = self.origin(index)
        return self.banks[place].outline(index)

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """As `SegmentBank.load`."""
        place, index = self.origin(index)
        return self.banks[place].load(index, at_least)


def _allowed_from(allowed: Callable[[int], bool], start: int, index: int) -> bool:
    """Whether a segment may be drawn, by its index in a bank that begins at ``start``."""
    return allowed(start + index)
