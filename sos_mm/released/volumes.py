"""Multi-volume 7z archives: which files belong together, and reading them as one file."""

import bisect
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

# A volume as `name.7z.001`, or an archive of one file.
_ARCHIVE = re.compile(r"(?P<name>.+\.7z)(?:\.(?P<number>\d{3,}))?", re.IGNORECASE)


def is_volume(path: str) -> bool:
    """Returns whether a path is named as an archive, or a volume of one.

    >>> [is_volume(name) for name in ("a.7z.001", "a.7z", "a.json")]
    [True, True, False]
    """
    return _ARCHIVE.fullmatch(path) is not None


def group_volumes(paths: Iterable[str]) -> dict[str, list[str]]:
    """Groups the volumes of archives.

    Args:
        paths: Names of files; those that are not named as archives are passed over.

    Returns:
        The volumes of each archive in their order, by the archive's name.

    Raises:
        ValueError: If a volume is missing; names it.

    >>> group_volumes(["a.7z.002", "a.7z.001", "b.7z", "readme.md"])
    {'a.7z': ['a.7z.001', 'a.7z.002'], 'b.7z': ['b.7z']}
    """
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for path in sorted(paths):
        found = _ARCHIVE.fullmatch(path)
        if found is not None:
            groups[found["name"]][int(found["number"] or 1)] = path
    for name, volumes in groups.items():
        # Numbers begin with 1; 0 is accepted since the cards of the released sets say so.
        first = 0 if 0 in volumes else 1
        for number in range(first, max(volumes)):
            if number not in volumes:
                there = ", ".join(volumes[each] for each in sorted(volumes)[:3])
                raise ValueError(
                    f"The archive {name} must be complete, but its volume {number:03} is missing (there is {there}, "
                    "...): ask whoever published it."
                )
    return {name: [volumes[number] for number in sorted(volumes)] for name, volumes in groups.items()}


class VolumeFile(io.RawIOBase):
    """The volumes of an archive as one file for reading.

    Args:
        sizes: Sizes of the volumes in bytes.
        path_of: Returns the path of a volume by its index, when it is read for the first time.
    """

    def __init__(self, sizes: Sequence[int], path_of: Callable[[int], Path]):
        super().__init__()
        self._ends = list(accumulate(sizes))
        self._path_of, self._position = path_of, 0
        self._open: tuple[int, BinaryIO] | None = None

    @property
    def length(self) -> int:
        """Size of all volumes in bytes."""
        return self._ends[-1] if self._ends else 0

    def holding(self, start: int, end: int) -> range:
        """Returns the indices of the volumes that hold the bytes from ``start`` to before ``end``."""
        if end <= start:
            return range(0)
        return range(bisect.bisect_right(self._ends, start), bisect.bisect_left(self._ends, end) + 1)

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise ValueError(f"`offset` must not lead before the file, but got {offset}.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads up to the end of a volume into a buffer; returns the number of bytes."""
        if self._position >= self.length:
            return 0
        index = bisect.bisect_right(self._ends, self._position)
        start = self._ends[index - 1] if index else 0
        file = self._volume(index)
        file.seek(self._position - start)
        view = memoryview(buffer)[: self._ends[index] - self._position]
        number = file.readinto(view)  # type: ignore[attr-defined]
        if not number:
            raise ValueError(f"The volume {file.name} is shorter than it should be: remove it and get it again.")
        self._position += number
        return number

    def close(self) -> None:
        """Closes the volume that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def _volume(self, index: int) -> BinaryIO:
        if self._open is None or self._open[0] != index:
            if self._open is not None:
                self._open[1].close()
            self._open = index, self._path_of(index).open("rb", buffering=0)  # type: ignore[assignment]
        assert self._open is not None
        return self._open[1]
