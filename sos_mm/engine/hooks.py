"""Hooks of mmengine's runner: shared random seeds, and checks and repairs of loaded checkpoints."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Sampler

from sos_mm.engine.checkpoints import weights_of
from sos_mm.engine.randomness import DrawsFromRun, RunRandomness

# Keys in the message hub that mmengine saves with a checkpoint.
_SAMPLER_SEED = "sampler_seed"


@HOOKS.register_module()
class VisitHook(Hook):
    """Shares the run seed and the epoch with all parts that draw at random, and reseeds torch each epoch.

    Reseeding makes dropout and similar layers the same after a resume, since mmengine does not save random states.
    Iteration-based loops have no epochs: their sampler must count the visits, as `SourceRatioSampler` does, and torch
    is reseeded each iteration.

    A resumed run takes its sampler's seed from the checkpoint, so that the order of images continues even if the config
    sets no seed: mmengine draws a new seed for the sampler before it reads the checkpoint.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Passes one shared :class:`RunRandomness` to the model and to the transforms of the training data.

        Raises:
            RuntimeError: If the loop counts iterations and the sampler does not count visits: workers prefetch beyond
                the end of an epoch, so they cannot know the epoch.
        """
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if not by_epoch and not counts_visits(runner.train_dataloader):
            raise RuntimeError(
                f"VisitHook needs `train_cfg = dict(by_epoch=True, max_epochs=...)`, or a sampler that counts visits, "
                f"such as sos_mm.SourceRatioSampler; but the loop is {type(loop).__name__}."
            )
        keep_sampler_seed(runner)
        self.draws = RunRandomness(runner.seed, by_epoch)
        for part, metainfo in parts_with_metainfo(runner.train_dataloader.dataset):
            if hasattr(part, "metainfo"):
                part.metainfo = metainfo
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for drawer in [*drawing_parts(runner.train_dataloader.dataset), *model.modules()]:
            if isinstance(drawer, DrawsFromRun):
                drawer.draws = self.draws
        if not by_epoch:
            start_workers_anew(loop)

    def before_train_epoch(self, runner) -> None:
        """Advances the shared epoch."""
        if self.draws.by_epoch:
            self.draws.epoch = runner.epoch
            self._seed_torch(runner, runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Reseeds torch in iteration-based loops, and in the first iteration of an epoch.

        Starting data workers draws from torch's generator, and persistent workers are not started in every epoch.
        """
        if not self.draws.by_epoch:
            self._seed_torch(runner, runner.iter)
        elif batch_idx == 0:
            self._seed_torch(runner, runner.epoch)

    def _seed_torch(self, runner, number: int) -> None:
        entropy = np.random.SeedSequence(entropy=runner.seed, spawn_key=(number, get_rank()))
        torch.manual_seed(int(entropy.generate_state(1)[0]))


def sampler_of(dataloader: DataLoader) -> Sampler:
    """Returns the sampler that chooses images: the data loader's own, or the one inside its batch sampler."""
    return getattr(dataloader.batch_sampler, "sampler", dataloader.sampler)


def counts_visits(dataloader: DataLoader) -> bool:
    """Returns whether the sampler yields :class:`RepeatIndex`."""
    return getattr(sampler_of(dataloader), "counts_visits", False)


def keep_sampler_seed(runner: Runner) -> None:
    """Saves the sampler's seed, equal on all processes, in checkpoints, and restores it in a resumed run.

    Warns of a checkpoint without it, which was saved without :class:`VisitHook`.
    """
    sampler, kept = sampler_of(runner.train_dataloader), runner.message_hub.runtime_info
    if not hasattr(sampler, "seed"):
        return
    # The message hub holds the checkpoint's value only if the run is resumed.
    if runner.iter > 0 and _SAMPLER_SEED in kept:
        sampler.seed = kept[_SAMPLER_SEED]
    elif runner.iter > 0 and sampler.seed != runner.seed:
        runner.logger.warning(
            f"The checkpoint does not say its sampler's seed, since it was saved without VisitHook. The one of now, "
            f"{sampler.seed}, draws another order, unless the config gave it; the run's own was {runner.seed}: set "
            "`train_dataloader.sampler.seed`."
        )
    runner.message_hub.update_info(_SAMPLER_SEED, sampler.seed)


