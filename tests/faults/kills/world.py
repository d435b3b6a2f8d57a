"""The folders in which a writer is attacked, its undisturbed result, and what is wrong with another one."""

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path

from tests.faults.kills.processes import Ended, Running, Server, Steps
from tests.faults.kills.writers import Writer
from tests.released.server import Hub

_OURS = "home"  # Of the hub's client, which has rules of its own.
_STEPS = Steps()


class World:
    """The folders of a writer: inputs, the folder where it runs, and what it prints.

    Args:
        writer: The writer.
        root: Folder for all of it.
        environment: Variables for its commands.
    """

    def __init__(self, writer: Writer, root: Path, environment: Mapping[str, str]):
        self.writer, self.run = writer, root / "run"
        self._place, self._template, self._finished = root / "place", root / "template", root / "finished"
        for folder in (root / "inputs", self._place, self._template):
            folder.mkdir(parents=True)
        writer.inputs(root / "inputs")
        self.server = Server(writer.modules, self.run, self._place, {"HF_HOME": str(self.run / _OURS), **environment})
        for name in writer.strangers:
            _write(self._template / name)
        self.begin()
        if writer.warm:
            self.server.warm_up(writer.calls[0])
            self.begin()
        if writer.first is not None:
            ended = self.server.fork(writer.first).wait()
            assert ended.code == 0, ended.err
            shutil.copytree(self.run, self._template, dirs_exist_ok=True, symlinks=True)
        if writer.from_finished:
            self.begin_finished()
            shutil.copytree(self.run, self._template, dirs_exist_ok=True, symlinks=True)

    def begin(self) -> None:
        """Empties the folder where the commands run, up to what is there from the start."""
        self._guest_is_there = False
        _empty(self.run)
        shutil.copytree(self._template, self.run, dirs_exist_ok=True, symlinks=True)

    def begin_finished(self) -> None:
        """Begins with a run that was killed when all its shards were finished."""
        if not self._finished.exists():
            steps = self._steps_of_run()
            assert self.writer.finished in steps, steps
            self.begin()
            (running,) = self.start(Steps(steps.index(self.writer.finished) + 1))
            assert running.wait().code == -9
            shutil.copytree(self.run, self._finished, symlinks=True)
        _empty(self.run)
        shutil.copytree(self._finished, self.run, dirs_exist_ok=True, symlinks=True)

    def _steps_of_run(self) -> list[str]:
        """Returns the steps of an undisturbed run of one process: an event and a path each."""
        self.begin()
        log = self._place / "steps"
        log.unlink(missing_ok=True)
        ended = self.server.fork(self.writer.calls[0], log=log).wait()
        assert ended.code == 0, ended.err
        return log.read_text().replace(f"{self.run}/", "").splitlines()

    def measure(self) -> None:
        """Runs the commands undisturbed, as often as all that is asked of their runs needs, before an attack."""
        for workers in (False, True)[: 1 + self.writer.workers]:
            self.number_of_steps(workers)
        assert self.seconds

    @cached_property
    def whole(self) -> dict[str, str]:
        """The files of an undisturbed run, by their hashes."""
        self.begin()
        self.finish()
        return self.state()

    @cached_property
    def seconds(self) -> float:
        """How long an undisturbed run takes, the first one set aside."""
        assert self.whole
        self.begin()
        start = time.monotonic()
        self.finish()
        return time.monotonic() - start

    @cache  # noqa: B019 # As long as the tests of a writer.
    def number_of_steps(self, workers: bool) -> int:
        """Returns the number of steps of an undisturbed run: of the first process, or of a worker on average."""
        self.begin()
        log = self._place / "steps"
        log.unlink(missing_ok=True)
        running = self.start(Steps(workers=workers), log)
        for each in running:
            ended = each.wait()
            assert ended.code == 0, ended.err
        number = len(log.read_text().splitlines())
        return max(number // 2, 1) if workers else number

    @cache  # noqa: B019
    def steps_of_command(self, of: str) -> int:
        """Returns the number of steps of the real command, of files or of imports."""
        self.begin()
        log = self._place / "steps"
        log.unlink(missing_ok=True)
        ended = self.server.command(self.writer.calls[0], Steps(of=of), log).wait()
        assert ended.code == 0, ended.err
        return len(log.read_text().splitlines())

    def start(self, steps: Steps = _STEPS, log: Path | None = None) -> list[Running]:
        """Starts the commands in one process group; the steps are those of the first one."""
        first = self.server.fork(self.writer.calls[0], steps, log=log)
        return [first, *(self.server.fork(call, group=first.group) for call in self.writer.calls[1:])]

    def finish(self, real: bool = False) -> list[Ended]:
        """Lets the commands come to their end; as real ones, if what they do before their setup is to be finished."""
        if real and self.writer.calls[0].setup:
            ended = [each.wait() for each in map(self.server.command, self.writer.calls)]
        else:
            ended = [each.wait() for each in self.start()]
        assert [each.code for each in ended] == [0] * len(ended), [each.err for each in ended]
        return ended

    @property
    def is_complete(self) -> bool:
        """Whether the folder holds the result of an undisturbed run, maybe beside what is left of the run."""
        found = self.state()
        return all(found.get(name) == each for name, each in self.whole.items() if not _hidden(name))

    @property
    def has_begun(self) -> bool:
        """Whether there is something to go on from."""
        return any(True for _ in self.run.glob(self.writer.begun))

    def add_guest(self) -> None:
        """Puts a file of somebody else into the folder of the unfinished run, if that is there."""
        if self.writer.guest and self.has_begun:
            _write(self.run / self.writer.guest)
            self._guest_is_there = True

    def remove_guest(self) -> str | None:
        """Removes that file, and its folder if nothing else is in it; returns what is wrong if it is gone."""
        guest, expected = self.run / self.writer.guest, self._guest_is_there
        self._guest_is_there = False
        if not expected:
            return None
        if not guest.is_file() or guest.read_text() != "mine":
            return f"the file {self.writer.guest} of somebody else is gone"
        guest.unlink()
        if not any(guest.parent.iterdir()):
            guest.parent.rmdir()
        return None

    def state(self) -> dict[str, str]:
        """Returns the hashes of all files in the folder where the commands run, by their paths; folders have none."""
        return _state(self.run)

    def complaint(self) -> str | None:
        """Returns what is wrong with a result that is said to be complete: how it differs from the undisturbed one."""
        found = self.state()
        missing, more = self.whole.keys() - found.keys(), found.keys() - self.whole.keys()
        changed = [name for name in found.keys() & self.whole.keys() if found[name] != self.whole[name]]
        told = [
            f"{len(names)} {what}: {', '.join(sorted(names)[:5])}"
            for what, names in (("missing", missing), ("left over", more), ("changed", changed))
            if names
        ]
        partial = list((self.run / _OURS).rglob("*.incomplete"))
        if partial:
            told.append(f"half a download: {partial[0].name}")
        return "; ".join(told) or None

    def false_claim(self) -> str | None:
        """Returns what is false about a folder that says that its result is complete; None if it does not say so."""
        if not self.writer.complete or not (self.run / self.writer.complete).exists():
            return None
        found, before = self.state(), _state(self._template)
        is_old = before.get(self.writer.complete) == found[self.writer.complete]
        wanted = {name: each for name, each in (before if is_old else self.whole).items() if not _hidden(name)}
        wrong = [name for name, each in wanted.items() if found.get(name) != each]
        return f"it says that it is complete, but {wrong[0]} is not right" if wrong else None

    def close(self) -> None:
        """Ends the server."""
        self.server.close()


def _state(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] != _OURS:
            found[name] = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")


def _empty(folder: Path) -> None:
    """Removes what is in a folder, which may be a file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@contextmanager
def opened(writer: Writer, root: Path, hub: Hub) -> Iterator[World]:
    """Makes the world of a writer, with a hub to download from."""
    world = World(writer, root, {"HF_ENDPOINT": hub.url, "HF_TOKEN": "right", **writer.environment})
    try:
        yield world
    finally:
        world.close()
