"""The list of the SHA-256 checksums of a data set's files, in the format of ``sha256sum -c``."""

from collections.abc import Collection, Iterable
from pathlib import Path

# Checksums of all files except itself and what is written after it.
CHECKSUMS = "checksums.sha256"


def checksum_lines(checksums: Iterable[tuple[str, str]]) -> bytes:
    """Encodes one line for each file.

    Args:
        checksums: Path in the data set and SHA-256 of each file.
    """
    return "".join(f"{sha256}  {name}\n" for name, sha256 in checksums).encode()


def read_checksums(out: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Reads the SHA-256 checksums by file of a complete data set, of all files or of some.

    Raises:
        FileNotFoundError: If the list of checksums is missing.
        ValueError: If a line of it is invalid.
    """
    path = out / CHECKSUMS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, which holds the files' checksums: make the data set again.")
    checksums = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            sha256, blanks, name = line.rstrip("\n").partition("  ")
            if not blanks or len(sha256) != 64:
                raise ValueError(f"{path}, line {number} must be a checksum and a file, but is {line[:80]!r}.")
            if names is None or name in names:
                checksums[name] = sha256
    return checksums
