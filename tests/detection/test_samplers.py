"""The ratio samplers: counts at every step, coverage, disjoint parts, resuming; one process, several, real ones."""

import json
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner

from sos_mm.detection import SourceRatioBatchSampler, SourceRatioSampler
from sos_mm.detection.source_schedule import SourceSchedule
from sos_mm.engine.randomness import RepeatIndex
from tests.helpers.processes import exit_codes


class Source(BaseDataset):
    """Images of which a part is upright; items are the index and the visit that they were asked for."""

    def __init__(self, size, upright=0.5, seed=0):
        self.wide = np.random.default_rng(seed).random(size) >= upright
        pipeline = [lambda info: (int(info["sample_idx"]), info["sample_idx"].visit)]
        super().__init__(pipeline=pipeline, serialize_data=bool(size))

    def load_data_list(self):
        return [{"width": 640, "height": 480} if wide else {"width": 480, "height": 640} for wide in self.wide]


def concat(*sizes, **options):
    sources = [Source(size, seed=seed, **options) for seed, size in enumerate(sizes)]
    return ConcatDataset(sources)


def as_rank(monkeypatch, rank, world_size):
    monkeypatch.setattr("sos_mm.detection.samplers.get_dist_info", lambda: (rank, world_size))


schedules = st.integers(1, 5).flatmap(
    lambda m: st.builds(
        SourceSchedule,
        sizes=st.lists(st.integers(1, 40), min_size=m, max_size=m),
        ratios=st.lists(st.sampled_from([1, 2, 3, 6, 7, 0.1, 0.25, 2.5, 31]), min_size=m, max_size=m),
        step=st.integers(1, 24),
        clock=st.integers(0, m - 1),
        seed=st.integers(0, 99),
        shuffle=st.booleans(),
    )
)


def run(schedule, epochs):
    """Sources, indices and visits of some epochs, in one row."""
    parts = [schedule.epoch(epoch) for epoch in range(epochs)]
    return tuple(np.concatenate([getattr(each, name) for each in parts]) for name in ("sources", "indices", "visits"))


@settings(max_examples=80)
@given(schedules)
def test_counts_hold_the_ratios_at_every_place(schedule):
    sources, _, _ = run(schedule, 4)
    counts = np.cumsum(sources[:, None] == np.arange(len(schedule.sizes)), axis=0)
    due = np.arange(1, len(sources) + 1)[:, None] * schedule.shares / schedule.shares.sum()
    assert np.abs(counts - due).max() < 1
    np.testing.assert_array_equal(counts, schedule.counts(np.arange(1, len(sources) + 1)))


@settings(max_examples=80)
@given(schedules)
def test_coverage_and_visits(schedule):
    """Every image of the clock in every epoch, no more than the last step needs, all of them equally in the end."""
    epochs = 4
    sources, indices, visits = run(schedule, epochs)
    for source, size in enumerate(schedule.sizes):
        drawn = indices[sources == source]
        assert set(drawn.tolist()) <= set(range(size))
        seen = [Counter() for _ in range(size)]
        for index, visit in zip(drawn.tolist(), visits[sources == source].tolist(), strict=True):
            seen[index][visit] += 1
        numbers = [sum(each.values()) for each in seen]
        # Each visit once, from 0 without gaps, and no image more than once behind another.
        assert all(set(each) == set(range(n)) for each, n in zip(seen, numbers, strict=True))
        assert max(numbers) - min(numbers) <= 1
    for epoch in range(epochs):
        draws = schedule.epoch(epoch)
        clock = draws.indices[draws.sources == schedule.clock]
        assert set(clock.tolist()) == set(range(schedule.sizes[schedule.clock]))
    fewer = (schedule.steps - 1) * schedule.step
    starts = np.arange(len(schedule.turns)) * fewer
    short = (schedule.counts(starts + fewer) - schedule.counts(starts))[:, schedule.clock].min()
    assert short < schedule.sizes[schedule.clock]


def test_known_row():
    """Small enough to check by hand: of six samples, three, two and one."""
    schedule = SourceSchedule([4, 4, 4], [3, 2, 1], 2, shuffle=False)
    counts = np.cumsum(schedule.turns[:, None] == [0, 1, 2], axis=0)
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 2, 0], [3, 2, 0], [3, 2, 1]]
    assert schedule.steps == 4
    assert schedule.most_in_a_step().tolist() == [1, 1, 1]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 6), (2, 4), (3, 5)])
