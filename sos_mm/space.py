"""Disk space: figures for people, and the question whether there is enough."""

import shutil
from pathlib import Path


def format_size(number: float) -> str:
    """Formats a number of bytes.

    >>> format_size(764_000_000), format_size(999)
    ('764.0 MB', '999 B')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def free_space(folder: Path) -> int:
    """Returns the free bytes of the disk of a folder, which exists or one of whose parents does."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def check_space(needs: dict[Path, int], what: str) -> None:
    """Checks that the disks of folders have enough free space; folders of one disk share it.

    Args:
        needs: Bytes by folder; the folders exist or their parents do.
        what: What needs them, for the error message.

    Raises:
        OSError: If a disk has too little; names the figures.
    """
    by_disk: dict[int, tuple[int, Path]] = {}
    for folder, number in needs.items():
        there = _existing(folder)
        disk = there.stat().st_dev
        by_disk[disk] = by_disk.get(disk, (0, there))[0] + number, there
    for number, there in by_disk.values():
        free = shutil.disk_usage(there).free
        if number > free:
            raise OSError(
                f"{what} needs {format_size(number)} on the disk of {there}, but {format_size(free)} are free: free "
                f"{format_size(number - free)} or choose another disk."
            )
