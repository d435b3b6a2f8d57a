"""Pools of worker processes: how they end when this process is interrupted or killed, or one of them is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sos_mm.worker_pool import worker_pool
from tests.helpers.processes import ENDED, state_of

# A script, which the workers import when they start: there, each gets Ctrl-C as its terminal sends it to all processes.
STARTING = """
import os, signal
from sos_mm.worker_pool import worker_pool

if __name__ == "__main__":
    # What starts in the background may have been told to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with worker_pool(2) as pool:
        print(list(pool.map(abs, [-1, -2])), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
else:
    os.kill(os.getpid(), signal.SIGINT)
"""
WORKING = r"""
import os, sys, time
from sos_mm.worker_pool import worker_pool

def work(_):
    os.write(1, b"%d\n" % os.getpid())  # one write: of two, as of an unbuffered print, those of both workers may mix
    time.sleep(300)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        working = [pool.submit(work, number) for number in range(2)]
        ACTION
"""


def script(folder: Path, code: str) -> subprocess.Popen:
    (folder / "script.py").write_text(code)
    command = [sys.executable, str(folder / "script.py")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def still_living(workers: list[int]) -> list[int]:
    """Those that have not ended within a minute."""
    until = time.monotonic() + 60
    while (found := [worker for worker in workers if state_of(worker) not in ENDED]) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def test_workers_leave_ctrl_c_to_this_process(tmp_path):
    out, told = script(tmp_path, STARTING).communicate(timeout=100)
    assert (out, told) == ("[1, 2] set()\n", "")


def test_workers_end_with_a_killed_process(tmp_path):
    process = script(tmp_path, WORKING.replace("ACTION", "sys.stdin.readline()"))
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.kill()
    process.communicate(timeout=100)
    assert not still_living(workers)


def test_an_interruption_ends_work_at_once(tmp_path):
    process = script(tmp_path, WORKING.replace("ACTION", "sys.stdin.readline(); raise KeyboardInterrupt"))
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.communicate("\n", timeout=100)
    assert not still_living(workers)


@pytest.mark.parametrize(("kept", "told"), [("", "memory: run"), ("All is kept", r"memory\. All is kept: run")])
def test_a_killed_worker_is_told(kept, told):
    with pytest.raises(RuntimeError, match=f"{told} the same command again"), worker_pool(1, kept=kept) as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()


def test_workers_begin_with_what_they_need(tmp_path):
    with worker_pool(1, os.chdir, (tmp_path,)) as pool:
        assert pool.submit(os.getcwd).result() == str(tmp_path)