def test_ranks_take_disjoint_parts(monkeypatch, grouped, world_size, batch_size):
    """All ranks together are the row, at every step; images are grouped without changing that."""
    dataset, ratios = concat(50, 30, 7), [6, 3, 1]
    row = SourceSchedule([50, 30, 7], ratios, world_size * batch_size, seed=3)
    for epoch in range(3):
        parts = []
        for rank in range(world_size):
            as_rank(monkeypatch, rank, world_size)
            sampler = SourceRatioSampler(dataset, batch_size, ratios, seed=3)
            sampler.set_epoch(epoch)
            batches = SourceRatioBatchSampler(sampler, batch_size) if grouped else None
            parts.append([each for batch in batches for each in batch] if grouped else list(sampler))
            assert len(parts[-1]) == len(sampler) == row.steps * batch_size
            assert not grouped or len(batches) == row.steps
        flat = np.array(parts).reshape(world_size, row.steps, batch_size).transpose(1, 0, 2).ravel()
        visits = np.array([[each.visit for each in part] for part in parts])
        visits = visits.reshape(world_size, row.steps, batch_size).transpose(1, 0, 2).ravel()
        truth = row.epoch(epoch)
        keys = np.stack([truth.indices + np.array([0, 50, 80])[truth.sources], truth.visits])
        if not grouped:
            np.testing.assert_array_equal(np.stack([flat, visits]), keys)
        assert Counter(zip(flat.tolist(), visits.tolist(), strict=True)) == Counter(map(tuple, keys.T.tolist()))
        sources = np.searchsorted([50, 80], flat, side="right").reshape(-1, batch_size)
        for batch, wanted in zip(sources, truth.sources.reshape(-1, batch_size), strict=True):
            assert sorted(batch.tolist()) == sorted(wanted.tolist())


def test_grouping_by_shape():
    """Nearly all batches are of one shape, also where the sources differ; without grouping hardly any."""
    dataset = ConcatDataset([Source(400, 0.3, 1), Source(300, 0.3, 2), Source(200, 0.3, 3)])
    sampler = SourceRatioSampler(dataset, 8, [4, 3, 1], seed=0)

    def mixed(batches):
        shapes = [{dataset.get_data_info(index)["width"] for index in batch} for batch in batches]
        return np.mean([len(shape) > 1 for shape in shapes])

    plain = np.array(list(sampler)).reshape(-1, 8).tolist()
    assert mixed(plain) > 0.9
    assert mixed(SourceRatioBatchSampler(sampler, 8)) < 0.1
    uneven = ConcatDataset([Source(400, 0.5, 1), Source(300, 0.3, 2)])
    dataset, sampler = uneven, SourceRatioSampler(uneven, 8, [4, 3], seed=0)
    # About a fifth of the second source finds no partner of its shape.
    assert mixed(SourceRatioBatchSampler(sampler, 8)) < 0.35


@pytest.mark.parametrize("grouped", [False, True])
def test_resuming_goes_on(grouped):
    """From any batch of any epoch, and for as many epochs as come after it."""
    dataset = concat(23, 11)

    def stream(sampler, first_epoch=0):
        for epoch in count(first_epoch):
            sampler.set_epoch(epoch)
            parts = SourceRatioBatchSampler(sampler, 4) if grouped else [sampler]
            for part in parts:
                yield from ((int(each), each.visit) for each in part)

    def taken(stream, number):
        return [next(stream) for _ in range(number)]

    def build():
        return SourceRatioSampler(dataset, 4, [2, 1], seed=9)

    length = len(build())
    whole = taken(stream(build()), 4 * length)
    for skipped in (0, 4, length - 4, length, 2 * length + 8):
        resumed = build()
        resumed.skip(skipped)
        # A loop that counts iterations begins again to count epochs after a restart.
        assert taken(stream(resumed), 4 * length - skipped) == whole[skipped:]
    assert taken(stream(build(), 2), length) == whole[2 * length : 3 * length]
    with pytest.raises(ValueError, match="num_samples"):
        build().skip(-1)
    if grouped:
        sampler = build()
        sampler.skip(3)
        with pytest.raises(ValueError, match="start of a batch"):
            next(iter(SourceRatioBatchSampler(sampler, 4)))


def test_another_seed_holds_from_the_next_iteration_on():
    dataset = concat(23, 11)
    sampler, truth = (SourceRatioSampler(dataset, 4, [2, 1], seed=seed) for seed in (8, 9))
    batches = SourceRatioBatchSampler(sampler, 4)
    before = list(sampler), list(batches)
    sampler.seed = 9
    after = list(sampler), list(batches)
    assert after == (list(truth), list(SourceRatioBatchSampler(truth, 4)))
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("batch_sampler", [None, {"type": "sos_mm.SourceRatioBatchSampler"}])
@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_data_loader(batch_sampler, workers):
    """As mmengine builds it from a config: indices and visits arrive in the worker processes."""
    config = {
        "dataset": concat(12, 5),
        "batch_size": 4,
        "num_workers": workers,
        "persistent_workers": bool(workers),
        "sampler": {"type": "sos_mm.SourceRatioSampler", "batch_size": 4, "source_ratio": [3, 1]},
        "batch_sampler": batch_sampler,
        "collate_fn": {"type": "pseudo_collate"},
    }
    loader = Runner.build_dataloader(config, seed=5)
    assert len(loader) == 4
    sampler = loader.sampler if batch_sampler is None else loader.batch_sampler.sampler
    visits = Counter()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for indices, seen in loader:
            assert len(indices) == 4
            visits.update(zip(indices, seen, strict=True))
    # The source's own index arrives: both sources have 0 to 4, and each image of the clock was seen three times.
    assert all((index, visit) in visits for index in range(12) for visit in range(3))


