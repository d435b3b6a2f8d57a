"""Computes the SHA-256 of files, or of samples of them."""

import hashlib
import os
from pathlib import Path

# Bytes that are read at once.
_BLOCK = 2**20
# Bytes of each sample of a file.
_SAMPLE = 2**12


def sha256_of(path: str | Path) -> str:
    """Returns the SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sampled_digest(path: str | Path) -> str:
    """Computes the SHA-256 of a file's size and of three samples of 4 KiB: its beginning, its middle and its end.

    Files of at most 12 KiB are read completely. Another image in a file of the same size is detected; a change of a
    few pixels may be missed.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(f"{size}\n".encode())
        starts = (0, (size - _SAMPLE) // 2, size - _SAMPLE) if size > 3 * _SAMPLE else range(0, size, _SAMPLE)
        for start in starts:
            digest.update(os.pread(file.fileno(), _SAMPLE, start))
    return digest.hexdigest()
