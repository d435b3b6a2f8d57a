"""Samplers that draw batches from several data sets at fixed ratios; one data set defines the epochs."""

from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

from sos_mm.checks import check_choice
from sos_mm.detection.source_schedule import ScheduledSamples, SourceSchedule
from sos_mm.engine.randomness import RepeatIndex
from sos_mm.seeding import Purpose, generator


@DATA_SAMPLERS.register_module()
class SourceRatioSampler(Sampler):
    """Samples from the data sets of a ``ConcatDataset`` at fixed ratios; an epoch is one pass over one of them, the
    clock.

    Extends mmdet's `MultiSourceSampler` to epochs, and to ratios that do not divide a batch: after every step of the
    run, the number of samples of each source, over all processes, differs from its share by less than one. Every image
    of the clock occurs at least once in an epoch (some twice if the last step must be filled; which ones rotates over
    the epochs), so epochs have the same length on every process. Passes over the other sources restart in a new order
    whenever they end. A source that is smaller than its share of a step is repeated within it, unless
    ``small_sources='error'``.

    Indices are `sos_mm.engine.randomness.RepeatIndex`: their visit counts how often the image was sampled before in the
    run, so that ``SegmentPaste`` and other transforms draw differently however often a source is repeated.

    Use it with ``batch_sampler=None`` or with `SourceRatioBatchSampler`. mmdet's `AspectRatioBatchSampler`, which base
    configs often have, collects batches until they are full and so loses the ratios: it raises an error.

    ``set_epoch(e)`` selects the samples of epoch ``e`` independently of earlier calls, so a resumed run continues
    exactly. ``skip`` does the same within an epoch. Both need the seed of the start of the run. Set it in the config,
    ``randomness = dict(seed=0)``, or use `sos_mm.VisitHook`, which restores it from the checkpoint: otherwise mmengine
    draws a new seed before it reads the checkpoint, and a resumed run starts a new sequence.

    Args:
        dataset: A ``ConcatDataset``, of mmengine or with the same attributes.
        batch_size: Number of samples of a process in one step: the data loader's ``batch_size``.
        source_ratio: The relative share of each data set, over 0, such as ``[6, 3, 1]``.
        clock: Index, from 0, of the data set whose passes are the epochs.
        small_sources: 'repeat', or 'error' to reject a source that is smaller than its share of a step.
        shuffle: Whether to shuffle each pass.
        seed: Seed, equal on all processes. mmengine passes the run's; one is drawn and shared if None.

    Raises:
        TypeError: If ``dataset`` has no data sets.
        ValueError: If an option is invalid, a data set is empty, or one is too small with ``small_sources='error'``.
    """

    counts_visits = True

    def __init__(
        self,
        dataset,
        batch_size: int,
        source_ratio: list[float],
        clock: int = 0,
        small_sources: str = "repeat",
        shuffle: bool = True,
        seed: int | None = None,
    ):
        if not hasattr(dataset, "datasets") or not hasattr(dataset, "cumulative_sizes"):
            raise TypeError(f"`dataset` must be a ConcatDataset of the sources, but got {type(dataset).__name__}.")
        if not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(f"`batch_size` must be an integer over 0, but got {batch_size!r}.")
        check_choice("small_sources", small_sources, ("repeat", "error"))
        self.rank, self.world_size = get_dist_info()
        self.batch_size, self.sources = batch_size, dataset
        seed = sync_random_seed() if seed is None else seed
        sizes = [len(each) for each in dataset.datasets]
        self.schedule = SourceSchedule(sizes, source_ratio, batch_size * self.world_size, clock, seed, shuffle)
        self.dataset_starts = np.cumsum([0, *sizes[:-1]])
        self._epoch = self._skipped_epochs = self._skipped_samples = 0
        if small_sources == "error":
            self._refuse_small_sources(sizes)

    def _refuse_small_sources(self, sizes: list[int]) -> None:
        for source, most in enumerate(self.schedule.most_in_a_step().tolist()):
            if sizes[source] < most:
                raise ValueError(
                    f"Source {source} (counted from 0) has {sizes[source]} images, but a step takes {most}: lower its "
                    "`source_ratio` or `batch_size`, or repeat its images with `small_sources='repeat'`."
                )

    @property
    def dataset(self):
        """Raises an error, since code that reads this attribute of mmengine's samplers would form batches of its own.

        Raises:
            RuntimeError: Always; the message names the alternatives.
        """
        raise RuntimeError(
            "SourceRatioSampler must be used with `batch_sampler=None` or "
            "`batch_sampler=dict(type='sos_mm.SourceRatioBatchSampler')`: AspectRatioBatchSampler and the like collect "
            "batches of their own and lose the ratios."
        )

    @property
    def seed(self) -> int:
        """Seed of the order; a new value takes effect in the next iteration."""
        return self.schedule.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.schedule.seed = seed

    @property
    def epoch(self) -> int:
        """Epoch of the next iteration."""
        return self._epoch + self._skipped_epochs

    def set_epoch(self, epoch: int) -> None:
        """Selects the epoch, counted from 0, or from the epoch that was skipped to."""
        self._epoch = epoch

    def skip(self, num_samples: int) -> None:
        """Skips to a position in the run, at which the next iteration starts.

        Args:
            num_samples: Number of samples of this process since the start of the run, independent of earlier
                iterations.

        Raises:
            ValueError: If it is below 0.
        """
        if num_samples < 0:
            raise ValueError(f"`num_samples` must be at least 0, but got {num_samples}.")
        self._epoch = 0
        self._skipped_epochs, self._skipped_samples = divmod(num_samples, len(self))

    def __len__(self) -> int:
        """Returns the number of samples of this process in an epoch."""
        return self.schedule.steps * self.batch_size

    def __iter__(self) -> Iterator[RepeatIndex]:
        draws = self.schedule.epoch(self.epoch)
        mine = self.batches().reshape(-1)[self.take_skipped() :]
        indices = draws.indices[mine] + self.dataset_starts[draws.sources[mine]]
        yield from map(RepeatIndex, indices.tolist(), draws.visits[mine].tolist())

    def batches(self) -> np.ndarray:
        """Returns the positions of this process's batches in the epoch's sequence, (steps, batch_size) int64."""
        positions = np.arange(self.schedule.steps * self.schedule.step)
        return positions.reshape(self.schedule.steps, self.world_size, self.batch_size)[:, self.rank]

    def take_skipped(self) -> int:
        """Returns how many samples of the epoch to skip, and resets it."""
        skipped, self._skipped_samples = self._skipped_samples, 0
        return skipped


