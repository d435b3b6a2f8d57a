"""Attacks on a writer; each ends with what was counted, and raises an AssertionError about what was lost or false."""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.faults.kills.processes import Ended, Running, Steps
from tests.faults.kills.world import World
from tests.helpers.processes import ENDED

Counts = Counter


def kill_often(world: World, kills: int, seed: int) -> Counts:
    """Kills process groups at drawn moments until so many kills were met; each run is then let to its end.

    Half of the moments are steps of the main process (or of workers), the other half are times; both are spread
    evenly over an undisturbed run. Every other kill meets a run that goes on after one.
    """
    rng, counts = np.random.default_rng([seed, kills]), Counts()
    moments = _moments(world, rng, kills)
    world.measure()
    while counts["kills"] < kills:
        world.begin()
        for share in (1.0, 0.5):
            if counts["kills"] == kills or not _killed(world, *next(moments), share, counts):
                break
            false = world.false_claim()
            assert false is None, false
            world.add_guest()
        world.finish()
        gone = world.remove_guest()
        assert gone is None, gone
        wrong = world.complaint()
        assert wrong is None, (wrong, dict(counts))
        counts["runs resumed, identical"] += 1
    return counts


def _moments(world: World, rng: np.random.Generator, kills: int) -> Iterator[tuple[str, float]]:
    """Yields kinds of moments and shares of a run, drawn within equal parts of it."""
    kinds = ["step of a worker", "time", "step"] if world.writer.workers else ["step", "time"]
    number = -(-kills // len(kinds))
    while True:
        parts = [(kind, place) for place in rng.permutation(number) for kind in kinds]
        yield from ((kind, (place + rng.random()) / number) for kind, place in parts)


def _killed(world: World, kind: str, share: float, of: float, counts: Counts) -> bool:
    """Starts the commands, and kills them; returns whether that met them before their end."""
    if kind == "time":
        running = world.start()
        _wait(running, share * of * world.seconds)
        if met := any(each.state not in ENDED for each in running):
            running[0].kill()
    else:
        workers = kind == "step of a worker"
        number = world.number_of_steps(workers)
        running = world.start(Steps(1 + int(share * of * (number - 1)), workers=workers))
        met = True
    codes = [each.wait().code for each in running]
    assert not running[0].wait_for_group(), "processes of the group outlive a kill"
    met = met and -signal.SIGKILL in codes
    counts["kills"] += met
    counts[f"kills at a {kind}"] += met
    if not met:
        assert set(codes) == {0}, codes
    return met


def _wait(running: list[Running], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(each.state not in ENDED for each in running):
        time.sleep(0.001)


def interrupt(world: World, number: int, steps: Steps, twice: bool = False) -> Ended | None:
    """Sends a signal to the real command when it has stopped at a step, as a terminal does; None if it ended before."""
    world.begin()
    running = world.server.command(world.writer.calls[0], steps)
    if not running.wait_until_stopped():
        running.wait()
        return None
    start = time.monotonic()
    for _ in range(1 + twice):
        # Ctrl-C reaches all processes of the command, SIGTERM the one that it is sent to.
        running.signal(number, group=number == signal.SIGINT)
        running.signal(signal.SIGCONT, group=True)
        time.sleep(0.02 * twice)
    ended = running.wait()
    alive = running.wait_for_group()
    assert not alive, alive
    print(f"    ended {time.monotonic() - start:.2f} s after {signal.Signals(number).name}")
    return ended


def complaint_about_interruption(ended: Ended, number: int, lines: set[str], twice: bool = False) -> str | None:
    """Returns what is wrong with how a command ended by a signal."""
    # A shell says 128 and the number of a signal that ends a process without its handler, as late as that is gone.
    if ended.code != 128 + number and not (twice and ended.code == -number):
        return f"exit code {ended.code}: {ended.err[-1000:]}"
    for word in ("Traceback", "leaked", "Exception ignored"):
        if word in ended.err:
            return f"{word}: {ended.err[-2000:]}"
    return None if twice or ended.line in lines else f"it says {ended.line!r}"


def fill_disk(world: World, shares: tuple[float, ...]) -> Counts:
    """Gives a run a small file system of its own (tmpfs), then makes room."""
    counts = Counts()
    world.measure()
    size = _disk_usage(world.run)
    world.begin()
    least = _disk_usage(world.run)
    for share in shares:
        with mounted(world.run, 4096 * int((least + share * size) / 4096)) as enlarge:
            world.begin()
            ended = [each.wait() for each in world.start()]
            if set(codes := [each.code for each in ended]) == {0}:
                counts["had room enough"] += 1
            else:
                assert 2 in codes, [each.err for each in ended]
                for each in ended:
                    wrong = complaint_about_refusal(each, r"full|[Ss]pace|room|free")
                    assert each.code == 0 or wrong is None, wrong
                counts["disks that became full"] += 1
                false = world.false_claim()
                assert false is None, false
            enlarge()
            world.finish()
            wrong = world.complaint()
            assert wrong is None, (share, wrong)
            counts["runs resumed, identical"] += 1
    return counts


def _disk_usage(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """Mounts a file system of so many bytes; yields what makes it large.

    Raises:
        PermissionError: If none can be mounted.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        raise PermissionError(done.stderr)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def complaint_about_refusal(ended: Ended, says: str) -> str | None:
    """Returns what is wrong with a refusal: exit code 2 and one line that matches."""
    if ended.code != 2:
        return f"exit code {ended.code}: {ended.err[-2000:]}"
    if "Traceback" in ended.err or not ended.line.startswith("error: "):
        return f"not one line: {ended.err[-2000:]}"
    return None if re.search(says, ended.line) else f"it says {ended.line!r}"


def remove_folder(world: World, shares: tuple[float, ...]) -> Counts:
    """Removes the output while a run is stopped at a step; it must not say that all is well, and a new one succeeds."""
    counts = Counts()
    world.measure()
    number = world.number_of_steps(False)
    for share in shares:
        world.begin()
        running = world.start(Steps(1 + int(share * (number - 1)), "stop"))
        assert running[0].wait_until_stopped()
        if world.is_complete:
            counts["removed when complete"] += 1
            running[0].signal(signal.SIGCONT)
            assert {each.wait().code for each in running} == {0}
            continue
        kept = {name: (world.run / name) for name in world.writer.strangers if name.startswith(f"{world.writer.out}/")}
        shutil.rmtree(world.run / world.writer.out, ignore_errors=True)
        running[0].signal(signal.SIGCONT)
        ended = [each.wait() for each in running]
        for name in kept:  # Ours went with the folder.
            (world.run / name).parent.mkdir(parents=True, exist_ok=True)
            (world.run / name).write_text("mine")
        for each in ended:
            if each.code == 0:
                wrong = world.complaint()
                assert wrong is None, f"exit code 0 at {share} of the steps, but {wrong}"
                counts["complete all the same"] += 1
            else:
                wrong = complaint_about_refusal(each, "")
                assert wrong is None, wrong
                counts["refused in one line"] += 1
        false = world.false_claim()
        assert false is None, (share, false)
        counts["folders removed"] += 1
        ended = [each.wait() for each in world.start()]
        if {each.code for each in ended} != {0}:
            # What was made after the removal, without the identity of the run, is not taken for a run.
            for each in ended:
                wrong = complaint_about_refusal(each, "folder|remove")
                assert wrong is None, wrong
            counts["then refused until removed"] += 1
            shutil.rmtree(world.run / world.writer.out, ignore_errors=True)
            for name in kept:
                (world.run / name).parent.mkdir(parents=True, exist_ok=True)
                (world.run / name).write_text("mine")
            world.finish()
        wrong = world.complaint()
        assert wrong is None, (share, wrong)
        counts["made again, identical"] += 1
    return counts


def start_twice(world: World, together: int, shares: tuple[float, ...]) -> Counts:
    """Starts the commands twice: at once, and with the first one stopped at steps until the second one has ended."""
    counts = Counts()
    world.measure()
    number = world.number_of_steps(False)
    call = world.writer.calls[0]
    for share in (*[None] * together, *shares):
        world.begin()
        if share is None:
            both = [world.server.fork(call), world.server.fork(call)]
        else:
            first = world.server.fork(call, Steps(1 + int(share * (number - 1)), "stop"))
            assert first.wait_until_stopped()
            both = [first, world.server.fork(call)]
            # Any wait for the first one is told.
            if both[1].wait_until_told("waiting"):
                counts["waited with a message"] += 1
            first.signal(signal.SIGCONT)
        ended = [each.wait() for each in both]
        for each in ended:
            if each.code != 0:
                wrong = complaint_about_refusal(each, "[Aa]nother (run|process)|other processes")
                assert wrong is None, (share, wrong)
                counts["refused"] += 1
        if len(world.writer.calls) > 1:
            world.finish()
        assert 0 in [each.code for each in ended], ended
        wrong = world.complaint()
        assert wrong is None, (share, wrong, ended)
        counts["starts of two, identical"] += 1
    return counts


def damage(world: World) -> Counts:
    """Damages what is finished of a run before it goes on: nothing false may come of it."""
    counts = Counts()
    world.measure()
    world.begin_finished()
    names = []
    for pattern in world.writer.parts:
        found = [path.relative_to(world.run) for path in sorted(world.run.glob(pattern)) if path.is_file()]
        assert found, pattern
        names += found[:3]
    for name in names:
        for what, spoil in DAMAGES.items():
            world.begin_finished()
            spoil(world.run / name)
            ended = [each.wait() for each in world.start()]
            counts["damages"] += 1
            if {each.code for each in ended} == {0}:
                wrong = world.complaint()
                assert wrong is None, (str(name), what, wrong)
                counts["remade, identical"] += 1
                continue
            for each in ended:
                wrong = complaint_about_refusal(each, "")
                assert wrong is None, (str(name), what, wrong)
            false = world.false_claim()
            assert false is None, (str(name), what, false)
            counts["refused"] += 1
    return counts


def _cut(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def _change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # A digit, so that a line of JSON is still one, or else any byte.
    digits = [place for place, each in enumerate(content) if 0x31 <= each <= 0x38]
    place = digits[len(digits) // 2] if digits else len(content) // 2
    content[place] += 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": _cut,
    "changed": _change,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
}
