"""The command `sos-mm`: its verbs, their parsers, and the files of tools/ that call the same functions."""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sos_mm
from sos_mm.cli import VERBS, main
from sos_mm.cli.ending import command
from tests.helpers import commands

TOOLS = Path(__file__).parents[2] / "tools"
TOOL_OF = {
    "synthesize": "synthesize",
    "download": "download_segments",
    "index": "index_segments",
    "relight": "relight",
    "cutout": "cutout",
    "draw": "make_segments",
    "browse": "browse_dataset",
    "validate": "validate_annotations",
    "convert": "convert_annotations",
    "audit": "audit_leakage",
    "steer": "steer_recipe",
    "check": "check_dataset",
    "train": "train",
    "test": "test",
    "env": "collect_env",
}
# What a verb needs to be imported, beside numpy, OpenCV and Arrow.
NEEDS = {"check": "mmseg", "train": "mmengine.runner", "test": "mmengine.runner"}
READS_CONFIGS = ("synthesize", "preview", "relight", "draw", "steer")


def needed(verb: str) -> None:
    if verb in NEEDS:
        pytest.importorskip(NEEDS[verb])
    if verb in READS_CONFIGS:
        pytest.importorskip("mmengine.config")


def test_every_verb_is_a_module():
    folder = Path(sos_mm.__file__).parent / "cli"
    others = {"__init__", "ending", "hash_seed", "parsing", "signals"}
    assert {path.stem for path in folder.glob("*.py")} - others == set(VERBS)


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
def test_tools_are_faces_of_the_verbs(verb, monkeypatch, capsys):
    needed(verb)
    tool = str(TOOLS / f"{TOOL_OF[verb]}.py")
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(tool, run_name="__main__")
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"usage: {TOOL_OF[verb]}.py ")
    # The same options as the verb has.
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert told.split("options:")[1] == capsys.readouterr().out.split("options:")[1]


def test_help_of_a_tool_names_the_tool(monkeypatch, capsys):
    tool = str(TOOLS / "browse_dataset.py")
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
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


@pytest.mark.parametrize(
    ("argv", "nearest"),
    [
        (["synthesise"], "synthesize"),
        (["refer", "x.json", "--out", "y", "--complete", "stat"], "stated"),
        (["convert", "panoptic-odgv", "x.json", "y.jsonl"], "panoptic-odvg"),
    ],
)
def test_a_mistyped_choice_is_told_with_the_nearest_one(argv, nearest, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f" Did you mean {nearest!r}?\n")


def test_version(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"sos_mm {sos_mm.__version__}\n"


def test_missing_library_is_named_with_the_remedy():
    code = "import sys; sys.modules['torch'] = None; from sos_mm.cli import main; main(['train', 'x.py'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `sos-mm train` cannot be used here: ")
    assert "torch" in done.stderr
    assert "`sos-mm env`" in done.stderr


def test_output_whose_reader_has_ended_ends_the_command_silently():
    listing = [sys.executable, "-m", "sos_mm", "config", "--list"]
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as out:
        done = subprocess.run(listing, stdout=out, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_another_broken_pipe_is_told():
    @command()
    def write() -> None:
        raise BrokenPipeError("of a server")

    with pytest.raises(SystemExit, match="error: of a server"):
        write()


def test_exit_code_of_a_verb_is_that_of_the_process(tmp_path):
    command = [sys.executable, "-m", "sos_mm", "validate", str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: The annotation file ")


def test_renamed_options_are_read_under_either_name_but_not_both(capsys):
    from sos_mm.cli.cutout import parse_args

    command = ["in.jpg", "out", "--checkpoint", "x.pth"]
    for name, old_name in (("--num-inference-steps", "--steps"), ("--ensemble-size", "--ensemble")):
        key = name.removeprefix("--").replace("-", "_")
        assert getattr(parse_args(command, "sos-mm cutout"), key) is None
        for given in (name, old_name):
            assert getattr(parse_args([*command, given, "3"], "sos-mm cutout"), key) == 3
        with pytest.raises(SystemExit):
            parse_args([*command, name, "3", old_name, "3"], "sos-mm cutout")
        assert "not allowed with" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            parse_args(["in.jpg", "out", "--onnx", "x.onnx", old_name, "3"], "sos-mm cutout")
        assert "are for --checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "option"),
    [("validate", "images"), ("validate", "masks"), ("browse", "images"), ("browse", "masks"), ("refer", "images")],
)
def test_a_folder_that_is_not_there_is_told_by_what_it_holds(verb, option, tmp_path):
    """Not by the name of an argument in Python, which the command line lacks."""
    data = tmp_path / "instances.json"
    image = {"id": 1, "file_name": "a.png", "height": 2, "width": 2}
    data.write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    words = [data, f"--{option}", tmp_path / "none"]
    words += ["--images", tmp_path] if (verb, option) == ("browse", "masks") else []
    done = commands.run([verb, *words, *(["--out", tmp_path / "out"] if verb != "validate" else [])])
    assert done.code == 2
    assert (
        done.line
        == f"error: The folder of {option} must be an existing folder, but {tmp_path / 'none'} does not exist."
    )


@pytest.mark.parametrize("verb", ["browse", "refer"])
@pytest.mark.parametrize(
    ("images", "said"),
    [({}, "must be a JSON object with a list 'images', but has none."), ({"images": []}, "must list images, but")],
)
def test_annotations_without_images_are_refused(verb, images, said, tmp_path):
    """They would give a page or files of nothing."""
    data, out = tmp_path / "instances.json", tmp_path / "out"
    data.write_text(json.dumps({**images, "annotations": [], "categories": [{"id": 1, "name": "dog"}]}))
    done = commands.run([verb, data, "--out", out])
    assert done.code == 2
    assert done.line.startswith(f"error: {data} {said}")
    assert not out.exists()


@pytest.mark.parametrize("verb", ["browse", "refer", "audit"])
def test_images_that_are_not_found_are_told(verb, tmp_path):
    """The option is `--images` for some verbs, `--train-images` for others."""
    images = [{"id": 1, "file_name": "a.png", "height": 2, "width": 2}]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    data = tmp_path / "instances.json"
    done = commands.run([verb, data, *([data] if verb == "audit" else ["--out", tmp_path / "out"])])
    assert done.code == 2
    assert "a.png, are in none of " in done.line
    assert done.line.endswith(": give the folder of images.")
