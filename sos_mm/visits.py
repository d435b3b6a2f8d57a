"""Random draws in training that depend on nothing but (run seed; purpose, image, epoch).

A hook shares the epoch with the model and with the transforms in the data workers, so that an image is seen
differently from epoch to epoch, and yet no draw depends on the number of workers or on a restart.
"""

from collections.abc import Iterator, Mapping
from multiprocessing import Value
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop

from sos_mm.seeding import Purpose, generator

# Repetitions of a data set within an epoch that can be told apart.
_MOST_REPEATS = 2**20


class Draws:
    """The run seed, and the current epoch in memory that data workers share, persistent ones too."""

    def __init__(self, run_seed: int):
        self.run_seed = run_seed
        self._epoch = Value("q", 0, lock=False)

    @property
    def epoch(self) -> int:
        """The epoch that the main process is in."""
        return self._epoch.value

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.value = epoch

    def generator(self, purpose: Purpose, image_index: int) -> np.random.Generator:
        """The generator of one purpose for one image in this epoch, or for the visit that its index knows."""
        visit = getattr(image_index, "visit", None)
        return generator(self.run_seed, purpose, image_index, self.epoch if visit is None else visit)


class VisitedIndex(int):
    """The index of an image, and which visit to it this is, as a sampler counts them.

    A sampler that yields these makes draws independent of epochs: of loops that count iterations, of sources that are
    seen more often than others. Data set wrappers compute with indices, hence the operators.

    Args:
        index: The index.
        visit: How often the image was visited before; None if nobody counted.
    """

    visit: int | None

    def __new__(cls, index: int, visit: int | None = None):  # noqa: D102
        made = super().__new__(cls, index)
        made.visit = visit
        return made

    def __getnewargs__(self) -> tuple[int, int | None]:
        return int(self), self.visit

    def __sub__(self, other: int) -> "VisitedIndex":
        """As a ``ConcatDataset`` computes the index in one of its data sets."""
        return VisitedIndex(int(self) - other, self.visit)

    def __mod__(self, length: int) -> "VisitedIndex":
        """As a ``RepeatDataset`` computes it; each repetition within a visit is a visit of its own."""
        if self.visit is None:
            return VisitedIndex(int(self) % length)
        return VisitedIndex(int(self) % length, self.visit * _MOST_REPEATS + int(self) // length)


class DrawsFromRun:
    """Mixin of models and transforms that draw: :class:`VisitHook` gives them their ``draws``."""

    draws: Draws | None = None

    def draw(self, purpose: Purpose, image_index: int) -> np.random.Generator:
        """The generator of one purpose for one image in this epoch, or for the visit that its index knows.

        Raises:
            RuntimeError: If nothing shared the run's seed and epoch.
        """
        if self.draws is None:
            raise RuntimeError(
                f"{type(self).__name__} draws at random, but was given no run seed and epoch: "
                "add `custom_hooks = [dict(type='sos_mm.VisitHook')]` to the config."
            )
        return self.draws.generator(purpose, image_index)


@HOOKS.register_module()
class VisitHook(Hook):
    """Shares the run seed and the epoch with everything that draws, and seeds torch anew each epoch.

    The latter makes dropout and the like the same after a resume: mmengine does not keep random states.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Hands one shared :class:`Draws` to the model and to the transforms of the training data.

        Raises:
            RuntimeError: If the loop counts iterations: its workers fetch ahead over the end of an epoch.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise RuntimeError(
                f"VisitHook needs `train_cfg = dict(by_epoch=True, max_epochs=...)`, "
                f"but the loop is {type(runner.train_loop).__name__}."
            )
        self.draws = Draws(runner.seed)
        for part, metainfo in parts_with_metainfo(runner.train_dataloader.dataset):
            if hasattr(part, "metainfo"):
                part.metainfo = metainfo
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for drawer in [*drawing_parts(runner.train_dataloader.dataset), *model.modules()]:
            if isinstance(drawer, DrawsFromRun):
                drawer.draws = self.draws

    def before_train_epoch(self, runner) -> None:
        """Counts the epoch."""
        self.draws.epoch = runner.epoch
        entropy = np.random.SeedSequence(entropy=runner.seed, spawn_key=(runner.epoch, get_rank()))
        torch.manual_seed(int(entropy.generate_state(1)[0]))


def drawing_parts(part: object) -> Iterator[DrawsFromRun]:
    """All parts of a data set that draw, through data set wrappers, pipelines and nested transforms."""
    if isinstance(part, DrawsFromRun):
        yield part
    for name in ("dataset", "datasets", "pipeline", "transforms", "transform"):
        inner = getattr(part, name, None)
        for child in inner if isinstance(inner, list | tuple) else [inner]:
            if child is not None and not callable_method(child):
                yield from drawing_parts(child)


def parts_with_metainfo(dataset: object) -> Iterator[tuple[DrawsFromRun, Mapping[str, Any]]]:
    """The drawing parts of each data set's own pipeline, with that data set's metainfo."""
    pipeline, metainfo = getattr(dataset, "pipeline", None), getattr(dataset, "metainfo", None)
    if pipeline is not None and metainfo is not None:
        steps = pipeline if isinstance(pipeline, list | tuple) else [pipeline]
        yield from ((part, metainfo) for step in steps for part in drawing_parts(step))
    inner = [getattr(dataset, "dataset", None), *(getattr(dataset, "datasets", None) or ())]
    for child in inner:
        if child is not None:
            yield from parts_with_metainfo(child)


def callable_method(part: object) -> bool:
    """Whether a part is a bound method, as ``transform`` is on every mmcv transform."""
    return hasattr(part, "__self__")
