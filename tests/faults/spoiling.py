"""What spoils a file of the good inputs, each by its path below their folder."""

from collections.abc import Callable
from pathlib import Path


def replaced(name: str, content: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return spoil


def cut_short(name: str, share: float) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return spoil


def folder_at(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir(parents=True)

    return spoil


def below(where: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: put(folder / where)
