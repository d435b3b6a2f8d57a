"""The command `sos-mm`: its verbs, their parsers, and the files of tools/ that call the same functions."""

import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sos_mm
from sos_mm.cli import VERBS, main

TOOLS = Path(__file__).parents[2] / "tools"
TOOL_OF = {
    "synthesize": "synthesize",
    "index": "index_segments",
    "cutout": "cutout",
    "browse": "browse_dataset",
    "validate": "validate_annotations",
    "convert": "convert_annotations",
    "check": "check_dataset",
    "train": "train",
    "test": "test",
    "env": "collect_env",
}
# What a verb needs to be imported, beside numpy, OpenCV and Arrow.
NEEDS = {"check": "mmseg", "train": "mmengine.runner", "test": "mmengine.runner"}
READS_CONFIGS = ("synthesize", "preview")


def needed(verb: str) -> None:
    if verb in NEEDS:
        pytest.importorskip(NEEDS[verb])
    if verb in READS_CONFIGS:
        pytest.importorskip("mmengine.config")


def test_every_verb_is_a_module():
    folder = Path(sos_mm.__file__).parent / "cli"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "parsing"} == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_command(verb, capsys):
    needed(verb)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: sos-mm {verb} ")
    assert "tools/synthesize.py" not in told


@pytest.mark.parametrize("verb", TOOL_OF)
def test_tools_call_the_functions_of_the_verbs(verb):
    needed(verb)
    face = TOOLS / f"{TOOL_OF[verb]}.py"
    assert runpy.run_path(str(face))["main"] is import_module(f"sos_mm.cli.{verb}").main


def test_help_of_a_tool_names_the_tool(monkeypatch, capsys):
    tool = str(TOOLS / "browse_dataset.py")
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(tool, run_name="__main__")
    told = capsys.readouterr().out
    assert told.startswith("usage: browse_dataset.py ")
    assert f"`python {tool} data/composed --out pages/composed`" in told


@pytest.mark.parametrize(("argv", "said"), [([], "required: VERB"), (["compose"], "invalid choice: 'compose'")])
def test_what_is_no_verb(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"sos_mm {sos_mm.__version__}\n"


def test_missing_library_is_named_with_the_remedy():
    code = "import sys; sys.modules['torch'] = None; from sos_mm.cli import main; main(['train', 'x.py'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: `sos-mm train` cannot be used here: ")
    assert "torch" in done.stderr
    assert "`sos-mm env`" in done.stderr


def test_exit_code_of_a_verb_is_that_of_the_process(tmp_path):
    command = [sys.executable, "-m", "sos_mm", "validate", str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: The annotation file ")
