"""Random draws of segments that are grouped by category, in constant time."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain, zip_longest

import numpy as np

from sos_mm.checks import check_choice
from sos_mm.formats.phrases import category_key
from sos_mm.segments.enlargement import enlargement
from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.table import RecordTable
from sos_mm.segments.weights import category_edges

STRATEGIES = ("category", "uniform", "weighted", "single_category")
# Candidates that 'single_category' examines for each segment, to find different kinds.
_CANDIDATES = 8
# Candidates that `redraw` examines to find a segment that is large enough.
_REDRAWS = 12


class SegmentSampler:
    """Draws indices of segments from the records of a bank, sorted by category.

    Args:
        records: The records.
        category_weights: Relative weights of the categories for the strategy 'weighted'.
        pairs: Pairs of categories that the strategy 'weighted' puts into one image.

    Attributes:
        edges: Cumulative distribution of the categories by their weights; None without weights.

    Raises:
        ValueError: If a weight is negative or all are 0.
    """

    def __init__(
        self,
        records: RecordTable,
        category_weights: Mapping[str, float] | None,
        pairs: CategoryPairs | None,
    ):
        self._records, self._pairs = records, pairs
        self._counts, self._total = records.counts, len(records)
        self._starts = np.cumsum(self._counts) - self._counts
        self.edges = None if category_weights is None else category_edges(records.categories, category_weights)

    def sample(self, rng: np.random.Generator, number: int, strategy: str) -> np.ndarray:
        """Draws segments; returns (number,) int64 indices. See `SegmentBank.sample` for the strategies."""
        if strategy not in STRATEGIES:
            check_choice("strategy", strategy, STRATEGIES)
        if strategy == "uniform":
            return rng.integers(self._total, size=number)
        if strategy == "single_category":
            return self._draw_single(rng, number)
        draws, within = rng.random((2, number))
        if strategy == "category":
            category = _scaled(draws, len(self._records.categories))
        elif self.edges is None:
            raise ValueError("`strategy` 'weighted' needs the bank's `category_weights`: give it some.")
        else:
            category = self.edges.searchsorted(draws, side="right")
        drawn = self._starts[category] + _scaled(within, self._counts[category])
        if strategy == "weighted" and self._pairs is not None:
            return self._pairs.put_into(rng, drawn, self.draw_of)
        return drawn

    def draw_of(self, rng: np.random.Generator, category: str) -> int:
        """Draws a segment of a category uniformly; returns its index. Raises KeyError if there is none."""
        position = self._position_of_key[category_key(category)]
        return int(self._starts[position] + rng.integers(self._counts[position]))

    @cached_property
    def _position_of_key(self) -> dict[str, int]:
        return {category_key(name): position for position, name in enumerate(self._records.categories)}

    @cached_property
    def _plural(self) -> np.ndarray:
        """Indices of the categories with more than one segment, or of all if there is none."""
        plural = np.flatnonzero(self._counts > 1)
        return plural if plural.size else np.arange(len(self._counts))

    def _draw_single(self, rng: np.random.Generator, number: int) -> np.ndarray:
        category = self._plural[rng.integers(len(self._plural))]
        count = int(self._counts[category])
        looked_at = rng.choice(count, min(count, _CANDIDATES * number), replace=False) + self._starts[category]
        kinds = defaultdict(list)
        for row in looked_at.tolist():
            kinds[self._records.kind(row)].append(row)
        # Round-robin over the kinds.
        in_turn = [row for row in chain.from_iterable(zip_longest(*kinds.values())) if row is not None]
        return np.resize(np.array(in_turn, np.int64), number)

    def redraw(
        self,
        rng: np.random.Generator,
        drawn: Sequence[int],
        boxes: np.ndarray,
        max_enlargement: float,
        allowed: Callable[[int], bool] | None,
    ) -> list[int]:
        """Replaces segments that are too small for their boxes; the records must know all sizes.

        See `SegmentBank.redraw`.
        """
        chosen = [int(index) for index in drawn]
        used = set(chosen)
        for position, box in enumerate(np.asarray(boxes, float).tolist()):
            first = self._enlargement(chosen[position], box)
            if first <= max_enlargement:
                continue
            category = int(self._starts.searchsorted(chosen[position], side="right")) - 1
            draws = self._starts[category] + rng.integers(self._counts[category], size=_REDRAWS)
            best, least = chosen[position], first
            for index in draws.tolist():
                if index in used or (allowed is not None and not allowed(index)):
                    continue
                factor = self._enlargement(index, box)
                if factor < least:
                    best, least = index, factor
                if least <= max_enlargement:
                    break
            used.add(best)
            chosen[position] = best
        return chosen

    def _enlargement(self, index: int, box: Sequence[float]) -> float:
        info = self._records.info(index)
        assert info is not None
        return enlargement(box, info.size)


def _scaled(draws: np.ndarray, numbers: np.ndarray | int) -> np.ndarray:
    """Converts draws in [0, 1) to integers in [0, number); twice as fast as one range a draw of the generator."""
    # A draw just below 1 may be rounded up to ``numbers``.
    return np.minimum((draws * numbers).astype(np.int64), numbers - 1)
