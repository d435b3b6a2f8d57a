"""A cache of completions on disk, safe for several processes and if one is killed."""

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

# Part of every key: a new number invalidates all stored completions.
_LAYOUT = 1
_POLL = 0.02


def completion_key(question: dict[str, Any], max_bytes: int) -> str:
    """Computes the cache key of a question: the SHA-256 of everything that the answer depends on.

    Args:
        question: The request's body: model, messages, schema, sampling parameters, seed.
        max_bytes: Size limit of the response in bytes.

    Returns:
        64 hexadecimal digits.
    """
    content = json.dumps([_LAYOUT, max_bytes, question], separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


class CompletionCache:
    """Completions by key, each in a file ``ab/abcd....json`` that is written atomically.

    Args:
        folder: Folder of the files; created if it does not exist.

    Raises:
        NotADirectoryError, PermissionError: If the folder cannot be written.
    """

    def __init__(self, folder: str | Path):
        self.folder = writable_folder(folder, "The cache of the language model").resolve()

    def read(self, key: str) -> Completion | None:
        """Reads the completion stored under a key; None if there is none, or if its file is damaged."""
        try:
            return Completion(**json.loads(self._path(key).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None

    def write(self, key: str, completion: Completion) -> None:
        """Stores a completion under a key.

        Raises:
            OSError: If it cannot be written, such as on a full disk.
        """
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, json.dumps(asdict(completion)).encode())

    async def lock(self, key: str, seconds: float) -> bool:
        """Locks a key against other processes; waits up to ``seconds`` while another one holds it.

        A lock ends with the process that holds it. Locking a key twice in the same process does not block.

        Returns:
            Whether the key is locked; False after a time-out.
        """
        end = time.monotonic() + seconds
        while not self._try_lock(key):
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(_POLL)
        return True

    def unlock(self, key: str) -> None:
        """Releases the lock of a key."""
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
    """Returns the offset of the byte in the lock file that stands for a key; it may lie beyond the file's end."""
    return int(key[:15], 16)


@lru_cache(None)
def _lock_file(path: Path) -> int:
    """Opens the lock file and never closes it, since closing any descriptor of it would release all its locks."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
