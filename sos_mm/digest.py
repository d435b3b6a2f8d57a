"""Computes the SHA-256 of files."""

import hashlib
from pathlib import Path

# Bytes that are read at once.
_BLOCK = 2**20


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
