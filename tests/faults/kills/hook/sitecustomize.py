"""Counts the steps of a command, and kills or stops it at one of them.

Python imports this module at its start where the folder is in PYTHONPATH, also in worker processes. A step is a change
of the file system below a folder (a file that is opened for writing, moved or removed, a folder that is made or
removed), or an import. The environment variable `STEPS` says what to do; see `tests.faults.kills.processes.Steps`.
"""

import json
import os
import signal
import sys
from typing import Any

STEPS = "SOS_MM_TEST_STEPS"
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Imports count from this one on: before, no command can answer a signal.
_ANSWERING = "sos_mm.cli.ending"


def install(told: dict[str, Any]) -> None:
    """Begins to count the steps of this process."""
    log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if told["log"] else None
    count, answering = 0, False

    def reached(event: str, name: str) -> None:
        nonlocal count
        count += 1
        if log is not None:
            os.write(log, f"{event} {name}\n".encode())
        if count == told["at"]:
            if told["do"] == "kill":
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGSTOP)

    def hook(event: str, arguments: tuple) -> None:
        nonlocal answering
        if event == "import":
            if told["of"] == "imports" and answering:
                reached(event, arguments[0])
            answering = answering or arguments[0] == _ANSWERING
        elif told["of"] == "files":
            changes = event in _CHANGES or (event == "open" and arguments[2] & _WRITING)
            if changes and isinstance(arguments[0], str | bytes | os.PathLike):
                path = os.path.abspath(os.fsdecode(arguments[0]))
                if path.startswith(told["below"]):
                    reached(event, path)

    sys.addaudithook(hook)


def _is_worker() -> bool:
    with open("/proc/self/cmdline", "rb") as file:
        return b"multiprocessing" in file.read()


if STEPS in os.environ:
    _told = json.loads(os.environ[STEPS])
    if _told["workers"] == _is_worker():
        install(_told)
