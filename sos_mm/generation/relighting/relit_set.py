"""The folder of a relit data set: the records of finished batches, its completion, and what is read of it."""

import hashlib
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sos_mm.atomic import atomic_path, remove_work, sync, write_atomic
from sos_mm.checks import writable_folder
from sos_mm.digest import sha256_of
from sos_mm.formats.checksums import CHECKSUMS, checksum_lines
from sos_mm.formats.composed import MANIFEST
from sos_mm.formats.json_reader import read_json_object, record_lines
from sos_mm.formats.records import OBJECT, TEXT, check_below, check_record, optional
from sos_mm.generation.relighting.composed_set import ANNOTATIONS, IMAGES, ComposedSet, SetImage
from sos_mm.locks import check_same_run, one_at_a_time

# Written last: a relit data set with it is complete.
SUMMARY = "relighting.json"
# What was done to each image, one line an image.
SIDECAR = f"{ANNOTATIONS}/relighting.jsonl"
# What a relit data set does not take over: these are about the images as they were.
_LEFT = (MANIFEST, CHECKSUMS, SUMMARY, SIDECAR)
_WORK, _RUN, _LOCK = ".relighting", "run.json", "merge.lock"
# What the folder of an unfinished run holds that is a run's own, and temporary files of killed processes.
_OWN = re.compile(r"(\.?\d{6,}\.jsonl|\.?run\.json)(\.part(-\d+)?)?|merge\.lock")
# The states of an image.
RELIT, UNLIT, BROKEN = "relit", "unlit", "broken"
_RECORD = {"file_name": TEXT, "status": TEXT}


@dataclass(frozen=True)
class RelightReport:
    """The results of a run.

    Attributes:
        out: Folder of the relit data set.
        complete: Whether all images are done; otherwise other processes still have some.
        made: Number of images that this run processed; the others existed already.
        counts: Numbers by name: of all images, those relit, unlit and broken, those relit more than once, and those
            kept unlit by reason.
    """

    out: Path
    complete: bool
    made: int
    counts: Mapping[str, int]

    def describe(self) -> str:
        """Formats the results as a few lines of text."""
        if not self.complete:
            return f"{self.out}: {self.made} images made; the other processes still have some"
        counts = Counter(self.counts)
        lines = [
            f"{self.out}: {counts['images']} images ({self.made} made now): {counts[RELIT]} relit, "
            f"{counts[UNLIT]} kept unlit, {counts[BROKEN]} broken ones copied"
        ]
        if counts["again"]:
            lines.append(f"{counts['again']} images were relit more than once, since the guard did not accept them")
        for name, number in sorted(self.counts.items()):
            if name.startswith("unlit: "):
                lines.append(f"{number} kept unlit: {name.removeprefix('unlit: ')}")
        return "\n".join(lines)


