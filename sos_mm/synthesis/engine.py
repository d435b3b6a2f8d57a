"""The engine: generates a data set in shards with any number of processes, and resumes after an interruption."""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.atomic import explaining_full_disk
from sos_mm.checks import check_choice, check_integer, require_posix
from sos_mm.formats.checksums import CHECKSUMS
from sos_mm.formats.shards import SHARDS_INDEX
from sos_mm.storage import ObjectStore, is_address
from sos_mm.synthesis.complete import open_complete, read_manifest
from sos_mm.synthesis.environment import library_facts
from sos_mm.synthesis.executors import EXECUTORS
from sos_mm.synthesis.later_merging import merge_later, settle
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.merging import damaged_shards, merge_shards
from sos_mm.synthesis.photographs import check_once, unusable_photographs
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.remote import RemoteRun
from sos_mm.synthesis.shards import shard_folder
from sos_mm.synthesis.sources import ON_CHANGE, SourceStates
from sos_mm.synthesis.unmerged import MERGE
from sos_mm.synthesis.workspace import complete_shards, sole_run
from sos_mm.terminal import progress_bar

# Increased whenever the output bytes for a given recipe and seed change.
FORMAT = 9
# How often a shard that reads back otherwise than it was written is made again.
_REPAIRS = 2
# Number of broken segments that the report names.
_FAULTS_SHOWN = 3


@dataclass(frozen=True)
class SynthesisReport:
    """The results of a run of `synthesize`.

    Attributes:
        out: Folder of the data set, or its address on object storage.
        images: Number of images.
        objects: Number of objects.
        limited: Number of objects that the layout's ``max_enlargement`` reduced.
        categories: Number of categories with at least one object.
        made: Number of images that this run generated; the others existed already.
        seconds: Duration of this run.
        skipped: Number of segments of the bank that could not be used, by reason.
        faults: Error messages of the first of them; each names a file.
        left_out: Error messages of the photographs of the backgrounds that were left out, by name.
        merge: Which annotation files are merged: one of `MERGE`.
    """

    out: str | Path
    images: int
    objects: int
    limited: int
    categories: int
    made: int
    seconds: float
    skipped: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    merge: str = "all"

    def describe(self) -> str:
        """Formats the results as a few lines of text."""
        rate = f"{self.made} images made in {self.seconds:.1f} s, {self.made / self.seconds:.1f} images/s"
        lines = [
            f"{self.out}: {self.images} images, {self.objects} objects ({rate if self.made else 'already there'})",
            f"{self.objects / self.images:.1f} objects an image of {self.categories} categories; "
            f"checksums of all files are in {CHECKSUMS}",
        ]
        if self.merge != "all":
            lines.append(
                f"{self.out}/{SHARDS_INDEX} lists the annotation files of single shards; the same command with "
                "`--merge all` merges them"
            )
        if self.limited:
            share = f"{self.limited / self.objects:.1%}"
            lines.append(
                f"{self.limited} objects ({share}) are smaller than drawn, since `max_enlargement` holds them so"
            )
        if self.skipped:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.skipped.items()))
            lines.append(f"{sum(self.skipped.values())} segments of the bank were skipped: {kinds}")
            lines += [f"  {fault}" for fault in self.faults[:_FAULTS_SHOWN]]
        if self.left_out:
            lines.append(f"{len(self.left_out)} photographs of the backgrounds were left out:")
            lines += [f"  {fault}" for fault in list(self.left_out.values())[:_FAULTS_SHOWN]]
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
    verify: bool = False,
    changed_sources: str = "error",
    merge: str = "all",
) -> SynthesisReport:
    """Generates a data set, or resumes one that was interrupted.

    The bytes depend only on recipe, seed, number of images and the libraries that the manifest lists. An interrupted
    run resumes after its last complete shard, and makes shards that were damaged meanwhile again; a complete data set
    is not changed.

    Args:
        recipe: The recipe.
        out: Folder of the data set: a new or empty one, or one that the same call has started; or an address
            ``s3://BUCKET/PREFIX`` on object storage, see `RemoteRun`.
        num: Number of images.
        workers: Number of processes; 1 generates everything in this process.
        seed: The seed of the data set, at least 0.
        shard_size: Number of images in a shard; a run resumes at a shard.
        executor: 'processes' of this machine, or 'ray' for a Ray cluster (see `run_ray`).
        progress: Whether to show a progress bar on stderr.
        verify: Whether to read all files of a complete data set and compare their checksums.
        changed_sources: What to do if segments or backgrounds have changed since an interrupted run began: 'error', or
            'continue' to make the missing images from those of now. The manifest then says under ``source_states``
            which images came from which state.
        merge: Which annotation files are merged: 'none', 'odvg' (those of JSON lines, which are read line by line), or
            'all'. The others are written for each shard into ``shards/``. 'all' merges them later too, to the bytes of
            merging at once; what is merged stays so.

    Raises:
        ValueError: If a number is out of its range, or a source of segments or backgrounds is invalid. Photographs are
            decoded before the first image.
        FileExistsError: If the folder holds other files, or a source changed since the run started.
        NotADirectoryError, PermissionError: If it cannot be written.
        OSError: If the disk is full; complete shards are kept.
        RuntimeError: If an image cannot be generated, or a worker was killed; on Windows.
    """
    require_posix("Composing a data set")
    for name, value, low in (
        ("num", num, 1),
        ("workers", workers, 1),
        ("seed", seed, 0),
        ("shard_size", shard_size, 1),
    ):
        check_integer(name, value, low, 2**31 - 1)
    check_choice("executor", executor, EXECUTORS)
    check_choice("changed_sources", changed_sources, ON_CHANGE)
    check_choice("merge", merge, MERGE)
    start = time.monotonic()
    identity = {"format": FORMAT, "recipe_sha256": recipe.sha256, "seed": seed, "num": num}
    if is_address(out):
        if changed_sources != "error":
            raise ValueError(
                "`changed_sources` must be 'error' where the data set is on object storage, but got "
                f"{changed_sources!r}."
            )
        run = RemoteRun(ObjectStore(str(out)), recipe, identity, shard_size, workers, merge, executor, progress)
        with explaining_full_disk(Path(tempfile.gettempdir()), kept="Uploaded shards"):
            return _report(run.complete(verify), str(out), run.made, start, run.faults)
    out = Path(out)
    with explaining_full_disk(out):
        settle(out)
        found = open_complete(out, identity, verify)
        if found is not None:
            return _report(_merged_to(out, found, merge), out, 0, start)
        with sole_run(out, {**identity, "shard_size": shard_size}) as to_make:
            if not to_make:  # Another run has completed it meanwhile.
                return _report(open_complete(out, identity, verify) or read_manifest(out), out, 0, start)
            maker = ShardMaker(recipe, seed)
            shards = [range(first, min(first + shard_size, num)) for first in range(0, num, shard_size)]
            states = _checked_sources(maker, out, num, changed_sources, progress)
            made = _make_shards(maker, out, shards, workers, executor, progress)
            noted = {**identity, **states.to_manifest(shards, made), "skipped": maker.scenes.bank.skipped}
            noted["libraries"] = library_facts()
            settings = recipe.to_dict()
            manifest = merge_shards(out, len(shards), noted, settings, maker.tables, maker.categories, merge)
    number = sum(len(shards[each]) * times for each, times in made.items())
    return _report(manifest, out, number, start, maker.scenes.bank.faults)


