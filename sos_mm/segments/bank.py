"""A bank of segments: an index, and draws from it in constant time."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from sos_mm.checks import check_choice
from sos_mm.segments.cache import ByteCache
from sos_mm.segments.sample import SAMPLE_FOLDER, sample_group
from sos_mm.segments.segment import Segment
from sos_mm.segments.sources import SegmentRecord, read_release_layout

STRATEGIES = ("category", "uniform")


class SegmentBank:
    """Segments to draw from.

    Args:
        records: What is in it; grouped by category inside, so that ``bank.records`` may have another order.
        cache_bytes: Decoded pixels to keep in memory.

    Raises:
        ValueError: If there are no records.
    """

    def __init__(self, records: Sequence[SegmentRecord], cache_bytes: int = 128 * 2**20):
        if not records:
            raise ValueError("`records` must name at least one segment, but got none: is a filter too strict?")
        self.records = sorted(records, key=lambda record: record.category)
        names, starts, counts = np.unique(
            [record.category for record in self.records], return_index=True, return_counts=True
        )
        self.categories: tuple[str, ...] = tuple(map(str, names))
        self._starts, self._counts = starts, counts
        self._cache = ByteCache(cache_bytes)

    @classmethod
    def from_release_layout(
        cls,
        root: str | Path,
        metadata: str | Path,
        include: Collection[str] | None = None,
        allow_missing: bool = False,
    ) -> "SegmentBank":
        """A bank over files laid out as the released SOS segments; see `read_release_layout`."""
        return cls(read_release_layout(root, metadata, include, allow_missing))

    @classmethod
    def sample_bank(cls, group: str = "train") -> "SegmentBank":
        """The bundled bank: its group 'train', its group 'held_out', or 'all'."""
        include = sample_group("segments", group)
        return cls.from_release_layout(SAMPLE_FOLDER / "segments", SAMPLE_FOLDER / "metadata.json", include)

    def __len__(self) -> int:
        return len(self.records)

    def sample(self, rng: np.random.Generator, number: int, strategy: str = "category") -> np.ndarray:
        """Draws segments with replacement.

        Args:
            rng: Where the draws come from.
            number: How many to draw.
            strategy: 'category' draws a category uniformly and then one of its segments uniformly, so that
                rare categories are seen as often as common ones; 'uniform' draws over all segments.

        Returns:
            (number,) int64 indices for `load`.
        """
        check_choice("strategy", strategy, STRATEGIES)
        if strategy == "uniform":
            return rng.integers(len(self), size=number)
        category = rng.integers(len(self.categories), size=number)
        return self._starts[category] + rng.integers(self._counts[category])

    def load(self, index: int) -> Segment:
        """Decodes a segment, or remembers it; transparent margins are trimmed away.

        Raises:
            IndexError: If there is no such segment.
            FileNotFoundError, ValueError: If its file is gone or broken; names it.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in [0, {len(self)}), but got {index}.")
        return self._cache.get(int(index), self.records[index].read, lambda segment: segment.rgba.nbytes)
