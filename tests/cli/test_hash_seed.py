"""Trainings start with a fixed hash seed, whatever way they are started; nothing else does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sos_mm import cli
from sos_mm.cli.hash_seed import fix_hash_seed

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, sys
from sos_mm.cli.hash_seed import fix_hash_seed
fix_hash_seed()
print(os.environ["PYTHONHASHSEED"], sys.argv[1:], list({f"word {n}" for n in range(9)}))
sys.exit(7)
"""


def start(command, **variables) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=100, cwd=ROOT
    )


def test_sets_of_strings_have_the_same_order_in_every_process():
    first, second = (start(["-c", SCRIPT, "a b", "--c"]) for _ in range(2))
    assert first.returncode == second.returncode == 7
    assert first.stdout == second.stdout
    assert first.stdout.startswith("0 ['a b', '--c'] [")


def test_a_seed_of_the_users_own_stays():
    outs = [start(["-c", SCRIPT], PYTHONHASHSEED=seed).stdout for seed in ("5", "random")]
    assert [out.split()[0] for out in outs] == ["5", "random"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["-m sos_mm train", "tools/train.py", "-W ignore -m sos_mm train"])
def test_each_way_to_start_a_training_fixes_it_before_anything_heavy_is_imported(command, tmp_path):
    # A module that Python imports at its start tells of each start, and of what is imported by then.
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        "print('started with', os.environ.get('PYTHONHASHSEED'), os.getpid())\n"
        "run = os.execv\n"
        "os.execv = lambda *given: (print('torch' in sys.modules, flush=True), run(*given))\n"
    )
    ended = start([*command.split(), "--help"], PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert [each.split()[2] for each in lines if each.startswith("started with")] == ["None", "0"]
    assert len({each.split()[3] for each in lines if each.startswith("started with")}) == 1
    assert lines[1] == "False"
    assert "--resume" in ended.stdout


def test_calls_with_arguments_never_start_the_process_anew(monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setattr(os, "execv", lambda *given: pytest.fail(f"started {given}"))
    for call in (lambda: cli.main(["train", "--help"]), lambda: cli.run("train", ["--help"])):
        with pytest.raises(SystemExit):
            call()
    # Nor where another program runs a tool with arguments that it has set itself.
    monkeypatch.setattr(sys, "argv", ["tools/train.py", "--an-option-of-no-program"])
    fix_hash_seed()
    assert "PYTHONHASHSEED" not in os.environ
    monkeypatch.setattr(os, "execv", lambda *given: None)
    monkeypatch.setattr(sys, "argv", ["program", *sys.orig_argv[-1:]])
    fix_hash_seed()
    assert os.environ.pop("PYTHONHASHSEED") == "0"
