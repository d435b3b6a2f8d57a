"""Runs that count iterations: draws by the sampler's visits, whatever the workers, and after a resume."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.runner import Runner

from sos_mm.engine.randomness import DrawsFromRun, RepeatIndex
from sos_mm.seeding import Purpose, generator
from tests.helpers.processes import exit_codes
from tests.helpers.registries import registering

SEED = 5


class Numbered(DrawsFromRun):
    """Draws a number for each image; beside it the size of the image's source, its index there and its visit."""

    def __call__(self, info: dict) -> dict:
        index = info["sample_idx"]
        number = int(self.draw(Purpose.PASTE, index).integers(2**40))
        return {"inputs": torch.tensor([info["size"], int(index), index.visit, number])}


class Plain(DrawsFromRun):
    """Draws for an image whose index forgot its visit."""

    def __call__(self, info: dict) -> dict:
        return {"inputs": torch.tensor(self.draw(Purpose.PASTE, int(info["sample_idx"])).integers(9, size=3))}


class Still:
    """Draws nothing."""

    def __call__(self, info: dict) -> dict:
        return {"inputs": torch.tensor([info["size"], int(info["sample_idx"])])}


class Images(BaseDataset):
    """So many images."""

    def __init__(self, size: int, **options):
        self.size = size
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        return [{"size": self.size, "width": 2, "height": 1} for _ in range(self.size)]


class Model(BaseModel):
    """Writes what it gets into a file, with a number of torch's own generator."""

    def __init__(self, out: str):
        super().__init__()
        self.out = out
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="loss"):
        with open(self.out, "a") as file:
            file.write(json.dumps([torch.stack(inputs).tolist(), float(torch.rand(()))]) + "\n")
        return {"loss": self.weight.sum()}


PARTS = [(TRANSFORMS, Numbered), (TRANSFORMS, Plain), (TRANSFORMS, Still), (DATASETS, Images), (MODELS, Model)]

registered = registering(PARTS)


def train_once(
    folder: Path,
    name: str,
    number: int,
    workers: int = 0,
    pipeline: str = "Numbered",
    rank: int = 0,
    by_epoch: bool = False,
    **options,
) -> list:
    """Trains for so many iterations or epochs; gives what the model got: rows of `Numbered`, and torch's numbers."""
    out = folder / f"{name}_{rank}.jsonl"
    images = [dict(type="Images", size=size, pipeline=[dict(type=pipeline)]) for size in (7, 4)]
    loader = dict(
        dataset=dict(type=ConcatDataset, datasets=images),
        batch_size=3,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=dict(type="pseudo_collate"),
        sampler=dict(type="sos_mm.SourceRatioSampler", batch_size=3, source_ratio=[2, 1]),
    )
    iterations = dict(type="IterBasedTrainLoop", max_iters=number)
    Runner(
        model=dict(type="Model", out=str(out)),
        work_dir=str(folder / name),
        train_dataloader=loader | options.pop("loader", {}),
        train_cfg=dict(by_epoch=True, max_epochs=number) if by_epoch else iterations,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=2, by_epoch=by_epoch)),
        experiment_name=f"{folder.name}-{name}-{number}",
        # Resuming writes the seed into what is handed in.
        randomness=dict(options.pop("randomness", dict(seed=SEED))),
        **{"custom_hooks": [dict(type="sos_mm.VisitHook")], **options},
    ).train()
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """`train_once` in a folder of its own."""
    # mmengine waits two seconds at the end of each pass.
    monkeypatch.setattr("mmengine.runner.loops.time.sleep", lambda seconds: None)
    return partial(train_once, tmp_path)


def test_draws_go_by_visits(train):
    """Each image's number is that of its visit, over the ends of passes over the sources."""
    rows = [row for batch, _ in train("run", 9) for row in batch]
    assert {visit for _, _, visit, _ in rows} == {0, 1, 2}
    for _, index, visit, number in rows:
        assert number == generator(SEED, Purpose.PASTE, RepeatIndex(index), visit).integers(2**40)


