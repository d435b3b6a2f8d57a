"""Temporary files of a writer beside its target, and the removal of those that a killed writer left there.

Each writer locks one of its files until it ends, however it ends. A later writer of the same target removes the files
of those writers whose lock is free, and no others.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sos_mm.locks import lock_file, take_lock

_LOCK = "lock"


@contextmanager
def temporary_files(
    target: Path, names: Sequence[str], finish: Callable[[list[Path]], object] = lambda parts: None
) -> Iterator[list[Path]]:
    """Yields the paths of temporary files, ``.TARGET.NAME-PID`` beside the target, and removes them at the end.

    Those of killed writers of the same target are removed first.

    Args:
        target: The file that is written at last.
        names: Short names of the temporary files, in lower case.
        finish: Finishes what a writer had begun, from its temporary files before they are removed: at the end, and in
            place of a killed writer.

    Raises:
        OSError: If the folder cannot be written.
    """
    _remove_abandoned(target, names, finish)
    lock_path = _path(target, _LOCK, os.getpid())
    parts = [_path(target, name, os.getpid()) for name in names]
    lock = lock_file(lock_path, wait=True)
    assert lock is not None, "it waits"
    with lock:
        try:
            yield parts
        finally:
            # The lock is the last to go, so that a removal that is interrupted is finished by the next writer.
            finish(parts)
            for part in (*parts, lock_path):
                part.unlink(missing_ok=True)


def _path(target: Path, name: str, process: int) -> Path:
    return target.with_name(f".{target.name}.{name}-{process}")


def _remove_abandoned(target: Path, names: Sequence[str], finish: Callable[[list[Path]], object]) -> None:
    """Removes the temporary files of writers that have ended."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_LOCK}-(\d+)")
    for found in filter(None, map(pattern.fullmatch, os.listdir(target.parent))):
        lock_path = target.with_name(found[0])
        try:
            lock = open(lock_path)  # noqa: SIM115 # Closed below.
        except OSError:
            continue  # Gone meanwhile, or of another user.
        with lock:
            if not take_lock(lock):
                continue  # Its writer is alive.
            parts = [_path(target, name, int(found[1])) for name in names]
            finish(parts)
            for path in (*parts, lock_path):
                path.unlink(missing_ok=True)
