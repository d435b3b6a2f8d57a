"""A bank of segments: their records, random draws from them in constant time, and a cache of their pixels."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np

from sos_mm.checks import few
from sos_mm.errors import ErrorCollector
from sos_mm.pixel_cache import PixelCache
from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.index.copies import PackedCopy
from sos_mm.segments.index.fingerprint import combined
from sos_mm.segments.listed import ListedRecords
from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.quality import Filters
from sos_mm.segments.readers.release import read_release_layout
from sos_mm.segments.record import SegmentInfo, SegmentRecord
from sos_mm.segments.sample import SAMPLE_FOLDER, sample_group
from sos_mm.segments.sampler import SegmentSampler
from sos_mm.segments.segment import Segment
from sos_mm.segments.selection import Selection
from sos_mm.segments.table import RecordTable
from sos_mm.segments.vocabulary import category_ids, wanted_categories


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
        self.records: RecordTable = cast(RecordTable, records) if hasattr(records, "info") else ListedRecords(records)
        self.skipped: dict[str, int] = dict(self._faults.counts + Counter(self.records.skipped))
        self.categories: tuple[str, ...] = self.records.categories
        self.category_weights = None if category_weights is None else dict(category_weights)
        self.category_pairs = None if category_pairs is None else category_pairs.within(self.categories)
        self._sampler = SegmentSampler(self.records, self.category_weights, self.category_pairs)
        self._cache: PixelCache[Segment] = PixelCache(cache_bytes, attrgetter("rgba.nbytes"))

    def __reduce__(self):
        settings = self.category_weights, self._faults, self.category_pairs
        return SegmentBank, (self.records, self._cache.cache_bytes, *settings)

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
        return SegmentBank(part, self._cache.cache_bytes, self.category_weights, faults, self.category_pairs)

    def weighted(
        self, category_weights: Mapping[str, float], category_pairs: CategoryPairs | None = None
    ) -> "SegmentBank":
        """Returns the same bank with these weights and pairs of categories for the strategy 'weighted'.

        Raises:
            ValueError: If a weight is negative or all are 0, or a pair names a category that the bank lacks.
        """
        if category_pairs is not None:
            category_pairs.check_categories(self.categories)
        return SegmentBank(self.records, self._cache.cache_bytes, category_weights, self._faults, category_pairs)

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
        return self._sampler.sample(rng, number, strategy)

    def draw_of(self, rng: np.random.Generator, category: str) -> int:
        """Draws a segment of a category uniformly; returns its index.

        Raises:
            KeyError: If the bank has no such category.
        """
        return self._sampler.draw_of(rng, category)

    @property
    def sized(self) -> bool:
        """Whether `info` is cheap: the segments are in an index, or all of them have been measured."""
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
        if not self.sized:
            return [int(index) for index in drawn]
        return self._sampler.redraw(rng, drawn, boxes, max_enlargement, allowed)

    @cached_property
    def fingerprint(self) -> str:
        """Content hash of the bank, 64 hexadecimal digits; independent of the folders of the files.

        It depends on the segments' order, ids, texts, annotated flags and outlines, on the names and sizes of their
        files or their offsets in shards, on the category weights and pairs, and on the sizes of the
        multi-resolution copies. An index stores it; for a list, the size of every file is read.

        Raises:
            FileNotFoundError: If a file is missing; names it.
        """
        own = self.records.fingerprint
        if self._sampler.edges is not None:
            own = combined(own, self._sampler.edges)
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

    def info(self, index: int) -> SegmentInfo:
        """Returns the size and category of a segment; decodes it only if it has not been measured.

        Raises:
            IndexError: If there is no such segment.
            FileNotFoundError, ValueError: If it had to be decoded, and its file is missing or broken.
        """
        index = self._checked(index)
        known = self.records.info(index)
        if known is not None:
            return known
        segment = self.load(index)
        return SegmentInfo(segment.size, segment.category, segment.source_size, segment.cut_sides)

    def load(self, index: int, at_least: tuple[int, int] | None = None) -> Segment:
        """Decodes a segment, or takes it from the cache; transparent margins are trimmed.

        Args:
            index: Index of the segment.
            at_least: Height and width in pixels to which it will be scaled. Allows a copy of lower resolution: the
                smallest one with at least twice as many pixels a side, or with the size of the segment. Its ``size`` is
                still that of the full segment. None loads the segment's own pixels.

        Raises:
            IndexError: If there is no such segment.
            FileNotFoundError, ValueError: If its file is missing or broken; names it.
        """
        index, copy = self._checked(index), None
        if at_least is not None and min(at_least) < 1:
            raise ValueError(f"`at_least` must be a height and a width of at least 1, but got {at_least}.")
        if at_least is not None and self.records.copies:
            copy = self.records.copy(index, at_least)
        return self._cache.get((index, copy and copy.size), lambda: self._decode(index, copy))

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be in [0, {len(self)}), but got {index}.")
        return int(index)

    def _decode(self, index: int, copy: PackedCopy | None) -> Segment:
        record = self.records[index]
        return record.read() if copy is None else record.segment(self.records.read_copy(copy), copy.full_size)
