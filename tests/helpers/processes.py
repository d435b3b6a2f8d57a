"""Processes that tests start: how they stop or end half-way through their work, find one another, and are watched."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# States of processes that have ended.
ENDED = ("Z", "X", "")


def exit_codes(running: Sequence[subprocess.Popen]) -> list[int]:
    """Waits for all; one that fails ends the others, which would wait for it for good."""
    while None in (codes := [process.poll() for process in running]):
        if any(codes):
            for process in running:
                process.kill()
        time.sleep(0.05)
    return codes


def free_port() -> int:
    """Returns a port for a server that starts later: below 32768, where systems take those of connections from."""
    for port in range(20000 + os.getpid() % 12000, 32768):
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def state_of(process: int) -> str:
    """Returns 'R', 'S' or 'D' while a process runs, 'T' when it is stopped, 'Z', 'X' or '' when it has ended."""
    return _stat(process)[0]


def living(group: int) -> list[int]:
    """Returns the processes of a group that have not ended."""
    processes = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [each for each in processes if (stat := _stat(each))[0] not in ENDED and int(stat[2]) == group]


def command_line(process: int) -> str:
    """Returns that of a process, with null characters in between; empty if it has ended."""
    return _read(process, "cmdline")


def children_of(process: int) -> list[int]:
    """Returns the processes that one has started."""
    return list(map(int, _read(process, f"task/{process}/children").split()))


def _stat(process: int) -> list[str]:
    # Behind the name, which is in brackets: the state, the parent, the group and more.
    return _read(process, "stat").rpartition(")")[2].split() or [""]


def _read(process: int, name: str) -> str:
    try:
        return Path(f"/proc/{process}/{name}").read_text(errors="replace")
    # The second one where it ends between opening and reading.
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def waiting_processes(code: str, said: str) -> Iterator[Callable[..., subprocess.Popen]]:
    """Gives a function that starts Python on a code with arguments, and waits until it has printed a line.

    The processes get no input, so that a code may wait by reading a line. Those that still run are killed at the end.
    """
    started = []

    def start(*arguments) -> subprocess.Popen:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == f"{said}\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


# Runs `sos-mm` as `python -m sos_mm` does, with one function replaced.
_HALTING = """
import os, runpy, sys
from pkgutil import resolve_name
place, name, calls, number, *sys.argv[1:] = sys.argv[1:]
place, left = resolve_name(place), [int(calls)]
original = getattr(place, name)

def halting(*arguments, **named):
    result = original(*arguments, **named)
    left[0] -= 1
    if not left[0]:
        os.killpg(os.getpid(), int(number))
    return result

setattr(place, name, halting)
runpy.run_module("sos_mm", run_name="__main__", alter_sys=True)
"""


def halting(function: str, calls: int, number: signal.Signals) -> list[str]:
    """Returns what replaces ``-m sos_mm`` for a command that sends a signal to its process group, which it must lead.

    Args:
        function: The function or method of the main process after which it does so, such as 'os.replace'. It is changed
            in the module or class that is named.
        calls: How often that has returned then.
        number: The signal.
    """
    place, _, name = function.rpartition(".")
    return ["-c", _HALTING, place, name, str(calls), str(int(number))]


def wait_until_stopped(process: subprocess.Popen) -> None:
    """Returns when a process that stops itself has done so."""
    changed = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert changed.si_code == os.CLD_STOPPED, "it has ended"


def run_killed(words: Sequence[str], function: str, calls: int) -> None:
    """Runs `sos-mm`; it and its workers are killed when a function has returned so many times, as in `halting`."""
    command = [sys.executable, "-W", "ignore", *halting(function, calls, signal.SIGKILL), *words]
    ended = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
