"""Random draws in training that depend on nothing but (run seed; purpose, image, visit).

A hook shares the run seed and the epoch with the model and with the transforms in the data workers, so that an image is
seen differently from epoch to epoch, and yet no draw depends on the number of workers or on a restart.
"""

from multiprocessing import Value
from typing import Any

import numpy as np

from sos_mm.seeding import Purpose, generator

# Repetitions of a data set within an epoch that can be told apart.
_MOST_REPEATS = 2**20


class RunRandomness:
    """The run seed, and the current epoch in memory that data workers share, persistent ones too.

    Args:
        run_seed: The run seed.
        by_epoch: Whether the run counts epochs. Where it counts iterations, indices must know their visits.
    """

    def __init__(self, run_seed: int, by_epoch: bool = True):
        self.run_seed, self.by_epoch = run_seed, by_epoch
        self._epoch = Value("q", 0, lock=False)

    @property
    def epoch(self) -> int:
        """The epoch that the main process is in.

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
        """Returns the generator of one purpose for one image in this epoch, or for the visit that its index knows."""
        visit = getattr(image_index, "visit", None)
        return generator(self.run_seed, purpose, image_index, self.epoch if visit is None else visit)


class RepeatIndex(int):
    """The index of an image, and which visit to it this is, as a sampler counts them.

    A sampler that yields these, and says so by ``counts_visits = True``, makes draws independent of epochs: of loops
    that count iterations, of sources that are seen more often than others. Data set wrappers compute with indices,
    hence the operators.

    Args:
        index: The index.
        visit: How often the image was visited before; None if nobody counted.
    """

    visit: int | None

    def __new__(cls, index: int, visit: int | None = None):  # noqa: D102
        made = super().__new__(cls, index)
        made.visit = visit
        return made

    def __getnewargs__(self) -> Any:
        return int(self), self.visit

    def __sub__(self, other: int) -> "RepeatIndex":
        """As a ``ConcatDataset`` computes the index in one of its data sets."""
        return RepeatIndex(int(self) - other, self.visit)

    def __mod__(self, length: int) -> "RepeatIndex":
        """As a ``RepeatDataset`` computes it; each repetition within a visit is a visit of its own."""
        if self.visit is None:
            return RepeatIndex(int(self) % length)
        return RepeatIndex(int(self) % length, self.visit * _MOST_REPEATS + int(self) // length)


class DrawsFromRun:
    """Mixin of models and transforms that draw: :class:`VisitHook` gives them their ``draws``."""

    draws: RunRandomness | None = None

    def draw(self, purpose: Purpose, image_index: int) -> np.random.Generator:
        """Returns the generator of one purpose for one image in this epoch, or for the visit that its index knows.

        Raises:
            RuntimeError: If nothing shared the run's seed and epoch.
        """
        if self.draws is None:
            raise RuntimeError(
                f"{type(self).__name__} draws at random, but was given no run seed and epoch: "
                "add `custom_hooks = [dict(type='sos_mm.VisitHook')]` to the config."
            )
        return self.draws.generator(purpose, image_index)
