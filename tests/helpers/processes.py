"""Processes that tests start: those that wait half-way through their work, and those that need one another."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


def exit_codes(running: Sequence[subprocess.Popen]) -> list[int]:
    """Waits for all; one that fails ends the others, which would wait for it for good."""
    while None in (codes := [process.poll() for process in running]):
        if any(codes):
            for process in running:
                process.kill()
        time.sleep(0.05)
    return codes


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
