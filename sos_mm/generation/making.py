"""Makes a bank of drawn segments: prompts, images, cutting out, filters; in shards, by any number of processes."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.atomic import explaining_full_disk, remove_work, write_atomic
from sos_mm.checks import check_integer, require_posix
from sos_mm.digest import sha256_of
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.generation.drawer import Drawer
from sos_mm.generation.joining import METADATA, SEGMENTS, identity_of, join_shards, remove_damaged
from sos_mm.generation.prompts import DrawingPrompt, PromptFile
from sos_mm.generation.recipe import BankRecipe
from sos_mm.generation.shards import (
    MANIFEST,
    OWN,
    SOURCES,
    WORK,
    ShardEntry,
    begin,
    claimed,
    locked,
    shard_folder,
    write_shard,
)
from sos_mm.locks import take_lock
from sos_mm.terminal import progress_bar

PROMPTS = "prompts.jsonl"
# How often a shard that reads back otherwise than it was written is made again.
_REPAIRS = 2


@dataclass(frozen=True)
class MakingReport:
    """The results of a run of `make_segments`.

    Attributes:
        out: Folder of the bank.
        complete: Whether the bank is complete; otherwise other processes are still working on it.
        drawn: Number of images that this run drew, or read from pairs.
        seconds: Duration of this run.
        kept: Number of segments of the bank.
        rejected: Number of rejected images by reason.
        empty: Categories without a segment.
    """

    out: Path
    complete: bool
    drawn: int
    seconds: float
    kept: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    empty: tuple[str, ...] = ()

    def describe(self) -> str:
        """Formats the results as a few lines of text."""
        rate = f"{self.drawn} images in {self.seconds:.1f} s" if self.drawn else "nothing was left to do"
        if not self.complete:
            return f"{self.out}: {rate}; other processes are still working on the rest"
        lines = [f"{self.out}: {self.kept} segments ({rate})"]
        if self.rejected:
            reasons = ", ".join(f"{number} {reason}" for reason, number in self.rejected.items())
            lines.append(f"{sum(self.rejected.values())} images were rejected: {reasons}")
        if self.empty:
            more = f" and {len(self.empty) - 5} more" if len(self.empty) > 5 else ""
            lines.append(f"{len(self.empty)} categories have no segment: {', '.join(self.empty[:5])}{more}")
        if self.kept:
            root, metadata = self.out / SEGMENTS, self.out / METADATA
            lines.append(f'segments = dict(type="release", root="{root}", metadata="{metadata}")')
        return "\n".join(lines)


@dataclass(frozen=True)
class Rank:
    """The rank of this process among those that ``torchrun`` or ``accelerate launch`` has started.

    Attributes:
        rank: Number of the process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> "Rank":
        """Reads ``RANK`` and ``WORLD_SIZE``.

        Raises:
            ValueError: If they are no valid numbers.
        """
        try:
            found = cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
        except ValueError as error:
            raise ValueError(f"`RANK` and `WORLD_SIZE` in the environment must be integers: {error}.") from None
        if not 0 <= found.rank < found.world:
            raise ValueError(f"`RANK` must be in [0, WORLD_SIZE), but got {found.rank} of {found.world}.")
        return found

    def order(self, shards: int) -> list[int]:
        """Returns the numbers of all shards in the order in which this process claims them: its own ones first."""
        own = list(range(self.rank, shards, self.world))
        return own + sorted(set(range(shards)) - set(own))


def make_segments(
    recipe: BankRecipe, out: str | Path, *, seed: int = 0, device: str = "auto", progress: bool = True
) -> MakingReport:
    """Makes a bank of segments that are drawn or cut out of pairs, or resumes one that was interrupted.

    Processes that are started with the same arguments share the work: each claims shards, its own ones by ``RANK``
    first. The last one to finish joins the shards. The bytes depend on recipe, seed, models and libraries, and on the
    machine's arithmetic, not on interruptions or the number of processes.

    Args:
        recipe: The recipe.
        out: Folder of the bank: a new or empty one, or one that the same recipe has begun.
        seed: The seed of prompts and noise, at least 0.
        device: As `sos_mm.generation.loading.find_device`.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError: If a model or file cannot be found; says how to get it.
        ValueError: If a value is invalid, or there are no prompts.
        FileExistsError: If the folder holds other files, or a model changed since the run started.
        RuntimeError: If memory runs out for a single image; on Windows.
        OSError: If the disk is full; complete shards are kept.
    """
    require_posix("Making segments")
    check_integer("seed", seed, 0, 2**62)
    out = Path(out)
    with explaining_full_disk(out):
        try:
            return _made(recipe, out, seed, device, progress)
        except FileNotFoundError:
            # Another process may have completed the bank meanwhile, and have removed the folder of the work.
            if not (out / MANIFEST).exists():
                raise
            return _made(recipe, out, seed, device, progress)


