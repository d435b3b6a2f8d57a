"""The engine: makes a data set in shards, with any number of processes, and goes on after an interruption."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2

from sos_mm.checks import check_range
from sos_mm.progress import Progress
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import join_run, merge, open_folder, shard_folder, sole_run

# Raised whenever the same recipe and seed give other bytes than before.
FORMAT = 3


@dataclass(frozen=True)
class SynthesisReport:
    """What a run of `synthesize` did.

    Attributes:
        out: Folder of the data set.
        images: Images in it.
        objects: Objects in them.
        made: Images that this run made; the others were there already.
        seconds: Time this run took.
    """

    out: Path
    images: int
    objects: int
    made: int
    seconds: float


def synthesize(
    recipe: Recipe,
    out: str | Path,
    num: int,
    *,
    workers: int = 1,
    seed: int = 0,
    shard_size: int = 100,
    progress: bool = True,
) -> SynthesisReport:
    """Makes a data set, or finishes one that was interrupted.

    The bytes depend on recipe, seed and number of images alone. A run that was killed goes on after its last
    whole shard; a data set that is complete is left as it is.

    Args:
        recipe: What to make.
        out: Folder of the data set: a new or empty one, or one that the same call has begun.
        num: Number of images.
        workers: Processes; 1 makes everything in this one.
        seed: The seed of the whole data set, at least 0.
        shard_size: Images between two points from which a run can go on.
        progress: Whether to say on stderr how far it is.

    Raises:
        ValueError: If a number is out of its range, or a source of segments or backgrounds is faulty.
        FileExistsError: If the folder holds something else.
        NotADirectoryError, PermissionError: If it cannot be written.
        RuntimeError: If an image cannot be made, or a worker was killed.
    """
    for name, value, low in (
        ("num", num, 1),
        ("workers", workers, 1),
        ("seed", seed, 0),
        ("shard_size", shard_size, 1),
    ):
        check_range(name, value, low, 2**31 - 1)
    start, out = time.monotonic(), Path(out)
    identity = {"format": FORMAT, "recipe_sha256": recipe.sha256, "seed": seed, "num": num}
    manifest = open_folder(out, identity)
    made = 0
    if manifest is None:
        with sole_run(out):
            maker = ShardMaker(recipe, seed)
            shards = [range(first, min(first + shard_size, num)) for first in range(0, num, shard_size)]
            pending = [number for number in range(len(shards)) if not shard_folder(out, number).exists()]
            line = Progress(sum(len(shards[number]) for number in pending), "images", progress)
            for written in _make_shards(maker, out, shards, pending, workers):
                made += written
                line.add(written)
            manifest = merge(out, len(shards), identity, recipe.to_dict(), maker.tables, maker.categories)
    counts = manifest["counts"]
    return SynthesisReport(out, counts["images"], counts["objects"], made, time.monotonic() - start)


def _make_shards(
    maker: "ShardMaker", out: Path, shards: Sequence[range], pending: Sequence[int], workers: int
) -> Iterator[int]:
    """Makes the pending shards and yields the number of images of each."""
    if not pending:
        return
    workers = min(workers, len(pending))
    if workers == 1:
        for number in pending:
            yield maker.make(out, number, shards[number])
        return
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (maker.recipe, maker.seed, out, os.getpid()))
    try:
        futures = [pool.submit(_make_shard_in_worker, out, number, shards[number]) for number in pending]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"A worker was killed, for want of memory perhaps. Finished shards are kept in {out}: run the same "
            "command again, with fewer workers if memory is short."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


# What a worker process works with, made once when it starts.
_maker: ShardMaker | None = None


def _start_worker(recipe: Recipe, seed: int, out: Path, parent: int) -> None:
    global _maker
    # The main process alone answers Ctrl-C; shards under way are finished and kept.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    join_run(out)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    cv2.setNumThreads(1)
    _maker = ShardMaker(recipe, seed)


def _end_with(parent: int) -> None:
    """Ends this process when the main one is gone: a killed main process cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _make_shard_in_worker(out: Path, number: int, indices: range) -> int:
    return _maker.make(out, number, indices)
