"""Data sets on object storage: shards are made in a temporary folder, uploaded under temporary keys, and merged.

Objects cannot be locked or renamed. What protects several runs at one address is that all of them write the same bytes:
the first one claims it with recipe, seed, sources, code and libraries, and others that differ are refused. The manifest
is written last, once, and only then is there a data set.
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.digest import sha256_of
from sos_mm.formats.checksums import CHECKSUMS, read_checksums
from sos_mm.formats.composed import MANIFEST, WORK
from sos_mm.formats.json_writer import readable_json
from sos_mm.locks import check_same_run
from sos_mm.storage import ObjectStore
from sos_mm.synthesis.complete import check_contents, read_manifest
from sos_mm.synthesis.environment import code_hash, differences, library_facts
from sos_mm.synthesis.executors import EXECUTORS
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.merging import merge_shards
from sos_mm.synthesis.photographs import unusable_photographs
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import is_intact, read_summary, shard_folder
from sos_mm.synthesis.sources import SourceStates
from sos_mm.synthesis.workspace import complete_shards, sole_run
from sos_mm.terminal import progress_bar

_RUN, _SUMMARY = f"{WORK}/run.json", "shard.json"
# Keys that a run writes until the data set is complete.
_OWN = re.compile(rf"{re.escape(_RUN)}|{re.escape(WORK)}/\d{{6,}}/.+")
# How often a shard that reads back otherwise than it was written is made again.
_REPAIRS = 2


@dataclass
class RemoteRun:
    """A run of `synthesize` whose data set is on object storage.

    Args:
        store: The address of the data set.
        recipe: The recipe.
        identity: The settings that identify the data set, as in its manifest.
        shard_size: Number of images in a shard.
        workers: Number of processes.
        merge: Which annotation files are merged.
        executor: 'processes' of this machine, or 'ray' for a Ray cluster.
        progress: Whether to show progress bars.

    Attributes:
        made: Number of images that this run generated.
        faults: Error messages of segments that could not be used.
    """

    store: ObjectStore
    recipe: Recipe
    identity: Mapping[str, Any]
    shard_size: int
    workers: int
    merge: str
    executor: str
    progress: bool
    made: int = field(default=0, init=False)
    faults: tuple[str, ...] = field(default=(), init=False)

    def complete(self, verify: bool) -> dict[str, Any]:
        """Generates the data set, or resumes it; returns its manifest.

        Args:
            verify: Whether to read all files of a complete data set and compare their checksums.

        Raises:
            FileExistsError: If the address holds something else, or the sources or libraries differ from those of the
                run that began it.
            OSError: From the store.
            ValueError: If files of a complete data set have been changed.
        """
        while True:
            manifest = self._open_complete(verify)
            if manifest is not None:
                return manifest
            with tempfile.TemporaryDirectory(prefix="sos_mm-") as folder:
                try:
                    self._run(Path(folder) / "out")
                except FileNotFoundError:
                    # Another run has completed it meanwhile and removed the shards.
                    if not self.store.exists(MANIFEST):
                        raise

    def _run(self, local: Path) -> None:
        num, seed = self.identity["num"], self.identity["seed"]
        maker = ShardMaker(self.recipe, seed)
        left_out = unusable_photographs(maker.scenes.backgrounds, seed, num, self.progress)
        maker.leave_out(left_out)
        states, libraries = SourceStates(maker.sources, left_out), library_facts()
        self._claim(states, libraries)
        shards = [range(first, min(first + self.shard_size, num)) for first in range(0, num, self.shard_size)]
        with sole_run(local, self.identity):
            if not self._make(maker, local, shards):
                return
            noted = {**self.identity, **states.to_manifest(shards, ()), "skipped": maker.scenes.bank.skipped}
            noted["libraries"], self.faults = libraries, maker.scenes.bank.faults
            self._merge(maker, local, len(shards), noted)

    def _claim(self, states: SourceStates, libraries: Mapping[str, Any]) -> None:
        """Writes what determines the bytes, or compares it with what the first run has written."""
        present = {"sources": states.sources, "left_out": states.left_out}
        identity = {**self.identity, "shard_size": self.shard_size, "merge": self.merge}
        run = {**identity, **present, "libraries": libraries, "code": code_hash()}
        if not self.store.exists(_RUN):
            strangers = sorted(self.store.sizes())
            # Not what another run has just completed.
            if strangers and not self.store.exists(MANIFEST):
                raise FileExistsError(
                    f"{self.store.address} must be a new address, or one that this recipe has begun, but holds "
                    f"{strangers[0]}: name another one."
                )
        if self.store.create(_RUN, readable_json(run)):
            return
        found = json.loads(self.store.read(_RUN))
        check_same_run(self.store.address, found, identity)
        changed = [name for name in present if found.get(name) != present[name]]
        if changed:
            raise FileExistsError(
                f"The segments or backgrounds have changed since the run at {self.store.address} began: bring back "
                "what they were, or remove what is at the address and begin anew."
            )
        told = differences(found["libraries"], libraries)
        told += ["the code of sos_mm differs"] if found["code"] != run["code"] else []
        if told:
            raise FileExistsError(
                f"The run at {self.store.address} was begun with other versions ({'; '.join(told)}): go on with those, "
                "or remove what is at the address and begin anew."
            )

    def _make(self, maker: ShardMaker, local: Path, shards: Sequence[range]) -> bool:
        """Makes and uploads the shards that are not there; returns False if another run has completed the data set."""
        for _ in range(_REPAIRS + 1):
            there = self.store.sizes(WORK)
            pending = {n: each for n, each in enumerate(shards) if f"{_key(n)}/{_SUMMARY}" not in there}
            with progress_bar(total=sum(map(len, pending.values())), unit="images", shown=self.progress) as bar:
                for written in EXECUTORS[self.executor](maker, local, pending, self.workers):
                    bar.update(written)
                    self.made += written
                    self._upload_shards(local)
                    if self.store.exists(MANIFEST):
                        return False
            damaged = self._fetch(local, len(shards))
            if not damaged:
                return True
            print(f"{len(damaged)} shards are damaged and are made again", file=sys.stderr, flush=True)
            self.store.remove([key for key in self.store.sizes(WORK) if key.split("/")[1] in map(_name, damaged)])
            for number in complete_shards(local):
                shutil.rmtree(shard_folder(local, number))
        raise OSError(f"Shards at {self.store.address} read back otherwise than they were written: check the store.")

    def _upload_shards(self, local: Path) -> None:
        """Uploads the complete shards of the local folder, each with its summary last, and removes them."""
        for number in complete_shards(local):
            folder = shard_folder(local, number)
            if is_intact(local, number):
                files = {f"{_key(number)}/{path.relative_to(folder).as_posix()}": path for path in _files(folder)}
                summary = {f"{_key(number)}/{_SUMMARY}": files.pop(f"{_key(number)}/{_SUMMARY}")}
                self.store.upload(files)
                self.store.upload(summary)
            shutil.rmtree(folder)

    def _fetch(self, local: Path, number_of_shards: int) -> list[int]:
        """Downloads summaries and records of all shards; returns the numbers of those that are not whole."""
        there = self.store.sizes(WORK)
        wanted = [key for key in there if key.endswith((f"/{_SUMMARY}", ".jsonl")) and key.count("/") == 2]
        self.store.download({key: local / key for key in wanted})
        return [number for number in range(number_of_shards) if not _is_whole(local, number, there)]

    def _merge(self, maker: ShardMaker, local: Path, number_of_shards: int, noted: Mapping[str, Any]) -> None:
        """Merges the records in the local folder, copies the files in the store, and writes the manifest last."""
        copies: dict[str, str] = {}

        def copy_later(source: Path, target: Path) -> None:
            copies[source.relative_to(local).as_posix()] = target.relative_to(local).as_posix()
            target.parent.mkdir(exist_ok=True)

        settings = self.recipe.to_dict()
        tables, categories = maker.tables, maker.categories
        merge_shards(local, number_of_shards, noted, settings, tables, categories, self.merge, copy_later)
        self.store.copy(copies)
        files = {path.relative_to(local).as_posix(): path for path in _files(local)}
        files = {key: path for key, path in files.items() if not key.startswith(f"{WORK}/")}
        manifest = files.pop(MANIFEST)
        self.store.upload(files)
        # Whoever is second wrote the same.
        self.store.create(MANIFEST, manifest.read_bytes())

    def _open_complete(self, verify: bool) -> dict[str, Any] | None:
        """Reads the manifest of a complete data set, and removes what is left of its shards; None if there is none."""
        store = self.store
        if not store.exists(MANIFEST):
            return None
        with tempfile.TemporaryDirectory(prefix="sos_mm-") as folder:
            local = Path(folder)
            store.download({name: local / name for name in (MANIFEST, CHECKSUMS)})
            manifest = read_manifest(local)
            check_same_run(store.address, manifest, self.identity)
            wanted = {CHECKSUMS: manifest[CHECKSUMS], **read_checksums(local)}
        there = store.sizes()
        store.remove([key for key in there if _OWN.fullmatch(key)])
        missing = sorted(wanted.keys() - there.keys())
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} files of the data set at {store.address} are missing, {missing[0]} first: remove it "
                "and make it again."
            )
        if self.merge == "all" and "merge" in manifest:
            raise ValueError(
                f"The annotation files at {store.address} are those of single shards, which are merged later only in a "
                "folder: download the data set, then run the command with that folder as --out."
            )
        if verify:
            check_contents(store.address, wanted, store.sha256_of)
        return manifest


def _is_whole(local: Path, number: int, there: Mapping[str, int]) -> bool:
    """Returns whether a shard has all its files in the store, and its downloaded records are what was written."""
    folder = shard_folder(local, number)
    try:
        summary = read_summary(folder)
        intact = all(sha256_of(folder / name) == sha256 for name, (_, sha256) in summary["streams"].items())
    except (FileNotFoundError, ValueError):
        return False
    return intact and all(f"{_key(number)}/{name}" in there for name, _ in summary["files"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _name(number: int) -> str:
    return f"{number:06d}"


def _key(number: int) -> str:
    return f"{WORK}/{_name(number)}"
