"""Runs killed at random moments and started again end with the bytes of a run that nobody disturbed."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sos_mm.synthesis import Recipe, engine, synthesize
from tests.synthesis.test_synthesis import folder_hash

IMAGES = 300
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
    [("processes", 1), ("processes", 2), ("processes", 3), pytest.param("ray", 2, marks=needs_ray)],
)


def start(recipe: dict, out: Path, executor: str, workers: int) -> subprocess.Popen:
    """The run as a process group of its own."""
    script = out.parent / "run.py"
    script.write_text(
        "import json, sys\n"
        "from sos_mm.synthesis import Recipe, synthesize\n"
        "if __name__ == '__main__':\n"
        "    recipe, out, executor, workers = json.loads(sys.argv[1])\n"
        f"    options = dict(seed=3, shard_size={SHARD}, workers=workers, executor=executor, progress=False)\n"
        f"    synthesize(Recipe.from_dict(recipe), out, {IMAGES}, **options)\n"
    )
    arguments = json.dumps([recipe, str(out), executor, workers])
    command = [sys.executable, "-W", "ignore", str(script), arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)


def children(process: int) -> list[int]:
    """Process ids of the workers."""
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def kill(process: subprocess.Popen, rng: np.random.Generator) -> None:
    """Kills everything, the main process alone, or one worker; then waits for the main process."""
    workers = children(process.pid)
    kind = rng.choice(["all", "main", "worker"] if workers else ["all", "main"])
    if kind == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif kind == "main":
        process.kill()
    else:
        os.kill(int(rng.choice(workers)), signal.SIGKILL)
    try:
        # Without a worker the main process ends by itself, or goes on with another one.
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Recipe, hash of the undisturbed run of one process, and how long a run takes."""
    folder = tmp_path_factory.mktemp("resume")
    recipe = Recipe(
        canvas=(64, 80),
        group="all",
        backgrounds={"type": "texture"},
        layout=LAYOUT,
        formats=FORMATS,
    ).to_dict()
    begun = time.monotonic()
    assert start(recipe, folder / "out", "processes", 1).wait(120) == 0
    return recipe, folder_hash(folder / "out"), time.monotonic() - begun


def hash_after_kills(whole, out: Path, executor: str, workers: int, kills: int) -> str:
    """That of a data set whose making was killed so often, and then left to end."""
    recipe, _, seconds = whole
    rng = np.random.default_rng([kills, workers, executor == "ray"])
    # Ray takes some seconds to start.
    longest = seconds + 5 * (executor == "ray")
    killed = 0
    while killed < kills:
        process = start(recipe, out, executor, workers)
        try:
            assert process.wait(rng.uniform(0.1, longest)) == 0, process.stderr.read().decode()
            # It ended before its time came: a new one is begun.
            shutil.rmtree(out)
        except subprocess.TimeoutExpired:
            kill(process, rng)
            killed += 1
    report = synthesize(
        Recipe.from_dict(recipe),
        out,
        IMAGES,
        seed=3,
        shard_size=SHARD,
        workers=workers,
        executor=executor,
        progress=False,
    )
    assert report.images == IMAGES
    return folder_hash(out)


@configurations
def test_killed_three_times(whole, tmp_path, executor, workers):
    assert hash_after_kills(whole, tmp_path / "out", executor, workers, 3) == whole[1]


@pytest.mark.slow
@configurations
def test_killed_twenty_times(whole, tmp_path, executor, workers):
    assert hash_after_kills(whole, tmp_path / "out", executor, workers, 20) == whole[1]


@needs_ray
def test_errors_from_a_cluster_are_those_of_the_fault(tmp_path):
    """A fault in a worker arrives as it would without a cluster."""
    recipe = Recipe(
        canvas=(64, 64), backgrounds={"type": "plain"}, layout={"type": "StructuredLayout"}, min_area=64 * 64
    )
    with pytest.raises(RuntimeError, match=r"Image \d came out without an object .* lower `min_area`"):
        synthesize(recipe, tmp_path / "out", 4, shard_size=2, workers=2, executor="ray", progress=False)
    with pytest.raises(RuntimeError, match=r"Image \d came out without an object .* lower `min_area`"):
        synthesize(recipe, tmp_path / "out", 4, shard_size=2, workers=2, progress=False)


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
    monkeypatch.setattr(engine, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
    monkeypatch.setattr(engine, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
