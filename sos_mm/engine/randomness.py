"""Random draws in training that depend only on (run seed; purpose, image, visit).

A hook shares the run seed and the epoch with the model and with the transforms in the data workers, so that an image is
augmented differently in each epoch, and yet no draw depends on the number of workers or on a restart.
"""

from multiprocessing import Value
from typing import Any

import numpy as np

from sos_mm.seeding import Purpose, generator

# Largest number of distinguishable repetitions of a data set within an epoch.
_MOST_REPEATS = 2**20


class RunRandomness:
    """The run seed, and the current epoch in memory shared with the data workers, persistent ones too.

    Args:
        run_seed: The run seed.
        by_epoch: Whether the run counts epochs. If it counts iterations, indices must carry their visits.
    """

    def __init__(self, run_seed: int, by_epoch: bool = True):
        self.run_seed, self.by_epoch = run_seed, by_epoch
        self._epoch = Value("q", 0, lock=False)

    @property
    def epoch(self) -> int:
        """The current epoch of the main process.

        Raises:
            RuntimeError: If the run counts iterations.
        """
        if not self.by_epoch:
            raise RuntimeError(
                "A run that counts iterations has no epochs. Options that go by epoch, and indices that lost their "
                "visit on the way, need `train_cfg = dict(by_epoch=True, max_epochs=...)`."
            )
        return self._epoch.value

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.value = epoch

    def generator(self, purpose: Purpose, image_index: int) -> np.random.Generator:
        """Returns the generator of one purpose for one image, in this epoch or for the visit of its index."""
        visit = getattr(image_index, "visit", None)
        return generator(self.run_seed, purpose, image_index, self.epoch if visit is None else visit)


class RepeatIndex(int):
    """The index of an image with the number of its visit, as a sampler counts them.

    A sampler that yields these, with the attribute ``counts_visits = True``, makes draws independent of epochs: for
    iteration-based loops, and for sources that are sampled more often than others. Data set wrappers compute with
    indices, hence the operators.

    Args:
        index: The index.
        visit: How often the image was sampled before; None if it was not counted.
    """

    visit: int | None

    def __new__(cls, index: int, visit: int | None = None):  # noqa: D102
        made = super().__new__(cls, index)
        made.visit = visit
        return made

    def __getnewargs__(self) -> Any:
        return int(self), self.visit

    def __sub__(self, other: int) -> "RepeatIndex":
        """Computes the index in a part of a ``ConcatDataset``."""
        return RepeatIndex(int(self) - other, self.visit)

    def __mod__(self, length: int) -> "RepeatIndex":
        """Computes the index in a ``RepeatDataset``; each repetition within a visit counts as a separate visit."""
        if self.visit is None:
            return RepeatIndex(int(self) % length)
        return RepeatIndex(int(self) % length, self.visit * _MOST_REPEATS + int(self) // length)


class DrawsFromRun:
    """Mixin of models and transforms that draw at random: :class:`VisitHook` sets their ``draws``."""

    draws: RunRandomness | None = None

    def draw(self, purpose: Purpose, image_index: int) -> np.random.Generator:
        """Returns the generator of one purpose for one image, in this epoch or for the visit of its index.

        Raises:
            RuntimeError: If the run's seed and epoch have not been shared.
        """
        if self.draws is None:
            raise RuntimeError(
                f"{type(self).__name__} draws at random, but was given no run seed and epoch: "
                "add `custom_hooks = [dict(type='sos_mm.VisitHook')]` to the config."
            )
        return self.draws.generator(purpose, image_index)
