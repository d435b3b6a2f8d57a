"""A bank of segments: an index of records, and random draws from it in constant time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain, zip_longest
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from cachetools import LRUCache

from sos_mm.checks import check_choice, check_names, few
from sos_mm.errors import ErrorCollector
from sos_mm.segments.enlargement import enlargement
from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.index.fingerprint import combined
from sos_mm.segments.listed import ListedRecords
from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.quality import Filters
from sos_mm.segments.readers.release import read_release_layout
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.sample import SAMPLE_FOLDER, sample_group
from sos_mm.segments.segment import Segment
from sos_mm.segments.selection import Selection
from sos_mm.segments.table import RecordTable
from sos_mm.segments.vocabulary import category_ids, category_key, find_categories, read_vocabulary

STRATEGIES = ("category", "uniform", "weighted", "single_category")
# Candidates that 'single_category' examines for each segment, to find different kinds.
_CANDIDATES = 8
# Candidates that `redraw` examines to find a segment that is large enough.
_REDRAWS = 12


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

    def outline(self, index: int) -> SegmentInfo:
        """Returns the size and category of a segment, which is what a layout needs."""

    def record(self, index: int) -> SegmentRecord:
        """Returns the record of a segment: the position of its pixels on disk, and its texts."""

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """Decodes a segment, or a reduced copy of at least a height and width."""


class SegmentBank:
    """A bank of segments, from which they are drawn at random and decoded.

    Args:
        records: The records of its segments. They are grouped by category, so ``bank.records`` may be in another order.
        cache_bytes: Limit of the cache of decoded pixels, in bytes.
        category_weights: Relative weights of the categories for the strategy 'weighted'; 1 for categories without one.
        faults: Errors of segments that were left out before.
        category_pairs: Pairs of categories that the strategy 'weighted' puts into one image; those of which the bank
            lacks a category are left out.

    Attributes:
        records: All records, sorted by category.
        categories: Names, sorted.
        skipped: Number of segments that were left out, by reason: broken ones, and those that a limit of their reader
            excludes. Includes the segments that were left out when the index was built.
        faults: Error message of each broken segment met in this run; each names its file.

    Raises:
        ValueError: If there are no records, or a weight is negative or all are 0.
    """

    def __init__(
        self,
        records: RecordTable | Sequence[SegmentRecord],
        cache_bytes: int = 128 * 2**20,
        category_weights: Mapping[str, float] | None = None,
        faults: ErrorCollector | None = None,
        category_pairs: CategoryPairs | None = None,
    ):
        if not len(records):
            raise ValueError("`records` must name at least one segment, but got none: is a filter too strict?")
        self._faults = faults or ErrorCollector()
        self.faults: tuple[str, ...] = tuple(self._faults.texts)
        self.records: RecordTable = (
            cast(RecordTable, records) if hasattr(records, "outline") else ListedRecords(records)
        )
        self.skipped: dict[str, int] = dict(self._faults.counts + Counter(self.records.skipped))
        self.categories: tuple[str, ...] = self.records.categories
        self._counts = self.records.counts
        self._starts = np.cumsum(self._counts) - self._counts
        self.category_weights = None if category_weights is None else dict(category_weights)
        self._edges = None if category_weights is None else _edges(self.categories, category_weights)
        self.category_pairs = None if category_pairs is None else category_pairs.within(self.categories)
        self._cache: LRUCache = LRUCache(cache_bytes, lambda segment: segment.rgba.nbytes)

    def __reduce__(self):
        # A process that gets a copy starts with an empty cache instead of megabytes of pixels.
        settings = self.category_weights, self._faults, self.category_pairs
        return SegmentBank, (self.records, self._cache.maxsize, *settings)

    @classmethod
    def from_release_layout(
        cls,
        root: str | Path,
        metadata: str | Path,
        include: Collection[str] | None = None,
        allow_missing: bool = False,
    ) -> "SegmentBank":
        """Builds a bank from files in the layout of the released SOS segments; see `read_release_layout`."""
        return cls(read_release_layout(root, metadata, include, allow_missing))

    @classmethod
    def sample_bank(cls, group: str = "train", include: Collection[str] | None = None) -> "SegmentBank":
        """Opens the bundled bank.

        Args:
            group: 'train', 'held_out' or 'all'.
            include: ``"<category>/<sub-category>"`` names of the segments of the group to take; all if None.

        Raises:
            ValueError: If there is no such group, or a name is not in it.
        """
        names = sample_group("segments", group)
        unknown = set(include or ()) - set(names)
        if unknown:
            raise ValueError(
                f"`include` names {few(unknown)}, but the group {group!r} of the sample has no such segments."
            )
        include = names if include is None else include
        return cls.from_release_layout(SAMPLE_FOLDER / "segments", SAMPLE_FOLDER / "metadata.json", include)

    @classmethod
    def from_index(cls, path: str | Path, root: str | Path | None = None) -> "SegmentBank":
        """Opens a bank from the index file that `build_index` wrote; see `IndexedRecords`."""
        return cls(IndexedRecords(path, root))

    def __len__(self) -> int:
        return len(self.records)

    def select(
        self,
        filters: Filters | None = None,
        vocabulary: str | Path | Iterable[str] | None = None,
        attributes: Iterable[str] = (),
        broken: str = "error",
    ) -> "SegmentBank":
        """Returns a bank of the segments that pass the filters.

        Args:
            filters: Filters that a segment must pass. Filters on pixel measurements read all segments that are not
                measured yet.
            vocabulary: Categories to keep. 'coco', 'lvis' or an annotation file keep the categories that both have;
                names in a list must all be in the bank.
            attributes: Words that must be among the attributes of each segment.
            broken: What to do with broken segments met while measuring: 'error', or 'skip', which counts them.

        Raises:
            ValueError: If a name is not in the bank (says the nearest one), if nothing is left, or as
                `Filters.keep` does.
        """
        categories = None if vocabulary is None else wanted_categories(vocabulary, self.categories)
        if categories == ():
            has = few(self.categories)
            raise ValueError(f"`vocabulary` must name categories of the bank, which has {has}, but got {vocabulary!r}.")
        selection = Selection(filters, categories, tuple(attributes))
        faults = ErrorCollector(broken, self._faults)
        measured = self.records.measured(faults) if filters and filters.measured else self.records
        part = measured.select(selection)
        if not len(part):
            raise ValueError(f"The bank must keep at least one segment, but none of {len(self)} passes {selection}.")
        return SegmentBank(part, int(self._cache.maxsize), self.category_weights, faults, self.category_pairs)

    def weighted(
        self, category_weights: Mapping[str, float], category_pairs: CategoryPairs | None = None
    ) -> "SegmentBank":
        """Returns the same bank with these weights and pairs of categories for the strategy 'weighted'.

        Raises:
            ValueError: If a weight is negative or all are 0, or a pair names a category that the bank lacks.
        """
        if category_pairs is not None:
            category_pairs.check_categories(self.categories)
        return SegmentBank(self.records, int(self._cache.maxsize), category_weights, self._faults, category_pairs)

    def category_ids(self, vocabulary: Any = None) -> dict[str, int]:
        """Returns the id of each category in a vocabulary; see `category_ids`."""
        return category_ids(self.categories, vocabulary)

    def sample(self, rng: np.random.Generator, number: int, strategy: str = "category") -> np.ndarray:
        """Draws segments at random: with replacement, except for 'single_category'.

        Args:
            rng: Where the draws come from.
            number: How many to draw.
            strategy: 'category' draws a category uniformly and then one of its segments uniformly, so that
                rare categories are seen as often as common ones; 'uniform' draws over all segments;
                'weighted' draws a category by the bank's weights and then one of its segments uniformly, and
                replaces two segments by a pair of the bank's `CategoryPairs`, if it has any;
                'single_category' draws one category that has more than one segment (if there is one) and
                all segments from it, of as many kinds (sub-categories, attributes) as possible, and repeats
                segments only if the category has too few.

        Returns:
            (number,) int64 indices for `load`.

        Raises:
            ValueError: If there is no such strategy, or the bank has no weights for 'weighted'.
        """
        if strategy not in STRATEGIES:
            check_choice("strategy", strategy, STRATEGIES)
        if strategy == "uniform":
            return rng.integers(len(self), size=number)
        if strategy == "single_category":
            return self._draw_single(rng, number)
        draws, within = rng.random((2, number))
        if strategy == "category":
            category = _scaled(draws, len(self.categories))
        elif self._edges is None:
            raise ValueError("`strategy` 'weighted' needs the bank's `category_weights`: give it some.")
        else:
            category = self._edges.searchsorted(draws, side="right")
        drawn = self._starts[category] + _scaled(within, self._counts[category])
        if strategy == "weighted" and self.category_pairs is not None:
            return self.category_pairs.put_into(rng, drawn, self.draw_of)
        return drawn

    def draw_of(self, rng: np.random.Generator, category: str) -> int:
        """Draws a segment of a category uniformly; returns its index.

        Raises:
            KeyError: If the bank has no such category.
        """
        position = self._position_of_key[category_key(category)]
        return int(self._starts[position] + rng.integers(self._counts[position]))

    @cached_property
    def _position_of_key(self) -> dict[str, int]:
        return {category_key(name): position for position, name in enumerate(self.categories)}

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
            kinds[self.records.kind(row)].append(row)
        # Round-robin over the kinds.
        in_turn = [row for row in chain.from_iterable(zip_longest(*kinds.values())) if row is not None]
        return np.resize(np.array(in_turn, np.int64), number)

    @property
    def sized(self) -> bool:
        """Whether `outline` is cheap: the segments are in an index, or all of them have been measured."""
        return self.records.sized

    def redraw(
        self,
        rng: np.random.Generator,
        drawn: Sequence[int],
        boxes: np.ndarray,
        max_enlargement: float,
        allowed: Callable[[int], bool] | None = None,
    ) -> list[int]:
        """Replaces drawn segments that are too small for their boxes by larger ones of the same categories.

        A fixed number of segments of the category is drawn uniformly. The first one that can fill the box is taken, or
        else the one that is enlarged least. Segments whose sizes are not known without decoding stay (see `sized`).

        Args:
            rng: Where the draws come from.
            drawn: (N) indices from `sample`.
            boxes: (N, 2) heights and widths in pixels that the segments are to fit into.
            max_enlargement: Largest factor by which a segment's pixels may be enlarged.
            allowed: Returns whether an index may be drawn; all may if None.

        Returns:
            (N) indices; no index occurs more often than in ``drawn``.
        """
        chosen = [int(index) for index in drawn]
        if not self.sized:
            return chosen
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
        return enlargement(box, self.outline(index).size)

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of the bank, 64 hexadecimal digits; independent of the folders of the files.

        It depends on the segments' order, ids, texts, annotated flags and outlines, on the names and sizes of their
        files or their offsets in shards, on the category weights and pairs, and on the sizes of the reduced copies. An
        index stores it; for a list, the size of every file is read.

        Raises:
            FileNotFoundError: If a file is missing; names it.
        """
        own = self.records.fingerprint
        if self._edges is not None:
            own = combined(own, self._edges)
        return own if self.category_pairs is None else combined(own, asdict(self.category_pairs))

    @property
    def has_source_sizes(self) -> bool:
        """Whether the size of the source image is known for every segment."""
        return self.records.has_source_sizes

    def file(self, index: int) -> str:
        """Returns the path of the file that holds a segment: its own, a tar shard, or the image it is cut out of.

        Raises:
            IndexError: If there is no such segment.
        """
        return self.records.file(self._checked(index))

    def record(self, index: int) -> SegmentRecord:
        """Returns the record of a segment: the position of its pixels on disk, and its texts.

        Raises:
            IndexError: If there is no such segment.
        """
        return self.records[self._checked(index)]

    def outline(self, index: int) -> SegmentInfo:
        """Returns the size and category of a segment; decodes it only if it has not been measured.

        Raises:
            IndexError: If there is no such segment.
            FileNotFoundError, ValueError: If it had to be decoded, and its file is missing or broken.
        """
        index = self._checked(index)
        known = self.records.outline(index)
        if known is not None:
            return known
        segment = self.load(index)
        return SegmentInfo(segment.size, segment.category, segment.source_size)

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """Decodes a segment, or takes it from the cache; transparent margins are trimmed.

        Args:
            index: Index of the segment.
            at_least: Height and width in pixels to which it will be scaled. Allows a reduced copy: the smallest one
                with at least twice as many pixels a side, or with the size of the segment. Its ``size`` is still that
                of the full segment. None loads the segment's own pixels.

        Raises:
            IndexError: If there is no such segment.
            FileNotFoundError, ValueError: If its file is missing or broken; names it.
        """
        index, copy = self._checked(index), None
        if at_least is not None and min(at_least) < 1:
            raise ValueError(f"`at_least` must be a height and a width of at least 1, but got {at_least}.")
        if at_least is not None and self.records.copies:
            copy = self.records.copy(index, at_least)
        key = index, copy and copy.size
        try:
            return self._cache[key]
        except KeyError:
            pass
        segment = self._decode(index, copy)
        # A cache refuses what is larger than all of it.
        if segment.rgba.nbytes <= self._cache.maxsize:
            self._cache[key] = segment
        return segment

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in [0, {len(self)}), but got {index}.")
        return int(index)

    def _decode(self, index: int, copy: PackedCopy | None) -> Segment:
        record = self.records[index]
        return record.read() if copy is None else record.segment(self.records.read_copy(copy), copy.full_size)


