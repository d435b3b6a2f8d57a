"""Runs that were killed and are started again end with the bytes of a run that nobody disturbed.

Killed here are the main process alone, one worker, or all; `tests/faults/kills` kills all, in more places.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sos_mm.synthesis import Recipe, engine, synthesize
from tests.helpers.processes import children_of, command_line
from tests.synthesis.test_synthesis import folder_hash

IMAGES = 100
SHARD = 10
FORMATS = ["coco", "panoptic", "lvis", "odvg", "yolo", "saliency", "objects"]
LAYOUT = {
    "type": "StructuredLayout",
    "counts": (1, 4),
    "shares": {"large": 0.5, "medium": 0.5, "small": 0.0},
    "crowded": "fewer",
}
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'sos_mm[ray]'")
configurations = pytest.mark.parametrize(
    ("executor", "workers"),
    [
        ("processes", 1),
        ("processes", 2),
        pytest.param("processes", 3, marks=pytest.mark.slow),
        pytest.param("ray", 2, marks=[needs_ray, pytest.mark.slow]),
    ],
)


# A run that stops at one event, says so, and waits for a line before it goes on.
RUN = """
import json, sys
import tqdm
from sos_mm.synthesis import Recipe, engine, merging, shards, synthesize

def stop_at(place, name, number):
    original, left = getattr(place, name), [number]

    def stopping(*arguments):
        result = original(*arguments)
        if left[0] == 0:
            print("reached", flush=True)
            sys.stdin.readline()
        left[0] -= 1
        return result

    setattr(place, name, stopping)

if __name__ == "__main__":
    recipe, out, num, options, event = json.loads(sys.argv[1])
    if event:
        places = {
            "sources noted": (engine, "_checked_sources"),
            "file written": (shards, "_write"),
            "shard made": (tqdm.tqdm, "update"),
            "file moved": (merging, "_move"),
        }
        stop_at(*places[event[0]], event[1])
    synthesize(Recipe.from_dict(recipe), out, num, progress=False, **options)
"""


class Run:
    """A run in a process group of its own, which stops at an event: (what happens, how often it did before)."""

    def __init__(self, recipe: dict, out: Path, executor: str, workers: int, event: tuple[str, int] | None = None):
        self.script, self.told = out.with_name("run.py"), out.with_name("stderr.txt")
        self.script.write_text(RUN)
        options = dict(seed=3, shard_size=SHARD, workers=workers, executor=executor)
        arguments = json.dumps([recipe, str(out), IMAGES, options, event])
        with self.told.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(self.script), arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def wait_for_event(self) -> None:
        """Returns when it has stopped there."""
        assert "reached\n" in iter(self.process.stdout.readline, ""), self.told.read_text()

    def kill(self, kind: str, rng: np.random.Generator) -> None:
        """Kills everything, the main process alone, or one worker; then waits until the main process has ended."""
        if kind == "all":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif kind == "main":
            self.process.kill()
        else:
            os.kill(int(rng.choice(self.workers())), signal.SIGKILL)
        # Without a worker the main process ends by itself, or goes on with another one.
        self.process.communicate("go on\n" if kind == "worker" else None)

    def workers(self) -> list[int]:
        """Process ids of the processes that make shards."""
        return [each for each in descendants(self.process.pid) if WORKER.search(command_line(each))]


# As Python spawns them, and as Ray names them.
WORKER = re.compile(r"spawn_main|ray::(_make_shard|IDLE)")


def descendants(process: int) -> list[int]:
    """Process ids of the processes that one has started, and those have."""
    children = children_of(process)
    return children + [each for child in children for each in descendants(child)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Recipe, and hash of the undisturbed run of one process."""
    folder = tmp_path_factory.mktemp("resume")
    recipe = Recipe(
        canvas=(64, 80),
        group="all",
        backgrounds={"type": "texture"},
        layout=LAYOUT,
        formats=FORMATS,
    ).to_dict()
    run = Run(recipe, folder / "out", "processes", 1)
    run.process.communicate()
    assert run.process.returncode == 0, run.told.read_text()
    return recipe, folder_hash(folder / "out")


def hash_after_kills(recipe: dict, out: Path, executor: str, workers: int, rng: np.random.Generator) -> str:
    """That of a data set whose making was killed before a shard was whole, after some, and while they were joined.

    Other processes go on while the main one stops, so that they are killed anywhere in a shard.
    """
    first = [
        ("sources noted", 0),
        # A shard has more than two files an image.
        ("file written", int(rng.integers(1, 2 * SHARD))),
    ]
    events = [
        *(first if workers == 1 else []),
        ("shard made", int(rng.integers(3))),
        ("file moved", int(rng.integers(IMAGES))),
    ]
    for event in events:
        run = Run(recipe, out, executor, workers, event)
        run.wait_for_event()
        kinds = ["all", "main", "worker"] if run.workers() else ["all", "main"]
        run.kill(rng.choice(kinds), rng)
        if (out / "manifest.json").exists():
            # Ray had another worker for the one that was killed, or that one had nothing left to do.
            assert run.process.returncode == 0
            return folder_hash(out)
        assert run.process.returncode != 0
    assert finish(recipe, out, executor, workers).images == IMAGES
    return folder_hash(out)