def _merged_to(out: Path, manifest: Mapping[str, Any], merge: str) -> Mapping[str, Any]:
    """Merges the annotation files of a complete data set if that is asked for; returns the manifest."""
    found = manifest.get("merge", "all")
    if merge == "odvg" and found == "none":
        raise FileExistsError(
            f"{out} is complete and has the annotation files of single shards: give `--merge all`, which merges all of "
            "them, or `--merge none`, which leaves them."
        )
    return merge_later(out) if merge == "all" and found != "all" else manifest


def _checked_sources(maker: ShardMaker, out: Path, num: int, changed: str, progress: bool) -> SourceStates:
    """Compares the sources with those of the start of the run, and decodes the photographs once."""
    sources, complete = maker.sources, complete_shards(out)
    # First without the photographs that are left out, so that a change is told before they are decoded.
    SourceStates.check(out, sources, changed)
    left_out = check_once(
        out,
        sources["backgrounds"],
        lambda: unusable_photographs(maker.scenes.backgrounds, maker.seed, num, progress),
    )
    maker.leave_out(left_out)
    return SourceStates.note(out, sources, left_out, complete)


def _make_shards(
    maker: ShardMaker, out: Path, shards: Sequence[range], workers: int, executor: str, progress: bool
) -> Counter[int]:
    """Makes the missing shards, verifies all of them, and makes damaged ones again.

    Returns:
        How often each shard was made, by its number.
    """
    pending = {number: indices for number, indices in enumerate(shards) if not shard_folder(out, number).exists()}
    made: Counter[int] = Counter()
    for _ in range(_REPAIRS + 1):
        with progress_bar(total=sum(map(len, pending.values())), unit="images", shown=progress) as bar:
            for written in EXECUTORS[executor](maker, out, pending, workers):
                bar.update(written)
        made.update(pending.keys())
        damaged = damaged_shards(out, len(shards))
        if not damaged:
            return made
        print(f"{len(damaged)} shards are damaged and are made again", file=sys.stderr, flush=True)
        for number in damaged:
            shutil.rmtree(shard_folder(out, number), ignore_errors=True)
        pending = {number: shards[number] for number in damaged}
    raise OSError(f"Shards in {out} read back otherwise than they were written, {_REPAIRS + 1} times: check the disk.")


def _report(
    manifest: Mapping[str, Any], out: str | Path, made: int, start: float, faults: tuple[str, ...] = ()
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
        manifest.get("backgrounds_left_out", {}),
        manifest.get("merge", "all"),
    )
