"""Samplers that draw batches from several data sets at fixed ratios, with one data set as the clock of the epochs."""

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
    """Draws from the data sets of a ``ConcatDataset`` at fixed ratios; an epoch is one pass over one of them.

    mmdet's `MultiSourceSampler` for epochs, and for ratios that its batches cannot hold: after every step of the run,
    each source has had its share of all samples, over all processes together, to within less than one. Every image of
    the clock comes at least once an epoch (some twice where the last step needs filling, in turn over the epochs), so
    epochs have the same length on every process. The other sources are passed over in a new order whenever they end.
    A source that is smaller than its share of a step is repeated within it, unless ``small_sources='error'``.

    Indices are `sos_mm.engine.randomness.RepeatIndex`: their visit counts the times that the image was drawn before in
    the whole run, so that ``SegmentPaste`` and the like draw anew however often a source is repeated.

    Use it with ``batch_sampler=None`` or with `SourceRatioBatchSampler`. mmdet's `AspectRatioBatchSampler`, which base
    configs often have, collects batches until they are full and so loses the ratios: it is refused.

    ``set_epoch(e)`` gives the samples of epoch ``e`` whatever came before, so a run that is resumed goes on as if it
    had not stopped. ``skip`` does so within an epoch. Both need the seed that the run began with. Set it in the config,
    ``randomness = dict(seed=0)``, or have `sos_mm.VisitHook`, which takes it from the checkpoint: without either,
    mmengine draws a new one before it reads the checkpoint, and a resumed run begins a new row.

    Args:
        dataset: A ``ConcatDataset``, mmengine's or one like it.
        batch_size: Samples a process takes in one step: the data loader's ``batch_size``.
        source_ratio: The share of each data set, over 0, such as ``[6, 3, 1]``.
        clock: The data set, from 0, whose passes are the epochs.
        small_sources: 'repeat', or 'error' to refuse a source that is smaller than its share of a step.
        shuffle: Whether to draw the order of each pass.
        seed: The same on all processes. mmengine hands on the run's; one is drawn and shared if None.

    Raises:
        TypeError: If ``dataset`` has no data sets.
        ValueError: If an option is wrong, a data set is empty, or one is too small and that is refused.
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
        """Refused: who asks for it would collect batches of its own.

        Raises:
            RuntimeError: Always; says what to use instead.
        """
        raise RuntimeError(
            "SourceRatioSampler must be used with `batch_sampler=None` or "
            "`batch_sampler=dict(type='sos_mm.SourceRatioBatchSampler')`: AspectRatioBatchSampler and the like collect "
            "batches of their own and lose the ratios."
        )

    @property
    def seed(self) -> int:
        """The seed of the row; another holds from the next iteration on."""
        return self.schedule.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.schedule.seed = seed

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration gives."""
        return self._epoch + self._skipped_epochs

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, counted from 0, or from the one that was skipped to."""
        self._epoch = epoch

    def skip(self, num_samples: int) -> None:
        """Goes to a place in the run: the next iteration begins there.

        Args:
            num_samples: Samples of this process since the beginning of the run, whatever was iterated so far.

        Raises:
            ValueError: If that is below 0.
        """
        if num_samples < 0:
            raise ValueError(f"`num_samples` must be at least 0, but got {num_samples}.")
        self._epoch = 0
        self._skipped_epochs, self._skipped_samples = divmod(num_samples, len(self))

    def __len__(self) -> int:
        """Samples of this process in an epoch."""
        return self.schedule.steps * self.batch_size

    def __iter__(self) -> Iterator[RepeatIndex]:
        draws = self.schedule.epoch(self.epoch)
        mine = self.batches().reshape(-1)[self.take_skipped() :]
        indices = draws.indices[mine] + self.dataset_starts[draws.sources[mine]]
        yield from map(RepeatIndex, indices.tolist(), draws.visits[mine].tolist())

    def batches(self) -> np.ndarray:
        """Returns (steps, batch_size) int64: places in the epoch's row of this process's batches."""
        places = np.arange(self.schedule.steps * self.schedule.step)
        return places.reshape(self.schedule.steps, self.world_size, self.batch_size)[:, self.rank]

    def take_skipped(self) -> int:
        """Returns how many of the epoch's samples to leave out; once."""
        skipped, self._skipped_samples = self._skipped_samples, 0
        return skipped


@DATA_SAMPLERS.register_module()
class SourceRatioBatchSampler(BatchSampler):
    """Batches of a `SourceRatioSampler` whose images are all upright or all wide, as far as possible.

    An epoch has the same samples, and every batch as many of each source, as without it; only the order within each
    source changes. So nothing is dropped and no ratio is lost. Towards the end of an epoch, and where sources differ
    in how many of their images are upright, some batches are mixed. Before the first epoch it asks each source for the
    size of each image that is drawn, once.

    Args:
        sampler: The `SourceRatioSampler`.
        batch_size: Its ``batch_size``; a data loader built by mmengine hands on its own.
        drop_last: Whether to drop a batch that is not full; there never is one.

    Raises:
        TypeError: If ``sampler`` is another.
        ValueError: If ``batch_size`` is another.
    """

    def __init__(self, sampler: SourceRatioSampler, batch_size: int, drop_last: bool = False):
        if not isinstance(sampler, SourceRatioSampler):
            raise TypeError(f"`sampler` must be a SourceRatioSampler, but got {type(sampler).__name__}.")
        if batch_size != sampler.batch_size:
            raise ValueError(f"`batch_size` must be that of the sampler, {sampler.batch_size}, but got {batch_size}.")
        super().__init__(sampler, batch_size, drop_last)
        # By index in the concatenated data set: 1 for wide, 0 for upright, -1 for not asked yet.
        self._shapes = np.full(sum(sampler.schedule.sizes), -1, np.int8)

    def __len__(self) -> int:
        """Batches of this process in an epoch."""
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
        for places in order[sampler.batches()][skipped // self.batch_size :]:
            yield list(map(RepeatIndex, indices[places].tolist(), draws.visits[places].tolist()))

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
    """Returns (N,) int64: an order in which batches, those of all processes, are of one shape wherever they can be.

    A batch takes the shape that every source still has enough of. Where that is both, or neither, it is drawn by how
    many images there are left of each.
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
