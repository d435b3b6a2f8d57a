"""What needs a POSIX system says so on Windows, and the rest of the composition side is imported without it.

Windows is simulated: a module that it lacks cannot be imported, and `sys.platform` is its name. Libraries are imported
before, since they would look for Windows itself.
"""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute  # noqa: F401  Imported by pyarrow on first use, which would look for Windows itself.
import pytest

from sos_mm.atomic import write_atomic
from sos_mm.cli import VERBS, main
from sos_mm.cli.parsing import POSIX_VERBS
from sos_mm.errors import ErrorCollector
from sos_mm.segments import build_bank, build_index
from sos_mm.segments.factory import list_records
from sos_mm.synthesis import Recipe, SceneMaker, synthesize

REFUSED = r"needs Linux or macOS, but this is Windows: .*\(WSL\)"
TOOLS = Path(__file__).parents[1] / "tools"
ON_WINDOWS = """
import concurrent.futures.process, multiprocessing.popen_spawn_posix, subprocess, sys
import cv2, numpy, pyarrow.compute, pycocotools.mask, tqdm
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.platform = "win32"
"""


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", ON_WINDOWS + code], capture_output=True, text=True)


def test_the_composition_side_is_imported():
    folders = "annotations browse composition cutouts formats metrics segments synthesis"
    done = python(
        f"import importlib\nfor folder in '{folders}'.split():\n    importlib.import_module('sos_mm.' + folder)\n"
    )
    assert done.returncode == 0, done.stderr


def test_composing_in_memory_needs_no_posix(recipe_dict, windows):
    scene = SceneMaker(Recipe.from_dict(recipe_dict), 0).make(0)
    assert scene.image.shape == (80, 96, 3)
    assert scene.objects


@pytest.mark.parametrize("verb", POSIX_VERBS)
def test_verbs_are_refused(verb, windows):
    with pytest.raises(SystemExit, match=f"error: `sos-mm {verb}` {REFUSED}"):
        main([verb, "--help"])


def test_a_tool_is_refused_by_its_own_name():
    tool = str(TOOLS / "convert_annotations.py")
    done = python(f"import runpy\nsys.argv = [{tool!r}]\nrunpy.run_path({tool!r}, run_name='__main__')\n")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: `{tool}` needs Linux or macOS, but this is Windows: run it in the Windows Subsystem for Linux (WSL).\n"
    )


@pytest.mark.parametrize("verb", ["browse", "validate", "config"])
def test_other_verbs_are_not_refused(verb, windows, capsys):
    assert verb in set(VERBS) - set(POSIX_VERBS)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0


def test_functions_are_refused_before_they_write(recipe_dict, bank_config, tmp_path, windows):
    before = sorted(tmp_path.rglob("*"))
    recipe = Recipe.from_dict(recipe_dict)
    with pytest.raises(RuntimeError, match=f"Composing a data set {REFUSED}"):
        synthesize(recipe, tmp_path / "data", 1)
    with pytest.raises(RuntimeError, match=f"Making an index of segments {REFUSED}"):
        build_index(list_records(bank_config, ErrorCollector()), tmp_path / "bank.arrow")
    with pytest.raises(RuntimeError, match=f"Writing files completely or not at all {REFUSED}"):
        write_atomic(tmp_path / "file", b"content")
    assert sorted(tmp_path.rglob("*")) == before


def test_reduced_copies_are_refused_and_an_index_without_them_is_read(bank_config, tmp_path, monkeypatch):
    records = list_records(bank_config, ErrorCollector())
    build_index(records, tmp_path / "plain.arrow", progress=False)
    build_index(records, tmp_path / "copies.arrow", copies=(32,), progress=False)
    monkeypatch.delattr(os, "pread")
    monkeypatch.setattr(sys, "platform", "win32")
    bank = build_bank({"type": "index", "path": str(tmp_path / "plain.arrow")})
    assert bank.load(0).rgba.shape[2] == 4
    with pytest.raises(RuntimeError, match=f"Reading multi-resolution copies of segments {REFUSED}"):
        build_bank({"type": "index", "path": str(tmp_path / "copies.arrow")})