def finish(recipe: dict, out: Path, executor: str = "processes", workers: int = 1):
    """Lets the run come to its end."""
    options = dict(seed=3, shard_size=SHARD, workers=workers, executor=executor, progress=False)
    return synthesize(Recipe.from_dict(recipe), out, IMAGES, **options)


@configurations
def test_killed_runs_go_on(whole, tmp_path, executor, workers):
    rng = np.random.default_rng([workers, executor == "ray"])
    assert hash_after_kills(whole[0], tmp_path / "out", executor, workers, rng) == whole[1]


def test_whole_shards_are_kept(whole, tmp_path, rng):
    out = tmp_path / "out"
    run = Run(whole[0], out, "processes", 2, ("shard made", 5))
    run.wait_for_event()
    run.kill("all", rng)
    assert not (out / "manifest.json").exists()
    kept = len(list((out / ".shards").glob("[0-9]" * 6)))
    assert kept >= 6
    assert finish(whole[0], out).made == IMAGES - SHARD * kept
    assert folder_hash(out) == whole[1]


def test_ray_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    recipe = Recipe(canvas=(64, 64), backgrounds={"type": "plain"})
    with pytest.raises(ImportError, match=r"pip install 'sos_mm\[ray\]'"):
        synthesize(recipe, tmp_path / "out", 4, executor="ray", progress=False)


@pytest.mark.parametrize("failing", [1, 7, 40, 90])
def test_a_full_disk_is_told(tmp_path, monkeypatch, failing):
    """Wherever it happens, in a shard or while they are joined, whole shards stay, and a later run goes on."""
    recipe = Recipe(canvas=(48, 48), backgrounds={"type": "plain"}, layout=LAYOUT, formats=FORMATS)
    options = {"seed": 3, "shard_size": 3, "progress": False}
    synthesize(recipe, tmp_path / "whole", 9, **options)
    calls, original = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"disk of .*out is full .*make room and run the same command again") as caught:
        synthesize(recipe, tmp_path / "out", 9, **options)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    kept = len(list((tmp_path / "out/.shards").glob("[0-9]" * 6)))
    assert synthesize(recipe, tmp_path / "out", 9, **options).made == 9 - 3 * kept
    assert folder_hash(tmp_path / "out") == folder_hash(tmp_path / "whole")


def test_a_really_full_disk(tmp_path):
    """A small file system of its own, where one can be mounted."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    recipe = Recipe(canvas=(64, 64), backgrounds={"type": "texture"}, layout=LAYOUT, formats=FORMATS)
    try:
        with pytest.raises(OSError, match="is full"):
            synthesize(recipe, small / "out", 60, shard_size=5, progress=False)
        kept = len(list((small / "out/.shards").glob("[0-9]" * 6)))
        assert kept > 0
        subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
        assert synthesize(recipe, small / "out", 60, shard_size=5, progress=False).made == 60 - 5 * kept
        synthesize(recipe, tmp_path / "whole", 60, shard_size=5, progress=False)
        assert folder_hash(small / "out") == folder_hash(tmp_path / "whole")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_changed_sources_are_told(recipe_dict, tmp_path, monkeypatch):
    """A run does not go on with other segments or backgrounds than it began with; a complete data set is left alone."""
    recipe = Recipe.from_dict(recipe_dict)
    monkeypatch.setattr(engine, "merge_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        synthesize(recipe, tmp_path / "out", 4, progress=False)
    monkeypatch.undo()
    photo = next(Path(recipe_dict["backgrounds"]["root"]).iterdir())
    content = photo.read_bytes()
    photo.write_bytes(content + b"more")
    with pytest.raises(FileExistsError, match="backgrounds of the recipe have changed since"):
        synthesize(recipe, tmp_path / "out", 4, progress=False)
    photo.write_bytes(content)
    assert synthesize(recipe, tmp_path / "out", 4, progress=False).images == 4
    shutil.rmtree(recipe_dict["segments"]["root"])
    assert synthesize(recipe, tmp_path / "out", 4, progress=False).made == 0


def test_shards_of_another_size_are_told(recipe_dict, tmp_path, monkeypatch):
    recipe = Recipe.from_dict(recipe_dict)
    monkeypatch.setattr(engine, "merge_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        synthesize(recipe, tmp_path / "out", 4, shard_size=2, progress=False)
    with pytest.raises(FileExistsError, match="shard_size 2 instead of 3"):
        synthesize(recipe, tmp_path / "out", 4, shard_size=3, progress=False)


def test_skipped_segments_are_reported(recipe_dict, release, tmp_path):
    broken = next((release[0] / "dog/small_dog").iterdir())
    broken.write_bytes(broken.read_bytes()[:100])
    recipe = Recipe.from_dict({**recipe_dict, "segments": {**recipe_dict["segments"], "broken": "skip"}})
    report = synthesize(recipe, tmp_path / "out", 4, progress=False)
    assert sum(report.skipped.values()) == 1
    assert broken.name in report.describe()
    assert "1 segments of the bank were skipped" in report.describe()
    assert json.loads((tmp_path / "out/manifest.json").read_text())["skipped"] == dict(report.skipped)
