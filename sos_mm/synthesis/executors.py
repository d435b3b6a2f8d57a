"""Executors of shards: this process, several processes on this machine, or a Ray cluster."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.ray_executor import run_ray
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.workspace import join_run

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
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, context, _start_worker, (maker.local_recipe, maker.seed, maker.left_out, out, os.getpid())
    )
    try:
        futures = [pool.submit(_make_in_worker, out, number, indices) for number, indices in shards.items()]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"A worker was killed, possibly for lack of memory. Finished shards are kept in {out}: run the same "
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


def _start_worker(recipe: Recipe, seed: int, left_out: Collection[str], out: Path, parent: int) -> None:
    global _maker
    # The main process alone answers Ctrl-C, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    join_run(out)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    cv2.setNumThreads(1)
    _maker = ShardMaker(recipe, seed, left_out)


def _end_with(parent: int) -> None:
    """Ends this process when the main process has died: a killed main process cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _make_in_worker(out: Path, number: int, indices: range) -> int:
    assert _maker is not None, "`_start_worker` makes it"
    return _maker.make(out, number, indices)


EXECUTORS: dict[str, Executor] = {"processes": run_processes, "ray": run_ray}
