"""Commands in process groups of their own: started, stopped at a step, killed, and waited for."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.kills.hook.sitecustomize import STEPS
from tests.helpers.processes import ENDED, command_line, living, state_of

ROOT = Path(__file__).resolve().parents[3]
HOOK = Path(__file__).with_name("hook")
# After so many seconds a command that does not end is killed, and its test fails.
_LIMIT = 240.0


@dataclass(frozen=True)
class Steps:
    """What a command does at one of its steps; see the module `sitecustomize`.

    Attributes:
        at: Number of the step, from 1; 0 for none.
        do: 'kill' kills the process group before the step, 'stop' stops the process there.
        of: 'files' or 'imports'.
        workers: Whether the steps of the worker processes count, each by itself, instead of the main process's.
    """

    at: int = 0
    do: str = "kill"
    of: str = "files"
    workers: bool = False


@dataclass(frozen=True)
class Call:
    """A command line and its surroundings.

    Attributes:
        argv: The arguments of `sos-mm`.
        environment: Variables that it gets beside those of the tests.
        setup: Python that runs before it, where it is forked.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative for a signal, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The last line on stderr."""
        return ([""] + [line for line in self.err.replace("\r", "\n").splitlines() if line.strip()])[-1]


class Running:
    """A command that has been started.

    Attributes:
        pid: Its process.
        group: Its process group.
    """

    def __init__(self, pid: int, group: int, place: Path, wait):
        self.pid, self.group, self._place, self._wait = pid, group, place, wait

    def signal(self, number: int, group: bool = False) -> None:
        """Sends a signal to the process, or to its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number) if group else os.kill(self.pid, number)

    @property
    def told(self) -> str:
        """What it has printed on stderr so far."""
        return (self._place / f"err.{self.pid}").read_text(errors="replace")

    def kill(self) -> None:
        """Kills the process group."""
        self.signal(signal.SIGKILL, group=True)

    @property
    def state(self) -> str:
        """As `state_of` says it."""
        return state_of(self.pid)

    def wait_until_stopped(self) -> bool:
        """Returns when it is stopped at its step, or with False if it has ended before."""
        return self._wait_until(lambda: self.state == "T")

    def wait_until_told(self, word: str) -> bool:
        """Returns when it has printed a word on stderr, or with False if it has ended before."""
        return self._wait_until(lambda: word in self.told)

    def _wait_until(self, reached: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _LIMIT
        while not reached():
            if self.state in ENDED:
                return False
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"It does not come so far, nor end, in {_LIMIT:.0f} s: {self.told!r}")
            time.sleep(0.002)
        return True

    def wait(self, limit: float = _LIMIT) -> Ended:
        """Waits until it has ended, and its group.

        Raises:
            TimeoutError: If it does not end; it is killed then.
        """
        late = threading.Event()
        timer = threading.Timer(limit, lambda: (late.set(), self.kill()))
        timer.start()
        try:
            code = self._wait()
        finally:
            timer.cancel()
        out, err = ((self._place / f"{name}.{self.pid}").read_text(errors="replace") for name in ("out", "err"))
        if late.is_set():
            raise TimeoutError(f"It did not end in {limit:.0f} s: {err[-2000:]}")
        return Ended(code, out, err)

    def wait_for_group(self, seconds: float = 20.0) -> list[str]:
        """Returns the command lines of the processes of its group that have not ended some seconds later."""
        deadline = time.monotonic() + seconds
        while (alive := living(self.group)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [command_line(each).replace("\0", " ") for each in alive]


class Starter:
    """Starts commands in a folder, with the output of each in a folder beside it.

    Args:
        folder: Where the commands run, and whose changes are steps.
        place: Folder for what they print, and for the logs of their steps.
        environment: Variables for all of them.
    """

    def __init__(self, folder: Path, place: Path, environment: Mapping[str, str]):
        self.folder, self.place = folder, place
        own = {"PYTHONPATH": f"{HOOK}:{ROOT}", "SOS_MM_DEBUG": "0", "OMP_NUM_THREADS": "1"}
        self.environment = {**os.environ, **own, **environment}

    def steps_told(self, steps: Steps, log: Path | None) -> dict[str, str]:
        told = {**asdict(steps), "below": f"{self.folder}/", "log": str(log or "")}
        return {STEPS: json.dumps(told)}

    def command(self, call: Call, steps: Steps = Steps(), log: Path | None = None) -> Running:
        """Starts the real command, as a shell would in the foreground."""
        with open(self.place / "out", "w") as out, open(self.place / "err", "w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "sos_mm", *call.argv],
                cwd=self.folder,
                env={**self.environment, **call.environment, **self.steps_told(steps, log)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                # What starts in the background may have been told to ignore interruptions.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        for name in ("out", "err"):
            (self.place / name).rename(self.place / f"{name}.{process.pid}")
        return Running(process.pid, process.pid, self.place, process.wait)


class Server(Starter):
    """Starts commands that are forked from a process that has imported their libraries."""

    def __init__(self, modules: Sequence[str], folder: Path, place: Path, environment: Mapping[str, str]):
        super().__init__(folder, place, environment)
        self._number = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.kills.server", *modules],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(place / "server", "w"),  # noqa: SIM115 # For good.
            text=True,
            start_new_session=True,
        )
        answer = self._process.stdout.readline()
        assert answer == "ready\n", answer

    def warm_up(self, call: Call) -> None:
        """Runs a command in the server itself, so that those that are forked need not import or read the same again."""
        threads = json.loads(self._ask({"warm": call.argv, "setup": call.setup, "folder": str(self.folder)}))
        assert len(threads) == 1, f"Threads are left, which do not survive a fork: {threads}"

    def fork(self, call: Call, steps: Steps = Steps(), group: int = 0, log: Path | None = None) -> Running:
        """Starts a command, in a new process group or in one that is there."""
        self._number += 1
        out, err = (self.place / f"{name}-{self._number}" for name in ("out", "err"))
        told = self.steps_told(steps, log)
        asked = {
            "argv": call.argv,
            "environment": {**call.environment, **told},
            "setup": call.setup,
            "folder": str(self.folder),
            "out": str(out),
            "err": str(err),
            "group": group,
        }
        pid = int(self._ask(asked))
        for name, path in (("out", out), ("err", err)):
            path.touch()
            (self.place / f"{name}.{pid}").unlink(missing_ok=True)
            (self.place / f"{name}.{pid}").symlink_to(path)
        return Running(pid, group or pid, self.place, lambda: int(self._ask({"wait": pid})))

    def _ask(self, asked: dict) -> str:
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        """Ends the server."""
        self._process.stdin.close()
        self._process.wait()
