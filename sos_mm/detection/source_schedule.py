"""The schedule of sources and images of a run at fixed ratios; numpy only.

All samples of a run form one sequence, in which those of the data-parallel processes are interleaved. The sequence
depends only on sizes, ratios, step and seed, so that each process computes it and takes its part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from sos_mm.seeding import Purpose, generator

_LONGEST_PERIOD = 2**20


@dataclass(frozen=True, eq=False)
class ScheduledSamples:
    """A section of the sequence.

    Attributes:
        sources: (N,) int64, index of each sample's source.
        indices: (N,) int64, index of the image in that source.
        visits: (N,) int64, how often that image was sampled before in the run.
    """

    sources: np.ndarray
    indices: np.ndarray
    visits: np.ndarray


class SourceSchedule:
    """A schedule that draws from several sources at fixed ratios; an epoch is one pass over one of them, the clock.

    At every position of the sequence, also across epochs, the number of samples of each source differs from its share
    by less than one. In an epoch every image of the clock occurs at least once. Samples that fill the last step come
    from a second sequence of the clock, so that in the long run its images occur equally often (to within one). Passes
    over the other sources repeat in a new order each time, independent of the epochs.

    Args:
        sizes: Number of images of each source.
        ratios: Their relative shares, over 0; a float stands for its decimal representation.
        step: Number of samples in one training step, over all processes.
        clock: The source whose passes are the epochs.
        seed: Seed of the run, the same on all processes.
        shuffle: Whether to shuffle each pass.

    Raises:
        ValueError: If a source is empty, a ratio is not over 0, their numbers differ, or the period of the ratios is
            more than 2**20 samples.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        ratios: Sequence[float],
        step: int,
        clock: int = 0,
        seed: int = 0,
        shuffle: bool = True,
    ):
        _check(sizes, ratios, clock)
        self.sizes, self.clock, self.seed, self.shuffle, self.step = tuple(sizes), clock, seed, shuffle, step
        self.shares = np.array(_as_integers(ratios), np.int64)
        self.turns = _turns(self.shares.tolist())
        self._counts = np.zeros((len(self.turns) + 1, len(sizes)), np.int64)
        np.cumsum(self.turns[:, None] == np.arange(len(sizes)), axis=0, out=self._counts[1:])
        self.steps = self._steps_of_an_epoch()
        # Complete passes over the clock in every epoch; more than one if it is smaller than its share of a step.
        self._passes = int(self._clock_counts(self.steps).min()) // self.sizes[clock]

    def counts(self, position: int | np.ndarray) -> np.ndarray:
        """Returns how many of the first ``position`` samples of the run come from each source, (..., M) int64."""
        periods, rest = np.divmod(position, len(self.turns))
        return np.asarray(periods)[..., None] * self.shares + self._counts[rest]

    def most_in_a_step(self) -> np.ndarray:
        """Returns the largest number of samples that one step takes from each source, (M,) int64."""
        starts = np.arange(0, lcm(self.step, len(self.turns)), self.step)
        return (self.counts(starts + self.step) - self.counts(starts)).max(axis=0)

    def epoch(self, number: int) -> ScheduledSamples:
        """Returns the samples of one epoch, ``steps * step`` of them."""
        start = number * self.steps * self.step
        stop = start + self.steps * self.step
        sources = self.turns[np.arange(start, stop) % len(self.turns)]
        draws = ScheduledSamples(sources, np.empty_like(sources), np.empty_like(sources))
        firsts, lasts = self.counts(start).tolist(), self.counts(stop).tolist()
        for source, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
            row = self._clock_row(number, first, last) if source == self.clock else self._row(source, first, last)
            draws.indices[sources == source], draws.visits[sources == source] = row
        return draws

    def _clock_row(self, epoch: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and visits of the clock in an epoch: its complete passes, then the samples that fill the last
        step.
        """
        size, passed = self.sizes[self.clock], epoch * self._passes
        indices, visits = self._row(self.clock, passed * size, (passed + self._passes) * size)
        # The second sequence of the clock has the index after the last source.
        filled, fills = first - passed * size, last - (passed + self._passes) * size
        more, again = self._row(len(self.sizes), filled, fills)
        earlier = np.full(size, filled // size)
        earlier[self._order(len(self.sizes), filled // size)[: filled % size]] += 1
        visits = visits + earlier[indices]
        return np.concatenate([indices, more]), np.concatenate([visits, again + passed + self._passes])

    def _row(self, source: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and visits of a source's samples from the ``first`` to before the
        ``last``, over all passes.
        """
        size = self._size(source)
        begin = first // size
        orders = [self._order(source, each) for each in range(begin, -(-last // size))]
        indices = np.concatenate(orders or [np.empty(0, np.int64)])[first - begin * size : last - begin * size]
        return indices, np.arange(first, last) // size

    def _order(self, source: int, number: int) -> np.ndarray:
        """Returns the order of one pass over a source."""
        if not self.shuffle:
            return np.arange(self._size(source))
        return generator(self.seed, Purpose.SOURCE_ORDER, source, number).permutation(self._size(source))

    def _size(self, source: int) -> int:
        return self.sizes[self.clock if source == len(self.sizes) else source]

    def _steps_of_an_epoch(self) -> int:
        """Computes the smallest number of steps with which every epoch has a complete pass over the clock."""
        size = self.sizes[self.clock]
        steps = -(-size * len(self.turns) // int(self.shares[self.clock] * self.step))
        while self._clock_counts(steps).min() < size:
            steps += 1
        return steps

    def _clock_counts(self, steps: int) -> np.ndarray:
        """Counts the samples of the clock in each epoch of so many steps, over one period."""
        length, period = steps * self.step, len(self.turns)
        starts = np.arange(period // gcd(length, period)) * length
        return (self.counts(starts + length) - self.counts(starts))[:, self.clock]


def _check(sizes: Sequence[int], ratios: Sequence[float], clock: int) -> None:
    if len(sizes) != len(ratios):
        raise ValueError(f"`source_ratio` must have a number for each of {len(sizes)} sources, but got {ratios}.")
    if not 0 <= clock < len(sizes):
        raise ValueError(f"`clock` must be one of {len(sizes)} sources, counted from 0, but got {clock}.")
    if not all(np.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise ValueError(f"`source_ratio` must be over 0 for each source, but got {list(ratios)}: leave a source out.")
    empty = [source for source, size in enumerate(sizes) if size <= 0]
    if empty:
        raise ValueError(f"Each source must hold images, but source {empty[0]} (counted from 0) is empty.")


def _as_integers(ratios: Sequence[float]) -> list[int]:
    """Converts ratios to integers without a common factor."""
    fractions = [Fraction(str(ratio)) for ratio in ratios]
    common = lcm(*(fraction.denominator for fraction in fractions))
    numbers = [int(fraction * common) for fraction in fractions]
    numbers = [number // gcd(*numbers) for number in numbers]
    if sum(numbers) > _LONGEST_PERIOD:
        raise ValueError(f"`source_ratio` must be given in rounder numbers, such as [6, 3, 1], but got {list(ratios)}.")
    return numbers


def _turns(shares: list[int]) -> np.ndarray:
    """Computes the source of each position over a period, (period,) int64, such that all shares hold to within less
    than one.

    A source's k-th sample must not come before the position where its share reaches k - 1, nor after the one where its
    share reaches k; the source with the earliest deadline comes first. For a single sequence this always succeeds:
    Baruah et al., "Proportionate progress", Algorithmica 15, 1996.
    """
    period, given = sum(shares), [0] * len(shares)
    turns = np.empty(period, np.int64)
    for position in range(period):
        ready = [s for s, share in enumerate(shares) if given[s] * period < share * (position + 1)]
        soonest = min(ready, key=lambda s: -(-(given[s] + 1) * period // shares[s]))
        given[soonest] += 1
        turns[position] = soonest
    return turns
