"""A folder of completions, so that nothing is asked twice: safe with several processes and when one is killed."""

import asyncio
import fcntl
import hashlib
import json
import os
import time
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic
from sos_mm.checks import writable_folder
from sos_mm.language_model.completion import Completion

# Part of every key: another number makes all that was stored unknown.
_LAYOUT = 1
_POLL = 0.02


def completion_key(question: dict[str, Any], max_bytes: int) -> str:
    """The name of a question in the cache: SHA-256 of all that the answer depends on.

    Args:
        question: What is sent: model, messages, schema, sampling parameters, seed.
        max_bytes: Beyond how many bytes an answer is refused.
    """
    content = json.dumps([_LAYOUT, max_bytes, question], separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


class CompletionCache:
    """Completions by key, each a file ``ab/abcd....json`` that is there whole or not at all.

    Args:
        folder: Where they are; made if it is missing.

    Raises:
        NotADirectoryError, PermissionError: If the folder cannot be written.
    """

    def __init__(self, folder: str | Path):
        self.folder = writable_folder(folder, "The cache of the language model").resolve()

    def read(self, key: str) -> Completion | None:
        """What was answered; None if nothing was, or if the file is damaged."""
        try:
            return Completion(**json.loads(self._path(key).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None

    def write(self, key: str, completion: Completion) -> None:
        """Stores an answer.

        Raises:
            OSError: If it cannot be written, as on a full disk.
        """
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, json.dumps(asdict(completion)).encode())

    async def lock(self, key: str, seconds: float) -> bool:
        """Keeps other processes from asking the same; where one does, waits for it.

        A lock ends with the process that holds it. One process does not lock itself out.

        Returns:
            Whether it is locked; False if the time is over.
        """
        end = time.monotonic() + seconds
        while not self._try_lock(key):
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(_POLL)
        return True

    def unlock(self, key: str) -> None:
        """Lets others ask the same."""
        fcntl.lockf(_lock_file(self.folder / "locks"), fcntl.LOCK_UN, 1, _byte(key))

    def _try_lock(self, key: str) -> bool:
        try:
            fcntl.lockf(_lock_file(self.folder / "locks"), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(key))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _byte(key: str) -> int:
    """Which byte of the lock file, far beyond its end, stands for a key."""
    return int(key[:15], 16)


@lru_cache(None)
def _lock_file(path: Path) -> int:
    """Opens the file for good: a process that closes it anywhere loses all its locks on it."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