def start_workers_anew(loop: BaseLoop) -> None:
    """Restarts the data workers of an iteration-based loop.

    mmengine 0.10.7 starts them when it builds the loop, before any hook can pass anything to them. No batch has been
    taken from them yet.
    """
    # Otherwise the data loader keeps persistent workers.
    loop.dataloader._iterator = None
    loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)


def drawing_parts(part: object) -> Iterator[DrawsFromRun]:
    """Yields all `DrawsFromRun` instances of a data set, also inside its wrappers, pipelines and nested transforms."""
    if isinstance(part, DrawsFromRun):
        yield part
    for name in ("dataset", "datasets", "pipeline", "transforms", "transform"):
        inner = getattr(part, name, None)
        for child in inner if isinstance(inner, list | tuple) else [inner]:
            if child is not None and not callable_method(child):
                yield from drawing_parts(child)


def parts_with_metainfo(dataset: object) -> Iterator[tuple[DrawsFromRun, Mapping[str, Any]]]:
    """Yields the drawing parts of each data set's own pipeline, with that data set's metainfo."""
    pipeline, metainfo = getattr(dataset, "pipeline", None), getattr(dataset, "metainfo", None)
    if pipeline is not None and metainfo is not None:
        steps = pipeline if isinstance(pipeline, list | tuple) else [pipeline]
        yield from ((part, metainfo) for step in steps for part in drawing_parts(step))
    inner = [getattr(dataset, "dataset", None), *(getattr(dataset, "datasets", None) or ())]
    for child in inner:
        if child is not None:
            yield from parts_with_metainfo(child)


def callable_method(part: object) -> bool:
    """Returns whether a part is a bound method, as ``transform`` is on every mmcv transform."""
    return hasattr(part, "__self__")


class MatchingCheckpointHook(Hook):
    """Raises an error for a checkpoint of another architecture, of which mmengine only warns.

    For a resumed run all parameters must match the model's; for weights of another training (``load_from``), at least
    some.
    """

    priority = "HIGHEST"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compares names and shapes of the parameters.

        Raises:
            ValueError: If the checkpoint holds no weights, or a run is resumed and it holds no state of a training.
            RuntimeError: If the parameters differ; names them.
        """
        weights = weights_of(checkpoint)
        if runner._resume:
            check_state(checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        got = {name: tuple(value.shape) for name, value in weights.items() if isinstance(value, torch.Tensor)}
        different = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
        if not different or (not runner._resume and wanted.items() & got.items()):
            return
        listed = "; ".join(f"{name} must be {wanted.get(name)}, but is {got.get(name)}" for name in different[:5])
        raise RuntimeError(
            f"The checkpoint is of another architecture: {len(different)} of {len(wanted)} parts differ: {listed}."
        )


def check_state(checkpoint: Mapping[str, Any]) -> None:
    """Checks that a checkpoint holds what mmengine resumes, and that the best checkpoint it names is one.

    mmengine deletes that file as soon as a better one is written.

    Raises:
        ValueError: If it does not.
    """
    meta, hub = checkpoint.get("meta"), checkpoint.get("message_hub")
    counted = isinstance(meta, dict) and all(isinstance(meta.get(key), int) for key in ("epoch", "iter"))
    if not counted or not isinstance(hub, dict) or not isinstance(hub.get("runtime_info"), dict):
        raise ValueError(
            "The checkpoint holds no state of a training to resume (`meta` with epoch and iter, and `message_hub`): "
            "to begin a training with its weights use `--cfg-options load_from=FILE` without `--resume`."
        )
    for key, value in hub["runtime_info"].items():
        if key.startswith("best_ckpt") and not fnmatch(Path(str(value)).name, "best_*.pth"):
            raise ValueError(f"`{key}` in the checkpoint must name a best_*.pth, but got {value!r}.")


class DropTokenPositions(Hook):
    """Drops BERT's token position indices 0, 1, 2, ..., which older transformers versions saved as weights."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Removes them from the loaded checkpoint."""
        state = weights_of(checkpoint)
        for name in [each for each in state if each.endswith("embeddings.position_ids")]:
            del state[name]