@pytest.mark.parametrize("grouped", [False, True])
def test_workers_and_resume_change_nothing(train, grouped):
    loader = {"batch_sampler": dict(type="sos_mm.SourceRatioBatchSampler")} if grouped else {}
    whole = train("whole", 7, loader=loader)
    assert len({number for _, number in whole}) == 7
    assert train("workers", 7, workers=2, loader=loader) == whole
    train("stopped", 4, workers=2, loader=loader)
    assert train("stopped", 7, workers=2, loader=loader, resume=True) == whole


@pytest.mark.parametrize(("by_epoch", "grouped"), [(False, True), (True, False)])
@pytest.mark.parametrize("own_seed", [None, SEED])
def test_resume_without_a_seed(train, by_epoch, grouped, own_seed):
    """The whole run had nobody's seed, or one of its sampler alone; its checkpoint is what stopping it leaves."""
    loader = {"batch_sampler": dict(type="sos_mm.SourceRatioBatchSampler")} if grouped else {}
    if own_seed is not None:
        loader["sampler"] = dict(type="sos_mm.SourceRatioSampler", batch_size=3, source_ratio=[2, 1], seed=own_seed)
    options = dict(by_epoch=by_epoch, randomness=dict(seed=None), workers=1, loader=loader)
    whole = train("whole", 3 if by_epoch else 7, **options)
    stopped = Path(train.args[0]) / "whole" / ("epoch_2.pth" if by_epoch else "iter_4.pth")
    resumed = train("resumed", 3 if by_epoch else 7, resume=True, load_from=str(stopped), **options)
    assert len(resumed) == (len(whole) // 3 if by_epoch else 3)
    assert resumed == whole[-len(resumed) :]


def test_checkpoint_without_the_seed_is_warned_of(train, capfd):
    """Nobody knows the order of a run without the hook and without a seed."""
    options = dict(by_epoch=True, randomness=dict(seed=None))
    train("whole", 2, **options, pipeline="Still", custom_hooks=[])
    train("resumed", 3, resume=True, load_from=str(Path(train.args[0]) / "whole/epoch_2.pth"), **options)
    assert "saved without VisitHook" in capfd.readouterr().out


def test_other_samplers_are_refused(train):
    loader = dict(sampler=dict(type="DefaultSampler", shuffle=True))
    with pytest.raises(RuntimeError, match="SourceRatioSampler"):
        train("run", 2, loader=loader)


def test_index_without_visit_is_refused(train):
    with pytest.raises(RuntimeError, match="lost their visit"):
        train("run", 2, pipeline="Plain")


_PROCESS = """
import sys
from pathlib import Path

import torch

from tests.engine.test_visits import PARTS, train_once

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
for registry, part in PARTS:
    registry.register_module(module=part)
wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
options = dict(launcher="pytorch", rank=rank, cfg=dict(model_wrapper_cfg=wrapper), loader=dict(num_workers=1))
# No seed: the processes must agree on one, and on the one in the checkpoint.
options["randomness"] = dict(seed=None, diff_rank_seed=sys.argv[3] == "True")
train_once(folder, "whole", 6, **options)
train_once(folder, "resumed", 6, resume=True, load_from=str(folder / "whole/iter_4.pth"), **options)
"""


@pytest.mark.parametrize("diff_rank_seed", [False, True])
def test_two_processes_resume(tmp_path, diff_rank_seed):
    """Real ones that train: both together hold the ratios at every step, and go on where they stopped."""
    environment = {**os.environ, "LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", "-c", _PROCESS]
    running = [
        subprocess.Popen(
            [*command, str(r), str(tmp_path), str(diff_rank_seed)],
            cwd=Path(__file__).parents[2],
            env=environment,
        )
        for r in range(2)
    ]
    assert exit_codes(running) == [0, 0]

    def read(name):
        return [[json.loads(line) for line in (tmp_path / f"{name}_{rank}.jsonl").open()] for rank in range(2)]

    got = read("whole")
    total, seen = np.zeros(2), []
    for number, steps in enumerate(zip(*got, strict=True), 1):
        rows = [row for batch, _ in steps for row in batch]
        total += np.bincount([size == 4 for size, *_ in rows], minlength=2)
        assert np.abs(total - number * 6 * np.array([2, 1]) / 3).max() < 1
        seen += [tuple(row[:3]) for row in rows]
    assert len(set(seen)) == len(seen) == 36
    assert read("resumed") == [each[4:] for each in got]