def _made(recipe: BankRecipe, out: Path, seed: int, device: str, progress: bool) -> MakingReport:
    start, rank = time.monotonic(), Rank.of_environment()
    manifest = begin(out, identity_of(recipe, seed))
    if manifest is not None:
        return _report(out, manifest, 0, start)
    with _released_if_empty(out):
        prompts = planned_prompts(recipe, out, seed)
        drawer = Drawer(recipe, prompts, seed, device)
        _note_sources(out, {**drawer.sources, PROMPTS: sha256_of(out / PROMPTS)})
        number = -(-drawer.images // recipe.shard_size)
        drawn = 0
        for _ in range(_REPAIRS + 1):
            drawn += _make_shards(drawer, out, rank.order(number), progress)
            manifest = join_shards(out, number, recipe, seed, drawer.sources, prompts)
            if manifest is not None or not remove_damaged(out, number):
                return _report(out, manifest, drawn, start)
    raise OSError(f"Shards in {out} read back otherwise than they were written, {_REPAIRS + 1} times: check the disk.")


@contextmanager
def _released_if_empty(out: Path) -> Iterator[None]:
    """Releases the folder if the run fails before its first shard: a corrected recipe has another identity.

    Not while another process works there, or has completed the bank.
    """
    with open(out / WORK / "users.lock", "w") as users:
        take_lock(users, shared=True, wait=True)
        try:
            yield
        except BaseException:
            begun = any(path.is_dir() and path.name.isdigit() for path in (out / WORK).glob("*"))
            if not begun and not (out / MANIFEST).exists() and take_lock(users):
                (out / PROMPTS).unlink(missing_ok=True)
                remove_work(out / WORK, OWN)
            raise


def planned_prompts(recipe: BankRecipe, out: Path, seed: int) -> list[DrawingPrompt]:
    """Writes the prompts of a run into its folder, or reads those that are there.

    One process writes them, and the others wait: a language model may answer otherwise the next time.
    """
    with locked(out, "run"):
        path = out / PROMPTS
        if not path.exists():
            prompts = recipe.write_prompts(seed)
            lines = (json.dumps(prompt.to_json(), ensure_ascii=False) + "\n" for prompt in prompts)
            write_atomic(path, "".join(lines).encode())
    return list(PromptFile(path).write([], seed))


def _note_sources(out: Path, sources: Mapping[str, Any]) -> None:
    """Stores what identifies the models and prompts, or checks that they are those of the start of the run."""
    with locked(out, "run"):
        path = out / WORK / SOURCES
        if not path.exists():
            write_atomic(path, readable_json(sources, ascii_only=False))
            return
        before = read_json_object(path, "The list of models of an unfinished bank")
    changed = [name for name in sources if before.get(name) != sources[name]]
    if changed:
        raise FileExistsError(
            f"The run in {out} began with another {' and another '.join(changed)}: bring back what was there, or "
            "remove the folder and begin anew."
        )


def _make_shards(drawer: Drawer, out: Path, order: Sequence[int], progress: bool) -> int:
    """Makes the shards that neither are there nor are claimed by another process; returns the number of images."""
    drawn = 0
    to_make = [number for number in order if not shard_folder(out, number).exists()]
    size = drawer.recipe.shard_size
    total = sum(min(size, drawer.images - number * size) for number in to_make)
    with progress_bar(total=total, unit="images", shown=progress) as bar:
        for number in to_make:
            with claimed(out, number) as is_mine:
                if is_mine:
                    with _closing(drawer.entries(number)) as entries:
                        write_shard(out, number, _counted(entries, bar))
                    drawn += min(size, drawer.images - number * size)
    return drawn


@contextmanager
def _closing(entries: Iterator[ShardEntry]) -> Iterator[Iterator[ShardEntry]]:
    """Ends the threads of a generator also where its consumer fails."""
    try:
        yield entries
    finally:
        entries.close()  # type: ignore[attr-defined]


def _counted(entries: Iterator[ShardEntry], bar: Any) -> Iterator[ShardEntry]:
    for entry in entries:
        bar.update()
        yield entry


def _report(out: Path, manifest: Mapping[str, Any] | None, drawn: int, start: float) -> MakingReport:
    seconds = time.monotonic() - start
    if manifest is None:
        return MakingReport(out, False, drawn, seconds)
    empty = tuple(name for name, number in manifest["kept_of"].items() if not number)
    return MakingReport(out, True, drawn, seconds, manifest["kept"], manifest["rejected"], empty)
