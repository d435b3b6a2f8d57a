"""Ctrl-C and SIGTERM end a command at once and cleanly, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sos_mm.synthesis.workspace import complete_shards
from tests.helpers.processes import halting, living, wait_until_stopped
from tests.synthesis.test_synthesis import folder_hash

IMAGES = 40
RECIPE = """
canvas = (64, 80)
segments = dict(type="sample")
backgrounds = dict(type="texture")
layout = dict(type="StructuredLayout", counts=(1, 4), crowded="fewer")
formats = ["coco"]
"""


def answer_interrupts() -> None:
    """Gives a child process the usual answer to Ctrl-C, which a shell's background jobs have not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, workers: int, run: Sequence[str] = ("-m", "sos_mm")) -> subprocess.Popen:
    (folder / "recipe.py").write_text(RECIPE)
    words = ["synthesize", "recipe.py", "--out", "out", "--num", str(IMAGES), "--shard-size", "10"]
    environment = {**os.environ, "SOS_MM_DEBUG": "0"}
    return subprocess.Popen(
        [sys.executable, *run, *words, "--workers", str(workers)],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=answer_interrupts,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Hash of the data set of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    _, told = (process := start(folder, 1)).communicate()
    assert process.returncode == 0, told
    return folder_hash(folder / "out")


@pytest.mark.parametrize(("workers", "number", "code"), [(2, signal.SIGINT, 130), (1, signal.SIGTERM, 143)])
def test_an_interrupted_command_goes_on(whole, tmp_path, workers, number, code):
    process = start(tmp_path, workers, halting("tqdm.tqdm.update", 1, signal.SIGSTOP))
    wait_until_stopped(process)
    assert complete_shards(tmp_path / "out")
    # As a terminal sends it: to all processes of the command.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    os.killpg(process.pid, signal.SIGCONT)
    _, told = process.communicate()
    assert process.returncode == code
    assert told.splitlines()[-1] == "interrupted: the same command goes on from here"
    assert "Traceback" not in told
    assert "leaked" not in told
    # The tracker of multiprocessing's resources ends a moment after the process that it works for.
    while living(process.pid):
        time.sleep(0.05)
    assert not (tmp_path / "out/manifest.json").exists()
    again = start(tmp_path, workers)
    _, told = again.communicate()
    assert again.returncode == 0, told
    assert folder_hash(tmp_path / "out") == whole


SCRIPT = """
import sys, time
from sos_mm.cli.ending import command

@command("interrupted: go on")
def main():
    try:
        print("working", flush=True)
        time.sleep(10**6)
    finally:
        print("cleaning", flush=True)
        time.sleep(10**6)

main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(number, code):
    """Whatever the first one has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=answer_interrupts,
    )
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(number)
    assert process.wait() == code


def test_an_interruption_of_imports_is_no_traceback():
    code = (
        "import time, sos_mm.cli as cli\n"
        "def slow(name):\n"
        "    print('importing', flush=True)\n"
        "    time.sleep(10**6)\n"
        "cli.import_module = slow\n"
        "cli.main(['browse', 'x'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=answer_interrupts,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert (process.returncode, told) == (130, "interrupted\n")


def test_interruptions_end_well_from_the_first_imports_on():
    """Before, Ctrl-C prints a traceback."""
    code = (
        "import signal, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'import' and signal.getsignal(signal.SIGINT) is signal.default_int_handler:\n"
        "        early.append(arguments[0])\n"
        "early = []\n"
        "sys.addaudithook(hook)\n"
        "from sos_mm.cli import main\n"
        "try:\n"
        "    main(['index', '--help'])\n"
        "finally:\n"
        "    print(sorted(name for name in early if name.startswith('sos_mm')), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=answer_interrupts)
    assert done.returncode == 0
    first = ["sos_mm", "sos_mm.cli", "sos_mm.cli.ending", "sos_mm.cli.signals"]
    assert done.stderr.splitlines()[-1] == str(first)


def test_signals_that_are_ignored_stay_ignored():
    """As under nohup, whose child must not end by a signal that its caller has refused."""
    code = (
        "import os, signal\n"
        "from sos_mm.cli.ending import command\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "command()(lambda: os.kill(os.getpid(), signal.SIGINT))()\n"
        "print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n")