def test_names_are_ours():
    from mmdet.registry import DATA_SAMPLERS as MMDET

    for name in ("SourceRatioSampler", "SourceRatioBatchSampler"):
        assert name not in MMDET.module_dict
        assert MMDET.get(name) is DATA_SAMPLERS.get(name)


def test_aspect_ratio_batch_sampler_is_refused():
    from mmdet.datasets.samplers import AspectRatioBatchSampler

    batches = AspectRatioBatchSampler(SourceRatioSampler(concat(9, 9), 2, [1, 1], seed=0), 2)
    with pytest.raises(RuntimeError, match=r"sos_mm\.SourceRatioBatchSampler.*lose the ratios"):
        next(iter(batches))


def test_small_source():
    """Two images for a share of six: each comes three times a step, its visits counting up; or that is refused."""
    dataset = concat(30, 2)
    sampler = SourceRatioSampler(dataset, 12, [1, 1], seed=0)
    first = [each for each in list(sampler)[:12] if each >= 30]
    assert Counter((int(each), each.visit) for each in first) == Counter(
        {(i, v): 1 for i in (30, 31) for v in range(3)}
    )
    with pytest.raises(ValueError, match=r"Source 1 .* has 2 images, but a step takes 6.*small_sources='repeat'"):
        SourceRatioSampler(dataset, 12, [1, 1], small_sources="error", seed=0)
    SourceRatioSampler(dataset, 4, [1, 1], small_sources="error", seed=0)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"dataset": Source(5)}, TypeError, "ConcatDataset.*Source"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"source_ratio": [1]}, ValueError, "source_ratio.*each of 2"),
        ({"source_ratio": [1, 0]}, ValueError, "over 0.*leave a source out"),
        ({"source_ratio": [1, float("nan")]}, ValueError, "over 0"),
        ({"source_ratio": [1 / 3, 0.5]}, ValueError, "rounder numbers"),
        ({"clock": 2}, ValueError, "clock"),
        ({"small_sources": "drop"}, ValueError, "small_sources.*'repeat', 'error'"),
        ({"dataset": concat(3, 0)}, ValueError, "source 1 .* is empty"),
    ],
)
def test_wrong_options(changes, error, text):
    with pytest.raises(error, match=text):
        SourceRatioSampler(**{"dataset": concat(9, 9), "batch_size": 2, "source_ratio": [1, 1], "seed": 0, **changes})


def test_batch_sampler_wrong_options():
    sampler = SourceRatioSampler(concat(9, 9), 2, [1, 1], seed=0)
    with pytest.raises(ValueError, match="that of the sampler, 2, but got 3"):
        SourceRatioBatchSampler(sampler, 3)
    with pytest.raises(TypeError, match="SourceRatioSampler"):
        SourceRatioBatchSampler(range(3), 2)


def test_visited_index_survives_nested_data_sets():
    index = RepeatIndex(7, 2)
    assert ((index - 4).visit, int(index - 4)) == (2, 3)


_PROCESS = """
import json, sys
import torch.distributed as dist
from mmengine.runner import Runner
from tests.detection.test_samplers import concat

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
config = dict(
    dataset=concat(40, 30, 6), batch_size=5, num_workers=1, collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="sos_mm.SourceRatioSampler", batch_size=5, source_ratio=[6, 3, 1]),
    batch_sampler=dict(type="sos_mm.SourceRatioBatchSampler"),
)
# No seed: the processes must agree on one.
loader = Runner.build_dataloader(config, seed=None)
sampler, batches = loader.batch_sampler.sampler, []
for epoch in range(2):
    sampler.set_epoch(epoch)
    batches += [[(int(each), each.visit) for each in batch] for batch in loader.batch_sampler]
    assert len(list(loader)) == len(loader)
# The group ends with the process: gloo of torch 2.4 can hang when it is destroyed in two at once.
json.dump({"batches": batches, "seed": sampler.seed}, open(f"{folder}/{rank}.json", "w"))
"""


def test_two_processes(tmp_path):
    """Real ones: the counts of both together hold the ratios at every step, and no image comes twice in a pass."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", _PROCESS]
    running = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=root) for rank in range(2)]
    assert exit_codes(running) == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["seed"] == second["seed"]
    steps = [mine + theirs for mine, theirs in zip(first["batches"], second["batches"], strict=True)]
    due, total = np.array([0.6, 0.3, 0.1]), np.zeros(3)
    for number, step in enumerate(steps, 1):
        indices = np.array([index for index, _ in step])
        total += np.bincount(np.searchsorted([40, 70], indices, side="right"), minlength=3)
        assert np.abs(total - number * 10 * due).max() < 1
    assert max(Counter(tuple(each) for step in steps for each in step).values()) == 1
    for epoch in np.array_split(np.arange(len(steps)), 2):
        assert {index for step in epoch for index, _ in steps[step] if index < 40} == set(range(40))
