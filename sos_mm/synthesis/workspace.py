"""The folder of a data set during a run: the lock, the identity of the run, and its sources.

All files that a run keeps until the data set is complete are in one folder, `WORK`. The lock comes first: only its
holder reads or writes other files there. Only names that a run itself writes are ever removed.
"""

import hashlib
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

from sos_mm.atomic import atomic_path, remove_if_empty, sync
from sos_mm.checks import writable_folder
from sos_mm.formats.checksums import CHECKSUMS
from sos_mm.formats.composed import MANIFEST, WORK
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.locks import check_same_run, lock_file, share_until_end, take_lock

_RUN, _RUN_LOCK, _WORKERS_LOCK = "run.json", "run.lock", "workers.lock"
# What a run notes of its sources; see `sources.py`.
SOURCES, CHECKED = "sources.json", "checked.json"
# Folder in which files are written before they get their final names.
_SCRATCH = "scratch"
_SHARD, _PARTIAL = re.compile(r"\d{6,}"), re.compile(r"\d{6,}\.partial-\d+")
# Workers notice the end of their main process within a second, unless the machine is very busy.
_WORKERS_END_S = 60.0


@contextmanager
def sole_run(out: Path, run: Mapping[str, Any]) -> Iterator[bool]:
    """Locks a folder for a run against other runs.

    A run that fails before its first shard releases the folder, since a corrected recipe has another identity.

    Args:
        out: The folder; created if it does not exist.
        run: The identity of the run, as JSON values.

    Yields:
        Whether the data set must be generated; False if another run has completed it meanwhile.

    Raises:
        FileExistsError: If another run is using the folder, or it holds other files than those of this run.
        NotADirectoryError, PermissionError: If it cannot be written.
    """
    writable_folder(out, "`out`")
    lock = _lock(out)
    if lock is None:
        yield False
        return
    with lock, open(out / WORK / _WORKERS_LOCK, "w") as workers:
        _wait_for_workers(out, workers)
        _claim(out, run)
        try:
            yield True
        except BaseException:
            _give_back(out, workers)
            raise


def _lock(out: Path) -> TextIO | None:
    """Opens and locks the lock file of a run; returns None if the data set is complete."""
    while not (out / MANIFEST).exists():
        strangers = sorted(path.name for path in out.iterdir() if path.name != WORK)
        if (out / WORK / MANIFEST).exists():  # Another run merges what was complete, for a moment without its manifest.
            raise _in_use(out)
        if strangers and not (out / WORK / _RUN).exists():
            # The files are those of a data set that another run has just completed.
            if (out / MANIFEST).exists():
                break
            raise FileExistsError(
                f"`out` must be a new or empty folder, or one that this recipe has begun, but {out} holds "
                f"{', '.join(strangers[:3])}{' ...' if len(strangers) > 3 else ''}: name another folder."
            )
        (out / WORK).mkdir(exist_ok=True)
        try:
            lock = lock_file(out / WORK / _RUN_LOCK)
        except FileNotFoundError:
            continue  # Another run has just released the folder.
        if lock is None:
            raise _in_use(out)
        if not (out / MANIFEST).exists():
            return lock
        with lock:
            clear(out)
    return None


def _in_use(out: Path) -> FileExistsError:
    return FileExistsError(f"Another run is writing {out}: wait for it, or name another folder.")


@contextmanager
def lock_of_complete(out: Path) -> Iterator[bool]:
    """Locks the folder of a complete data set; yields whether it could, since no other run holds it."""
    (out / WORK).mkdir(exist_ok=True)
    try:
        lock = lock_file(out / WORK / _RUN_LOCK)
    except FileNotFoundError:  # Another run has just released it.
        lock = None
    with lock or nullcontext():
        yield lock is not None


def _wait_for_workers(out: Path, workers: TextIO) -> None:
    """Waits until the workers of an earlier run have ended: they outlive a killed main process for a moment."""
    deadline, told = time.monotonic() + _WORKERS_END_S, False
    while not take_lock(workers):
        if time.monotonic() > deadline:
            raise FileExistsError(
                f"Worker processes of an earlier run still write {out}: end them, then run the same command again."
            )
        if not told:
            print(f"waiting until the workers of an earlier run in {out} have ended", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.05)
    # From now on the workers of this run may share it.
    take_lock(workers, shared=True)


def _claim(out: Path, run: Mapping[str, Any]) -> None:
    """Stores the identity of the run in the folder, or checks it; removes incomplete shards."""
    names = sorted(path.name for path in (out / WORK).iterdir())
    if _RUN in names:
        check_same_run(out, read_json_object(out / WORK / _RUN, "The identity of an unfinished data set"), run)
    else:
        unknown = [name for name in names if name not in (_RUN_LOCK, _WORKERS_LOCK, _SCRATCH)]
        if unknown:
            raise FileExistsError(
                f"{out / WORK} holds {unknown[0]}, but no {_RUN} that says of which data set: name another folder, or "
                f"remove {out / WORK} if it is not needed."
            )
        replace_file(out, out / WORK / _RUN, [readable_json(run)])
        sync(out / WORK)
    for name in names:
        if _PARTIAL.fullmatch(name):
            shutil.rmtree(out / WORK / name)


def _give_back(out: Path, workers: TextIO) -> None:
    """Releases a folder without a complete shard, unless workers are still writing there."""
    if any(_SHARD.fullmatch(path.name) for path in (out / WORK).glob("*")):
        return
    if take_lock(workers):
        clear(out)


def clear(out: Path) -> None:
    """Removes the run's own files from the folder, and the folder itself if it is then empty."""
    work = out / WORK
    for path in work.glob("*"):
        if _SHARD.fullmatch(path.name) or _PARTIAL.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    # The identity is removed last except for the lock, which excludes other runs until then.
    for name in (_SCRATCH, CHECKED, SOURCES, CHECKSUMS, MANIFEST, _WORKERS_LOCK, _RUN, _RUN_LOCK):
        (work / name).unlink(missing_ok=True)
    remove_if_empty(work)


def complete_shards(out: Path) -> list[int]:
    """Returns the numbers of the complete shards of an unfinished data set."""
    return sorted(int(path.name) for path in (out / WORK).glob("*") if _SHARD.fullmatch(path.name))


def join_run(out: Path) -> None:
    """Makes later runs wait for this worker process until it has ended."""
    share_until_end(out / WORK / _WORKERS_LOCK)


def replace_file(out: Path, path: Path, parts: Iterable[bytes]) -> str:
    """Writes a file of the data set atomically, and returns its SHA-256."""
    digest = hashlib.sha256()
    with atomic_path(path, out / WORK / _SCRATCH) as scratch, open(scratch, "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
    return digest.hexdigest()
