"""Inputs whose outputs would have one name, and videos that are none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from tests.faults import world
from tests.faults.calls import cutout
from tests.faults.inputs import Argv, Case, _nothing
from tests.faults.spoiling import folder_at, replaced
from tests.helpers.commands import Ending


def _video(path: Path, frames: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, world.SIZE[::-1])
    for _ in range(frames):
        writer.write(world.photograph())
    writer.release()


def _made(*names: str) -> Callable[[Path], object]:
    return lambda folder: [_video(folder / name) for name in names]


def _cut_out(*names: str) -> Argv:
    return lambda folder: cutout(*(folder / name for name in names), folder)


def _calling(*words: str) -> Argv:
    """Returns a command line; words that begin with a slash are paths below the folder."""
    return lambda folder: [f"{folder}{word}" if word.startswith("/") else word for word in words]


def _video_and_folder(folder: Path) -> None:
    _video(folder / "x.mp4")
    world.save(folder / "in/x/000000.jpg", world.photograph())


# What would be written twice or over an input: tool, what spoils the inputs, command line, and what the message names.
COLLISIONS: list[tuple[str, str, Callable[[Path], object], Argv, str]] = [
    ("two videos", "cutout", _made("a/x.mp4", "b/x.mp4"), _cut_out("a/x.mp4", "b/x.mp4"), "x.mp4"),
    ("mp4 and avi", "cutout", _made("x.mp4", "x.avi"), _cut_out("x.mp4", "x.avi"), "x.avi"),
    ("one video twice", "cutout", _made("x.mp4"), _cut_out("x.mp4", "x.mp4"), "x.mp4"),
    ("a video and a folder of its name", "cutout", _video_and_folder, _cut_out("in", "x.mp4"), "x.mp4"),
    (
        "photographs of one stem",
        "cutout",
        lambda folder: world.save(folder / "photos/1.png", world.photograph()),
        _cut_out("photos"),
        r"1\.png",
    ),
    (
        "OUT is the source",
        "convert",
        _nothing,
        _calling("convert", "mdetr-odvg", "/mdetr.json", "/mdetr.json"),
        "mdetr.json",
    ),
    (
        "OUT is --instances",
        "convert",
        _nothing,
        _calling("convert", "refs-odvg", "/refs.json", "/coco.json", "--instances", "/coco.json"),
        "coco.json",
    ),
    (
        "subsets of one name",
        "subsets",
        _nothing,
        _calling("make_subsets.py", "/coco.json", "--out", "/parts", "--percents", "10", "10.0000001"),
        "percents",
    ),
    (
        "--report is --verify",
        "refer",
        _nothing,
        _calling("refer", "/coco.json", "--no-pixels", "--verify", "/mdetr.json", "--report", "/mdetr.json"),
        "mdetr.json",
    ),
    (
        "index over annotations",
        "index",
        _nothing,
        lambda folder: ["index", folder / "coco.json", "type=folder", f"root={folder / 'segments'}"],
        "coco.json",
    ),
]


def _two_frames(folder: Path, ended: Ending) -> str | None:
    return None if ": 2 cut out" in ended.out else ended.out


def video_cases() -> Iterator[Case]:
    """Yields inputs whose results would have one name, and videos that are none."""
    for what, tool, spoil, argv, says in COLLISIONS:
        yield Case("outputs of one name", what, tool, spoil, argv, says=says)
    one = _cut_out("x.mp4")
    for what, spoil in (
        ("empty", replaced("x.mp4", b"")),
        ("a text", replaced("x.mp4", b"hello")),
        ("a folder's name", folder_at("x.mp4")),
        ("missing", _nothing),
    ):
        yield Case("videos", what, "cutout", spoil, one, says=r"x\.mp4")
    yield Case("videos", "right", "cutout", _made("x.mp4"), one, "accept", right=_two_frames)
