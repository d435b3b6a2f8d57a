"""Estimates the duration and the size of a data set from a few images, which are composed and thrown away."""

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2

from sos_mm.checks import check_choice, check_integer, require_posix
from sos_mm.formats.composed import WORK
from sos_mm.formats.shards import SHARDS
from sos_mm.space import format_size, free_space
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.merging import merge_shards
from sos_mm.synthesis.photographs import unusable_photographs
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import shard_folder
from sos_mm.synthesis.unmerged import MERGE

# Greatest number of images that are measured, and of those that are composed before, when all is slower.
_MEASURED, _WARM_UP = 100, 2


@dataclass(frozen=True)
class Estimate:
    """What a data set will take, by the measured images.

    Attributes:
        num: Number of images.
        workers: Number of processes.
        measured: Number of images that were measured, composed by one process.
        opening_s: Duration of opening the sources, in seconds.
        composing_s: Duration of composing and writing one image in one process, in seconds.
        merging_s: Duration of merging, which one process does, in seconds.
        size: Size of the finished data set in bytes.
        peak: Greatest size while it is merged, in bytes.
    """

    num: int
    workers: int
    measured: int
    opening_s: float
    composing_s: float
    merging_s: float
    size: int
    peak: int

    @property
    def cores(self) -> int:
        """Number of cores of this machine."""
        return os.cpu_count() or 1

    @property
    def rate(self) -> float:
        """Images a second of all workers while they compose."""
        return self.workers / self.composing_s

    @property
    def seconds(self) -> float:
        """Duration of the run."""
        return self.opening_s + self.num / self.rate + self.merging_s

    def describe(self, out: str | Path | None = None) -> str:
        """Formats the estimate as a few lines of text, with the free space of the disk of ``out`` if it is given."""
        one = 1 / self.composing_s
        each = f" ({one:.1f} of each, which needs a core of its own: this machine has {self.cores})"
        lines = [
            f"estimate for {self.num} images, from {self.measured} images composed by one process:",
            f"{self.rate:.1f} images/s of {self.workers} workers{each}" if self.workers > 1 else f"{one:.1f} images/s",
            f"{_hours(self.seconds)}: {_hours(self.num / self.rate)} to compose, {_hours(self.merging_s)} to merge, "
            f"{self.opening_s:.1f} s to open segments and backgrounds",
            f"{format_size(self.size)}, and up to {format_size(self.peak)} before the shards are removed",
        ]
        if out is not None:
            free = free_space(Path(out))
            enough = "" if free >= self.peak else f": {format_size(self.peak - free)} too little"
            lines.append(f"{format_size(free)} are free on the disk of {out}{enough}")
        return "\n".join(lines)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} hours" if seconds >= 360 else f"{seconds:.1f} s"


def estimate(
    recipe: Recipe, num: int, *, workers: int = 1, seed: int = 0, shard_size: int = 100, merge: str = "all"
) -> Estimate:
    """Estimates what `synthesize` will take with these arguments.

    The first images of the data set, a shard of at most 100, are composed, written and merged in a temporary folder of
    the system (``TMPDIR``), which is removed. Workers are taken to be as fast as one process alone, which they are
    while cores and the disk allow it. The photographs of the backgrounds are not all decoded beforehand, as
    `synthesize` does.

    Args:
        recipe: The recipe.
        num: Number of images.
        workers: Number of processes.
        seed: The seed of the data set.
        shard_size: Number of images in a shard.
        merge: Which annotation files are merged.

    Raises:
        ValueError: If an argument is out of its range, or a source of segments or backgrounds is invalid.
        RuntimeError: If an image cannot be generated; on Windows.
    """
    require_posix("Composing a data set")
    for name, value in (("num", num), ("workers", workers), ("shard_size", shard_size)):
        check_integer(name, value, 1, 2**31 - 1)
    check_integer("seed", seed, 0, 2**31 - 1)
    check_choice("merge", merge, MERGE)
    threads = cv2.getNumThreads()
    try:
        if workers > 1:  # As in worker processes.
            cv2.setNumThreads(1)
        with tempfile.TemporaryDirectory(prefix="sos_mm-estimate-") as folder:
            return _measure(Path(folder), recipe, num, workers, seed, shard_size, merge)
    finally:
        cv2.setNumThreads(threads)


def _measure(folder: Path, recipe: Recipe, num: int, workers: int, seed: int, shard_size: int, merge: str) -> Estimate:
    start = time.monotonic()
    maker = ShardMaker(recipe, seed)
    number = min(num, shard_size, _MEASURED)
    maker.leave_out(unusable_photographs(maker.scenes.backgrounds, seed, number + _WARM_UP, progress=False))
    opening_s = time.monotonic() - start
    few = _compose(maker, folder / "few", range(number, number + _WARM_UP), merge)
    many = _compose(maker, folder / "many", range(number), merge)
    # Headers of annotation files, and the time that a file takes however small it is: of each shard if not merged.
    files = 1 if merge == "all" else -(-num // shard_size)
    merging_s = max(many.merging_s - few.merging_s, 0.0) / number
    size = many.growing * num // number + many.headers * files
    return Estimate(
        num,
        workers,
        number,
        opening_s,
        many.composing_s / number,
        num * merging_s + few.merging_s * files,
        size,
        size + many.temporary * num // number,
    )


@dataclass(frozen=True)
class _Composed:
    """Measures of a small data set of one shard: durations in seconds, and sizes in bytes.

    Attributes:
        composing_s, merging_s: Duration of each.
        growing: Size of the data set without the headers of its annotation files: what grows with the images.
        headers: Size of these headers.
        temporary: Size of what is removed at the end.
    """

    composing_s: float
    merging_s: float
    growing: int
    headers: int
    temporary: int


def _compose(maker: ShardMaker, out: Path, indices: range, merge: str) -> _Composed:
    (out / WORK).mkdir(parents=True)
    start = time.monotonic()
    maker.make(out, 0, indices)
    made = time.monotonic()
    shard = shard_folder(out, 0)
    records, summary = _size(shard.glob("*.jsonl")), _size(shard.glob("*.json"))
    before = time.monotonic()
    merge_shards(out, 1, {}, maker.recipe.to_dict(), maker.tables, maker.categories, merge)
    merged = time.monotonic()
    written = _size(path for name in ("annotations", SHARDS) for path in (out / name).glob("*"))
    headers = max(written - records, 0)
    return _Composed(made - start, merged - before, _size(out.rglob("*")) - headers, headers, records + summary)


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
