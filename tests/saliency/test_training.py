"""Training through a real Runner: repeatable, resumable, one checkpoint, pictures on the way."""

import json
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from .conftest import small_config

RUNS = count()


def losses(runner: Runner) -> list[float]:
    return [record["loss"] for record in records(runner) if "loss" in record]


def records(runner: Runner) -> list[dict]:
    return [json.loads(line) for line in Path(runner.log_dir, "vis_data/scalars.json").read_text().splitlines()]


@pytest.fixture
def train(data_root, tmp_path):
    """Trains the small model in a folder of its own; gives the runner."""

    def run(name: str, hooks: tuple = (), **options) -> Runner:
        config = small_config(data_root, tmp_path / name, **options)
        config.experiment_name = f"{name}-{next(RUNS)}"  # mmengine keeps one logger a name.
        runner = Runner.from_cfg(config)
        for hook in hooks:
            runner.register_hook(hook)
        with suppress(CrashError):
            runner.train()
        return runner

    return run


def test_same_seed_same_losses_and_another_seed_others(train):
    first, second = train("first"), train("second")
    assert losses(first) == losses(second)
    assert len(losses(first)) == 3
    assert losses(first) != losses(train("third", **{"randomness.seed": 1}))


def test_number_of_workers_changes_nothing(train):
    workers = {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}
    epochs = {"train_cfg.max_epochs": 2}
    assert losses(train("none", **epochs)) == losses(train("two", **epochs, **workers))


class CrashError(Exception):
    pass


class InterruptHook(Hook):
    """Ends a run as a crash would, when its third epoch begins."""

    def before_train_epoch(self, runner):
        if runner.epoch == 2:
            raise CrashError


def test_resumed_training_is_the_uninterrupted_one(train):
    epochs = {"train_cfg.max_epochs": 4}
    whole = train("whole", **epochs)
    first = train("parts", hooks=[InterruptHook()], **epochs)
    rest = train("parts", resume=True, **epochs)
    assert (len(losses(first)), len(losses(rest))) == (6, 6)
    torch.testing.assert_close(losses(first) + losses(rest), losses(whole), atol=1e-5, rtol=0)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], value, atol=1e-5, rtol=0)


def test_checkpoint_holds_every_part(train):
    runner = train("run")
    checkpoint = torch.load(f"{runner.work_dir}/epoch_1.pth", map_location="cpu", weights_only=False)
    parts = {name.split(".")[0] for name in checkpoint["state_dict"]}
    assert {"backbone", "neck", "decode_head"} <= parts
    trained = {name for name, parameter in runner.model.named_parameters() if parameter.requires_grad}
    assert trained <= set(checkpoint["state_dict"])
    heads = {name.split(".")[1] for name in checkpoint["state_dict"] if name.startswith("decode_head")}
    assert {"denoiser", "afim", "auxiliary"} <= heads


def test_validation_leaves_scores_and_rows(train):
    runner = train("run", **{"train_cfg.val_interval": 1})
    scores = [record for record in records(runner) if "sod/MAE" in record]
    assert len(scores) == 1
    assert 0 < scores[0]["sod/MAE"] < 1
    rows = sorted(path.name for path in Path(runner.log_dir, "rows").iterdir())
    assert rows == [f"{index}.png" for index in range(6)]


def test_visit_hook_refuses_loops_that_count_iterations(train):
    loop = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    with pytest.raises(RuntimeError, match="by_epoch=True"):
        train("run", train_cfg=dict(loop, _delete_=True))
