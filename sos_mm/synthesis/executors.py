"""Executors of shards: this process, several processes on this machine, or a Ray cluster."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from sos_mm.checks import require
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import shard_folder
from sos_mm.synthesis.workspace import join_run

# (maker, out, image indices by shard number, workers) -> number of images of each shard, yielded when it is done.
Executor = Callable[[ShardMaker, Path, Mapping[int, range], int], Iterator[int]]
# How often Ray retries a shard when its worker dies.
_RETRIES = 2


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
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (maker.recipe, maker.seed, out, os.getpid()))
    try:
        futures = [pool.submit(_make_in_worker, out, number, indices) for number, indices in shards.items()]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"A worker was killed, for want of memory perhaps. Finished shards are kept in {out}: run the same "
            "command again, with fewer workers if memory is short."
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        # What is under way would take seconds, and the next run makes it again.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


# The maker of a worker process, created once when it starts.
_maker: ShardMaker | None = None


def _start_worker(recipe: Recipe, seed: int, out: Path, parent: int) -> None:
    global _maker
    # The main process alone answers Ctrl-C, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    join_run(out)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    cv2.setNumThreads(1)
    _maker = ShardMaker(recipe, seed)


def _end_with(parent: int) -> None:
    """Ends this process when the main process has died: a killed main process cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _make_in_worker(out: Path, number: int, indices: range) -> int:
    return _maker.make(out, number, indices)


def run_ray(maker: ShardMaker, out: Path, shards: Mapping[int, range], workers: int) -> Iterator[int]:
    """Generates shards as tasks of a Ray cluster: the one that ``RAY_ADDRESS`` names, or one started on this machine.

    Workers read the sources and write the shards by the same paths as this process: on a cluster they must be on a
    file system that all its machines share. A worker that dies is replaced.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If ``RAY_ADDRESS`` names a cluster that does not respond.
        RuntimeError: If workers keep dying.
    """
    ray = require("ray", "`executor='ray'`", "pip install 'sos_mm[ray]'")
    if not shards:
        return
    started = _join_cluster(ray, workers)
    actor = ray.remote(num_cpus=1, max_restarts=_RETRIES, max_task_retries=_RETRIES)(_RayWorker)
    out = out.absolute()
    try:
        team = [actor.remote(maker.recipe, maker.seed, out) for _ in range(min(workers, len(shards)))]
        yield from _hand_out(ray, team, out, dict(shards))
    except ray.exceptions.RayTaskError as error:
        # Ray wraps the original error class.
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        raise RuntimeError(
            f"Workers of the Ray cluster keep dying ({error}). Finished shards are kept in {out}: run the same command "
            "again, with fewer workers if memory is short."
        ) from error
    finally:
        if started:
            ray.shutdown()


def _join_cluster(ray, workers: int) -> bool:
    """Connects to the cluster, or starts one; returns whether this call did either."""
    if ray.is_initialized():
        return False
    local = (
        {} if os.environ.get("RAY_ADDRESS") else {"address": "local", "num_cpus": workers, "include_dashboard": False}
    )
    ray.init(**local, log_to_driver=False, logging_level="ERROR")
    return True


def _hand_out(ray, team: list, out: Path, shards: dict[int, range]) -> Iterator[int]:
    """Assigns one shard at a time to each worker, so that no worker waits for another; yields
    their numbers of images.
    """
    busy = {}
    idle = list(team)
    while shards or busy:
        while shards and idle:
            number = next(iter(shards))
            worker = idle.pop()
            busy[worker.make.remote(number, shards.pop(number))] = worker
        done, _ = ray.wait(list(busy))
        idle.append(busy.pop(done[0]))
        yield ray.get(done[0])


class _RayWorker:
    """A worker process of a Ray cluster, which generates shards."""

    def __init__(self, recipe: Recipe, seed: int, out: Path):
        self.out = out
        join_run(out)
        cv2.setNumThreads(1)
        self.maker = ShardMaker(recipe, seed)

    def make(self, number: int, indices: range) -> int:
        """Generates a shard, unless a worker that died has already completed it."""
        if shard_folder(self.out, number).exists():
            return len(indices)
        return self.maker.make(self.out, number, indices)


EXECUTORS: dict[str, Executor] = {"processes": run_processes, "ray": run_ray}