def _scaled(draws: np.ndarray, numbers: np.ndarray | int) -> np.ndarray:
    """Converts draws in [0, 1) to integers in [0, number); twice as fast as one range a draw of the generator."""
    # A draw just below 1 may be rounded up to ``numbers``.
    return np.minimum((draws * numbers).astype(np.int64), numbers - 1)


def wanted_categories(vocabulary: str | Path | Iterable[str], categories: Sequence[str]) -> tuple[str, ...]:
    """Returns the categories that a vocabulary names; see `SegmentBank.select`."""
    if not isinstance(vocabulary, str | Path):
        vocabulary = vocabulary if isinstance(vocabulary, Collection) else list(vocabulary)
        check_names("vocabulary", vocabulary)
        return tuple(categories[position] for position in find_categories(vocabulary, categories))
    keys = {category_key(name) for name in read_vocabulary(vocabulary)}
    return tuple(name for name in categories if category_key(name) in keys)


def _edges(categories: Sequence[str], category_weights: Mapping[str, float]) -> np.ndarray:
    _check_numbers("category_weights", category_weights.values())
    by_key = {category_key(name): weight for name, weight in category_weights.items()}
    weights = np.array([by_key.get(category_key(name), 1.0) for name in categories], np.float64)
    return cumulative("category_weights", weights)


def _check_numbers(name: str, values: Iterable[float]) -> None:
    """Raises ValueError unless all values are numbers: numpy would take a text such as '2' for one."""
    for each in values:
        if not isinstance(each, Real) or isinstance(each, bool):
            raise ValueError(f"`{name}` must be numbers, but got {each!r}.")


def cumulative(name: str, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Computes the cumulative distribution of weights, ending with 1, for `searchsorted` on uniform draws.

    Raises:
        ValueError: If a weight is negative or not finite, or all are 0.
    """
    _check_numbers(name, weights)
    values = np.asarray(weights, np.float64)
    if not values.size or not np.isfinite(values).all() or values.min() < 0 or not values.sum():
        raise ValueError(f"`{name}` must be at least 0 and not all 0, but got {values.tolist()[:8]}.")
    edges = np.cumsum(values) / values.sum()
    # The largest possible draw must not fall behind a last weight of 0.
    edges[np.flatnonzero(values)[-1] :] = 1
    return edges