@DATA_SAMPLERS.register_module()
class SourceRatioBatchSampler(BatchSampler):
    """Batches of a `SourceRatioSampler` whose images are, as far as possible, all portrait or all landscape.

    An epoch has the same samples, and every batch as many of each source, as without it; only the order within each
    source changes. So no sample is dropped and the ratios hold. Towards the end of an epoch, and if sources differ in
    their share of portrait images, some batches are mixed. Before the first epoch it reads the size of each drawn image
    once.

    Args:
        sampler: The `SourceRatioSampler`.
        batch_size: Its ``batch_size``; a data loader built by mmengine passes its own.
        drop_last: Whether to drop an incomplete batch; has no effect, since all batches are complete.

    Raises:
        TypeError: If ``sampler`` has another type.
        ValueError: If ``batch_size`` differs from the sampler's.
    """

    def __init__(self, sampler: SourceRatioSampler, batch_size: int, drop_last: bool = False):
        if not isinstance(sampler, SourceRatioSampler):
            raise TypeError(f"`sampler` must be a SourceRatioSampler, but got {type(sampler).__name__}.")
        if batch_size != sampler.batch_size:
            raise ValueError(f"`batch_size` must be that of the sampler, {sampler.batch_size}, but got {batch_size}.")
        super().__init__(sampler, batch_size, drop_last)
        # By index in the concatenated data set: 1 for landscape, 0 for portrait, -1 for not known yet.
        self._shapes = np.full(sum(sampler.schedule.sizes), -1, np.int8)

    def __len__(self) -> int:
        """Returns the number of batches of this process in an epoch."""
        return self.sampler.schedule.steps

    def __iter__(self) -> Iterator[list[RepeatIndex]]:
        sampler, epoch = self.sampler, self.sampler.epoch
        skipped = sampler.take_skipped()
        if skipped % self.batch_size:
            raise ValueError(f"`skip` must go to the start of a batch of {self.batch_size}, but went to {skipped}.")
        draws = sampler.schedule.epoch(epoch)
        indices = draws.indices + sampler.dataset_starts[draws.sources]
        rng = generator(sampler.seed, Purpose.SOURCE_ORDER, len(sampler.schedule.sizes) + 1, epoch)
        order = _grouped(draws, self._wide(indices), self.batch_size, rng)
        for positions in order[sampler.batches()][skipped // self.batch_size :]:
            yield list(map(RepeatIndex, indices[positions].tolist(), draws.visits[positions].tolist()))

    def _wide(self, indices: np.ndarray) -> np.ndarray:
        """Returns (N,) int8: whether each image is at least as wide as high."""
        unknown = np.unique(indices)
        for index in unknown[self._shapes[unknown] < 0].tolist():
            info = self.sampler.sources.get_data_info(index)
            if "width" not in info or "height" not in info:
                raise ValueError(f"Images must have `width` and `height` to be grouped, but {index} of them has not.")
            self._shapes[index] = info["width"] >= info["height"]
        return self._shapes[indices]


def _grouped(draws: ScheduledSamples, wide: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Computes an order, (N,) int64, in which batches of all processes have images of one orientation wherever
    possible.

    A batch gets the orientation of which every source still has enough images. If that holds for both or neither, it is
    drawn in proportion to the remaining images of each.
    """
    number = int(draws.sources.max()) + 1
    left = [[np.flatnonzero((draws.sources == s) & (wide == w)).tolist()[::-1] for w in (0, 1)] for s in range(number)]
    needs = [np.bincount(batch, minlength=number).tolist() for batch in draws.sources.reshape(-1, batch_size)]
    order: list[int] = []
    for need, chance in zip(needs, rng.random(len(needs)).tolist(), strict=True):
        enough = [all(len(left[s][w]) >= need[s] for s in range(number)) for w in (0, 1)]
        totals = [sum(len(each[w]) for each in left) for w in (0, 1)]
        shape = enough[1] if enough[0] != enough[1] else chance * sum(totals) < totals[1]
        for source, count in enumerate(need):
            first, second = left[source][shape], left[source][not shape]
            order += [(first or second).pop() for _ in range(count)]
    return np.array(order, np.int64)