class RelitSet:
    """The folder of a relit data set, to which several processes may write.

    Until it is complete, the folder `.relighting` holds the run's identity and one file of records a finished batch.

    Args:
        out: The folder.
        composed: The data set that is relit.
        identity: What identifies the run, as JSON values.
    """

    def __init__(self, out: str | Path, composed: ComposedSet, identity: Mapping[str, Any]):
        self._out, self._composed, self._identity = Path(out), composed, identity

    @property
    def is_complete(self) -> bool:
        """Whether the data set is complete."""
        return (self._out / SUMMARY).is_file()

    def open(self) -> None:
        """Creates the folder, or checks that it is that of the same run.

        Raises:
            FileExistsError: If it holds other files, or belongs to another run.
            ValueError: If it lies in the data set that is relit, or the other way round.
        """
        inside, outside = self._out.resolve(), self._composed.root.resolve()
        if inside == outside or outside in inside.parents or inside in outside.parents:
            raise ValueError(
                f"`out` must be a folder apart from the data set {self._composed.root}, but got {self._out}."
            )
        writable_folder(self._out, "`out`")
        run = self._out / _WORK / _RUN
        if not run.is_file():
            strangers = sorted(path.name for path in self._out.iterdir() if path.name != _WORK)
            if self.is_complete:  # Another process has completed it meanwhile.
                return
            if strangers:
                raise FileExistsError(
                    f"`out` must be a new or empty folder, or one that the same command has begun, but {self._out} "
                    f"holds {strangers[0]}: name another folder."
                )
            run.parent.mkdir(exist_ok=True)
            write_atomic(run, json.dumps(self._identity, indent=1).encode())
        check_same_run(self._out, read_json_object(run, "The identity of an unfinished data set"), self._identity)

    def place(self, image: SetImage) -> Path:
        """Returns the path of an image's file; creates its folder."""
        path = self._out / IMAGES / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, image: SetImage) -> str | None:
        """Copies an image as it is; returns its SHA-256, or None if there is none to copy."""
        source = self._composed.path_of(image)
        return _copy(source, self.place(image)) if source.is_file() else None

    def has_records(self, number: int) -> bool:
        """Returns whether a batch is finished."""
        return self._records(number).exists()

    def write_records(self, number: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes the records of a batch, whose images are written already: it is finished then.

        The last line is the checksum of the others.
        """
        lines = _lines(records)
        with self._unless_complete():
            write_atomic(self._records(number), lines + hashlib.sha256(lines).hexdigest().encode())

    def complete(self, batches: int, made: int) -> RelightReport | None:
        """Completes the data set if all batches are finished: other files, sidecar, checksums, and the summary last.

        Batches whose records or images are not what was written are no longer finished.

        Args:
            batches: Number of batches.
            made: Number of images that this process made.

        Returns:
            The report; None if there were such batches.
        """
        with self._unless_complete(), one_at_a_time(self._out / _WORK / _LOCK):
            if self.is_complete:
                return self.report(made)
            if not all(self.has_records(number) for number in range(batches)):
                return RelightReport(self._out, False, made, {})
            read = {number: self._read_records(number) for number in range(batches)}
            damaged = [number for number, records in read.items() if records is None]
            if damaged:
                print(f"{len(damaged)} batches are damaged and are made again", file=sys.stderr, flush=True)
                for number in damaged:
                    self._records(number).unlink()
                return None
            self._merge([record for records in read.values() for record in records or ()])
        return self.report(made)

    @contextmanager
    def _unless_complete(self) -> Iterator[None]:
        """Passes over the lack of the run's folder, which another process removes when the data set is complete."""
        try:
            yield
        except FileNotFoundError:
            if not self.is_complete:
                raise

    def _read_records(self, number: int) -> list[dict[str, Any]] | None:
        """Reads the records of a batch; returns None if they or an image of theirs are not what was written."""
        lines, _, sha256 = self._records(number).read_bytes().rpartition(b"\n")
        lines += b"\n"
        if hashlib.sha256(lines).hexdigest().encode() != sha256:
            return None
        records = [json.loads(line) for line in lines.splitlines()]
        return records if all(map(self._is_intact, records)) else None

    def _is_intact(self, record: Mapping[str, Any]) -> bool:
        path = self._out / IMAGES / record["file_name"]
        return (sha256_of(path) if path.is_file() else None) == record["sha256"]

    def _merge(self, records: list[dict[str, Any]]) -> None:
        records.sort(key=lambda record: record["file_name"])
        sums = {f"{IMAGES}/{record['file_name']}": record["sha256"] for record in records if record["sha256"]}
        for name in self._composed.other_files(_LEFT):
            (self._out / name).parent.mkdir(parents=True, exist_ok=True)
            sums[name] = _copy(self._composed.root / name, self._out / name)
        (self._out / ANNOTATIONS).mkdir(exist_ok=True)
        write_atomic(self._out / SIDECAR, lines := _lines(records))
        sums[SIDECAR] = hashlib.sha256(lines).hexdigest()
        write_atomic(self._out / CHECKSUMS, checksum_lines(sorted(sums.items())))
        summary = {**self._identity, "counts": _count(records)}
        write_atomic(self._out / SUMMARY, json.dumps(summary, indent=1).encode())
        sync(self._out)

    def report(self, made: int) -> RelightReport:
        """Returns the results of a complete data set.

        Raises:
            FileExistsError: If it belongs to another run.
            ValueError: If its summary cannot be read.
        """
        summary = read_json_object(self._out / SUMMARY, "The summary of a relit data set")
        check_same_run(self._out, summary, self._identity)
        check_record(summary, {"counts": OBJECT}, f"{self._out / SUMMARY}:")
        # Also left behind when a run was ended before its last step.
        remove_work(self._out / _WORK, _OWN)
        return RelightReport(self._out, True, made, summary["counts"])

    def _records(self, number: int) -> Path:
        return self._out / _WORK / f"{number:06d}.jsonl"


def _lines(records: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _count(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter({"images": len(records)})
    for record in records:
        counts[record["status"]] += 1
        counts["again"] += len(record["tries"]) > 1
        if record["status"] == UNLIT:
            counts[f"unlit: {record['reason']}"] += 1
    return dict(counts)


def _copy(source: Path, target: Path) -> str:
    """Copies a file atomically; returns the SHA-256 of the copy."""
    with atomic_path(target) as part:
        shutil.copyfile(source, part)
        return sha256_of(part)


def read_sidecar(out: str | Path) -> Iterator[dict[str, Any]]:
    """Reads what was done to each image of a relit data set.

    Yields:
        ``file_name``, ``status`` ('relit', 'unlit' or 'broken'), ``reason`` where it is not relit, ``sha256``, and
        ``tries``: the draws, the batch size and the guard's verdict of each.

    Raises:
        FileNotFoundError, ValueError: If the file does not exist, or is not of that kind.
    """
    for name, record in record_lines(Path(out) / SIDECAR, {**_RECORD, "reason": optional(TEXT)}):
        check_below(record["file_name"], f"{name} `file_name`")
        yield record
