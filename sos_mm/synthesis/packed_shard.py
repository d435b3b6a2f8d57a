"""Shards on their way from one machine to another: all files of one in a single array of bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sos_mm.synthesis.shards import new_shard, read_summary, shard_folder


@dataclass(frozen=True)
class PackedShard:
    """The files of a shard in one array, which Ray's object store hands over without a copy.

    Args:
        number: Number of the shard.
        images: Number of images in it.
        files: Path in the shard's folder, and size in bytes, of each file.
        content: (N,) uint8, the files one after the other.
    """

    number: int
    images: int
    files: Sequence[tuple[str, int]]
    content: np.ndarray

    @classmethod
    def read(cls, out: Path, number: int) -> "PackedShard":
        """Reads a complete shard of a folder."""
        folder = shard_folder(out, number)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
        content, start = np.empty(sum(size for _, size in files), np.uint8), 0
        for path, (_, size) in zip(paths, files, strict=True):
            content[start : start + size] = np.fromfile(path, np.uint8)
            start += size
        return cls(number, read_summary(folder)["images"], files, content)

    def write(self, out: Path) -> int:
        """Writes the shard into a data set's folder, completely or not at all; returns its number of images.

        Raises:
            OSError: As `write_shard`.
        """
        with new_shard(out, self.number) as folder:
            start = 0
            for name, size in self.files:
                path = folder / name
                path.parent.mkdir(exist_ok=True)
                self.content[start : start + size].tofile(path)
                start += size
        return self.images
