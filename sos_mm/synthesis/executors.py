"""Executors of shards: this process, several processes on this machine, or a Ray cluster."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import as_completed
from pathlib import Path

import cv2

from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.ray_executor import run_ray
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.workspace import join_run
from sos_mm.worker_pool import worker_pool

# (maker, out, image indices by shard number, workers) -> number of images of each shard, yielded when it is done.
Executor = Callable[[ShardMaker, Path, Mapping[int, range], int], Iterator[int]]


def run_processes(maker: ShardMaker, out: Path, shards: Mapping[int, range], workers: int) -> Iterator[int]:
    """Generates shards in this process, or in several processes if there is more than one worker.

    Raises:
        RuntimeError: If a worker was killed.
    """
    workers = min(workers, len(shards))
    if workers <= 1:
        for number, indices in shards.items():
            yield maker.make(out, number, indices)
        return
    needed = maker.local_recipe, maker.seed, maker.left_out, out
    with worker_pool(workers, _start_worker, needed, kept=f"Finished shards are kept in {out}") as pool:
        futures = [pool.submit(_make_in_worker, out, number, indices) for number, indices in shards.items()]
        for future in as_completed(futures):
            yield future.result()


# The maker of a worker process, created once when it starts.
_maker: ShardMaker | None = None


def _start_worker(recipe: Recipe, seed: int, left_out: Collection[str], out: Path) -> None:
    global _maker
    join_run(out)
    cv2.setNumThreads(1)
    _maker = ShardMaker(recipe, seed, left_out)


def _make_in_worker(out: Path, number: int, indices: range) -> int:
    assert _maker is not None, "`_start_worker` makes it"
    return _maker.make(out, number, indices)


EXECUTORS: dict[str, Executor] = {"processes": run_processes, "ray": run_ray}
