"""The engine: makes a data set in shards, with any number of processes, and goes on after an interruption."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.checks import check_choice, check_range
from sos_mm.synthesis.executors import EXECUTORS
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import (
    CHECKSUMS,
    merge,
    note_sources,
    open_folder,
    shard_folder,
    sole_run,
    telling_full_disk,
)
from sos_mm.terminal import progress_bar

# Raised whenever the same recipe and seed give other bytes than before.
FORMAT = 5
# Broken segments that the end report names.
_FAULTS_TOLD = 3


@dataclass(frozen=True)
class SynthesisReport:
    """What a run of `synthesize` did.

    Attributes:
        out: Folder of the data set.
        images: Images in it.
        objects: Objects in them.
        limited: Objects that the layout's ``max_enlargement`` made smaller than the layout drew them.
        categories: Categories with at least one object.
        made: Images that this run made; the others were there already.
        seconds: Time this run took.
        skipped: How many segments of the bank could not be used, by what was wrong with them.
        faults: What was wrong with each of the first of them; each text names a file.
    """

    out: Path
    images: int
    objects: int
    limited: int
    categories: int
    made: int
    seconds: float
    skipped: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describes the run in a few lines."""
        rate = f"{self.made} images made in {self.seconds:.1f} s, {self.made / self.seconds:.1f} images/s"
        lines = [
            f"{self.out}: {self.images} images, {self.objects} objects ({rate if self.made else 'already there'})",
            f"{self.objects / self.images:.1f} objects an image of {self.categories} categories; "
            f"checksums of all files are in {CHECKSUMS}",
        ]
        if self.limited:
            share = f"{self.limited / self.objects:.1%}"
            lines.append(
                f"{self.limited} objects ({share}) are smaller than drawn, since `max_enlargement` holds them so"
            )
        if self.skipped:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.skipped.items()))
            lines.append(f"{sum(self.skipped.values())} segments of the bank were skipped: {kinds}")
            lines += [f"  {fault}" for fault in self.faults[:_FAULTS_TOLD]]
        return "\n".join(lines)


def synthesize(
    recipe: Recipe,
    out: str | Path,
    num: int,
    *,
    workers: int = 1,
    seed: int = 0,
    shard_size: int = 100,
    executor: str = "processes",
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
        executor: 'processes' of this machine, or 'ray' for a Ray cluster (see `run_ray`).
        progress: Whether to say on stderr how far it is.

    Raises:
        ValueError: If a number is out of its range, or a source of segments or backgrounds is faulty.
        FileExistsError: If the folder holds something else, or a source changed since the run began.
        NotADirectoryError, PermissionError: If it cannot be written.
        OSError: If the disk is full; whole shards are kept.
        RuntimeError: If an image cannot be made, or a worker was killed.
    """
    for name, value, low in (
        ("num", num, 1),
        ("workers", workers, 1),
        ("seed", seed, 0),
        ("shard_size", shard_size, 1),
    ):
        check_range(name, value, low, 2**31 - 1)
    check_choice("executor", executor, EXECUTORS)
    start, out = time.monotonic(), Path(out)
    identity = {"format": FORMAT, "recipe_sha256": recipe.sha256, "seed": seed, "num": num}
    with telling_full_disk(out):
        manifest = open_folder(out, identity, shard_size)
        if manifest is not None:
            return _report(manifest, out, 0, start)
        with sole_run(out):
            maker = ShardMaker(recipe, seed)
            note_sources(out, maker.sources)
            shards = [range(first, min(first + shard_size, num)) for first in range(0, num, shard_size)]
            pending = {i: indices for i, indices in enumerate(shards) if not shard_folder(out, i).exists()}
            made = sum(map(len, pending.values()))
            with progress_bar(total=made, unit="images", shown=progress) as bar:
                for written in EXECUTORS[executor](maker, out, pending, workers):
                    bar.update(written)
            noted = {**identity, "sources": maker.sources, "skipped": maker.scenes.bank.skipped}
            manifest = merge(out, len(shards), noted, recipe.to_dict(), maker.tables, maker.categories)
    return _report(manifest, out, made, start, maker.scenes.bank.faults)


def _report(
    manifest: Mapping[str, Any], out: Path, made: int, start: float, faults: tuple[str, ...] = ()
) -> SynthesisReport:
    counts = manifest["counts"]
    return SynthesisReport(
        out,
        counts["images"],
        counts["objects"],
        counts["limited"],
        len(counts["instances_of"]),
        made,
        time.monotonic() - start,
        manifest["skipped"],
        faults,
    )
