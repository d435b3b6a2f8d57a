"""Bytes that a process and the loader processes that it starts read from the same memory."""

import mmap
import os
import sys
import tempfile
from collections.abc import Iterable
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any, BinaryIO

import numpy as np


class SharedBytes:
    """Bytes in a temporary file without a name, mapped into memory.

    Forked processes have them with the mapping; spawned ones get the open file. Other pickles hold a copy. The system
    removes the file when the last of these processes ends, however it ends.

    Args:
        file: The file, open for reading and complete.

    Attributes:
        array: (N,) uint8, read-only.
    """

    def __init__(self, file: BinaryIO):
        self._file, size = file, os.fstat(file.fileno()).st_size
        # An empty file cannot be mapped.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        self.array = np.frombuffer(content, np.uint8)

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> "SharedBytes":
        """Writes bytes one after the other into the folder for temporary files (``TMPDIR``).

        Raises:
            OSError: If its disk is full.
        """
        file: Any = tempfile.TemporaryFile(prefix="sos_mm-")  # noqa: SIM115 # Open as long as the bytes are used.
        for part in parts:
            file.write(part)
        file.flush()
        return cls(file)

    def __deepcopy__(self, memo: dict) -> "SharedBytes":
        # Nobody can change them.
        return self

    def __reduce__(self) -> tuple:
        if get_spawning_popen() is None or sys.platform == "win32":
            return SharedBytes.of, ([self.array.tobytes()],)
        return _opened, (DupFd(self._file.fileno()),)


def _opened(descriptor: Any) -> SharedBytes:
    """Maps the file in a spawned process."""
    return SharedBytes(os.fdopen(descriptor.detach(), "rb"))
