"""Several banks that are drawn from as one."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.formats.phrases import category_key
from sos_mm.segments.index.fingerprint import combined
from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.protocol import Bank
from sos_mm.segments.quality import Filters
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.segment import Segment
from sos_mm.segments.vocabulary import category_ids, wanted_categories
from sos_mm.segments.weights import cumulative


class MixedBank:
    """A weighted mixture of banks, with the interface of `SegmentBank`.

    Args:
        banks: The banks to mix.
        weights: Relative weights of the banks; equal if None.
        category_pairs: Pairs of categories that the strategy 'weighted' puts into one image; those that no bank with a
            weight can provide are left out.

    Attributes:
        categories: Sorted names of all.
        skipped: Number of segments that the banks left out, by reason.
        faults: Error message of each broken segment met in this run.

    Raises:
        ValueError: If there are no banks, or the number of weights differs, or weights are negative or all 0.
    """

    def __init__(
        self,
        banks: Sequence[Bank],
        weights: Sequence[float] | None = None,
        category_pairs: CategoryPairs | None = None,
    ):
        weights = [1.0] * len(banks) if weights is None else list(weights)
        if not banks or len(weights) != len(banks):
            raise ValueError(f"`weights` must be one for each bank, but got {len(weights)} for {len(banks)} banks.")
        self.banks, self.weights = tuple(banks), weights
        self._edges = cumulative("weights", weights)
        self._starts = np.cumsum([0, *map(len, banks)])
        self.categories: tuple[str, ...] = tuple(sorted({name for bank in banks for name in bank.categories}))
        drawable = {name for bank, weight in zip(banks, weights, strict=True) if weight for name in bank.categories}
        self.category_pairs = None if category_pairs is None else category_pairs.within(drawable)
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
        """Selects from every bank as `SegmentBank.select` does.

        A bank that has none of the categories is left out together with its weight.
        """
        names = self.categories if vocabulary is None else wanted_categories(vocabulary, self.categories)
        own = [[name for name in bank.categories if name in names] for bank in self.banks]
        left = [position for position, each in enumerate(own) if each]
        if not left:
            raise ValueError(f"The banks must have categories of the vocabulary, but none is in {vocabulary!r}.")
        banks = [self.banks[position].select(filters, own[position], attributes, broken) for position in left]
        return MixedBank(banks, [self.weights[position] for position in left], self.category_pairs)

    def weighted(
        self, category_weights: Mapping[str, float], category_pairs: CategoryPairs | None = None
    ) -> "MixedBank":
        """Returns the same mixture with these weights of categories, in every bank, and pairs for 'weighted'.

        A bank is drawn by its weight first, and a category of it then.

        Raises:
            ValueError: If the weights of all categories of a bank are 0, or a pair names a category that no bank has.
        """
        if category_pairs is not None:
            category_pairs.check_categories(self.categories)
        return MixedBank([bank.weighted(category_weights) for bank in self.banks], self.weights, category_pairs)

    def category_ids(self, vocabulary: Any = None) -> dict[str, int]:
        """Returns the id of each category in a vocabulary, one table for all banks; see `category_ids`."""
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
        for position in np.unique(bank):
            here = bank == position
            drawn[here] = self._starts[position] + self.banks[position].sample(rng, int(here.sum()), strategy)
        if strategy == "weighted" and self.category_pairs is not None:
            return self.category_pairs.put_into(rng, drawn, self.draw_of)
        return drawn

    def draw_of(self, rng: np.random.Generator, category: str) -> int:
        """Draws a segment of a category: one of the banks that have it by weight, then a segment uniformly.

        Raises:
            ValueError: If no bank with a weight has the category.
        """
        banks = self._banks_of_key.get(category_key(category), [])
        weights = np.zeros(len(self.banks))
        weights[banks] = np.array(self.weights, float)[banks]
        position = int(cumulative("weights", weights).searchsorted(rng.random(), side="right"))
        return int(self._starts[position]) + self.banks[position].draw_of(rng, category)

    @cached_property
    def _banks_of_key(self) -> dict[str, list[int]]:
        """Indices of the banks that have a category, by its key."""
        found: dict[str, list[int]] = {}
        for position, bank in enumerate(self.banks):
            for key in {category_key(name) for name in bank.categories}:
                found.setdefault(key, []).append(position)
        return found

    def redraw(
        self,
        rng: np.random.Generator,
        drawn: Sequence[int],
        boxes: np.ndarray,
        max_enlargement: float,
        allowed: Callable[[int], bool] | None = None,
    ) -> list[int]:
        """Replaces segments as `SegmentBank.redraw` does, each by one of the same bank."""
        banks, own = np.array([self.origin(index) for index in drawn], np.int64).reshape(-1, 2).T
        chosen, boxes = np.array(drawn, np.int64), np.asarray(boxes, float)
        for position in np.unique(banks).tolist():
            here, start = banks == position, int(self._starts[position])
            fits = None if allowed is None else partial(_allowed_from, allowed, start)
            chosen[here] = self.banks[position].redraw(rng, own[here], boxes[here], max_enlargement, fits)
            chosen[here] += start
        return chosen.tolist()

    def origin(self, index: int) -> tuple[int, int]:
        """Returns the index of a segment's bank, and its index in that bank.

        Raises:
            IndexError: If there is no such segment.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in [0, {len(self)}), but got {index}.")
        position = int(np.searchsorted(self._starts, index, side="right")) - 1
        return position, int(index - self._starts[position])

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of all banks, their weights and the pairs, as `SegmentBank.fingerprint`."""
        own = combined([bank.fingerprint for bank in self.banks], self._edges)
        return own if self.category_pairs is None else combined(own, asdict(self.category_pairs))

    @property
    def has_source_sizes(self) -> bool:
        """Whether `SegmentBank.has_source_sizes` is true for all banks."""
        return all(bank.has_source_sizes for bank in self.banks)

    def file(self, index: int) -> str:
        """Returns the file of a segment, as `SegmentBank.file` does."""
        position, index = self.origin(index)
        return self.banks[position].file(index)

    def record(self, index: int) -> SegmentRecord:
        """Returns the record of a segment, as `SegmentBank.record` does."""
        position, index = self.origin(index)
        return self.banks[position].record(index)

    def info(self, index: int) -> SegmentInfo:
        """Returns the size and category of a segment, as `SegmentBank.info` does."""
        position, index = self.origin(index)
        return self.banks[position].info(index)

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """Decodes a segment, as `SegmentBank.load` does."""
        position, index = self.origin(index)
        return self.banks[position].load(index, at_least)


def _allowed_from(allowed: Callable[[int], bool], start: int, index: int) -> bool:
    """Returns whether a segment may be drawn, by its index in the bank whose indices begin at ``start``."""
    return allowed(start + index)
