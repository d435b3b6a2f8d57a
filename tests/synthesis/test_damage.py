"""What was damaged between two runs is made again, and what is not a run's own is left alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sos_mm.synthesis import Recipe, engine, merging, shards, synthesize
from tests.synthesis.test_synthesis import folder_hash

NUM, SHARD = 12, 3


@pytest.fixture
def recipe():
    return Recipe(
        canvas=(64, 80),
        group="all",
        backgrounds={"type": "texture"},
        layout={"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
        formats=["coco", "panoptic", "odvg", "saliency"],
    )


def make(recipe, out, **options):
    return synthesize(recipe, out, NUM, **{"seed": 3, "shard_size": SHARD, "progress": False, **options})


@pytest.fixture
def whole(recipe, tmp_path):
    make(recipe, tmp_path / "whole")
    return folder_hash(tmp_path / "whole")


def interrupt(monkeypatch, call, *, name="merge_shards", module=engine):
    """Runs ``call``, which is cut short where it would call the function ``name``."""
    with monkeypatch.context() as patched:
        patched.setattr(module, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            call()


def first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


def cut(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def more_objects(path: Path) -> None:
    summary = json.loads(path.read_text())
    summary["objects"] += 1
    path.write_text(json.dumps(summary))


DAMAGES = {
    "stream lost": ("*annotations.jsonl", Path.unlink),
    "stream cut": ("*annotations.jsonl", cut),
    "stream changed": ("*annotations.jsonl", change),
    "stream emptied": ("*odvg_grounding*.jsonl", lambda path: path.write_bytes(b"")),
    "image lost": ("images/*", Path.unlink),
    "mask changed": ("masks/*", change),
    "summary lost": ("shard.json", Path.unlink),
    "summary cut": ("shard.json", lambda path: path.write_bytes(path.read_bytes()[:40])),
    "summary of other counts": ("shard.json", more_objects),
    "summary that is a list": ("shard.json", lambda path: path.write_text("[]")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_made_again(recipe, whole, tmp_path, monkeypatch, capsys, damage):
    """To the bytes of a run that nobody disturbed."""
    out = tmp_path / "out"
    interrupt(monkeypatch, lambda: make(recipe, out))
    pattern, spoil = DAMAGES[damage]
    spoil(first(shards.shard_folder(out, 1), pattern))
    assert merging.damaged_shards(out, NUM // SHARD) == [1]
    assert make(recipe, out).made == SHARD
    assert folder_hash(out) == whole
    assert "1 shards are damaged and are made again" in capsys.readouterr().err


def test_damage_in_the_middle_of_a_merge(recipe, whole, tmp_path, monkeypatch):
    """Files that moved to their places already are proved there."""
    out = tmp_path / "out"
    interrupt(monkeypatch, lambda: make(recipe, out), name="_write_table", module=merging)
    change(first(out, "images/*"))
    assert make(recipe, out).made == SHARD
    assert folder_hash(out) == whole


def test_a_stream_that_no_shard_wrote_is_damage(recipe, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupt(monkeypatch, lambda: make(recipe, out))
    (shards.shard_folder(out, 0) / "annotations#more.json#images.jsonl").write_text("{}\n")
    assert make(recipe, out).made == SHARD
    assert folder_hash(out) == whole


def test_a_disk_that_changes_what_is_written_is_told(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "damaged_shards", lambda *_: [0])
    with pytest.raises(OSError, match="read back otherwise than they were written, 3 times: check the disk"):
        make(recipe, tmp_path / "out")


@pytest.mark.parametrize("name", ["images/00000003.jpg", "annotations/panoptic.json", "checksums.sha256"])
def test_verify_reads_all_of_a_complete_data_set(recipe, tmp_path, name):
    out = tmp_path / "out"
    make(recipe, out)
    assert make(recipe, out, verify=True).made == 0
    content = (out / name).read_bytes()
    (out / name).write_bytes(content.replace(b"0", b"1", 1) if name.endswith("256") else content[:-1] + b"\x00")
    if not name.endswith("256"):
        assert make(recipe, out).made == 0
    with pytest.raises((ValueError, FileNotFoundError), match=r"not what was written, .* first|are missing"):
        make(recipe, out, verify=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "The manifest of a data set must be a JSON file, but .*manifest.json is not"),
        ("[]", "The manifest of a data set must be a JSON object, but .*manifest.json holds a list"),
        ("{}", "manifest.json must have `format`, but has no such member"),
    ],
)
def test_a_damaged_manifest_is_told(recipe, tmp_path, content, told):
    make(recipe, tmp_path / "out")
    (tmp_path / "out/manifest.json").write_text(content)
    with pytest.raises(ValueError, match=told):
        make(recipe, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"counts": []}, r"must have a JSON object as `counts`, but has \[\]"),
        ({"num": "12"}, "must have an integer as `num`, but has .12."),
        ({"counts": {"images": "12"}}, "`counts` of .*manifest.json must have"),
    ],
)
def test_values_of_a_manifest_are_checked(recipe, tmp_path, change, told):
    make(recipe, tmp_path / "out")
    path = tmp_path / "out/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=told):
        make(recipe, tmp_path / "out")


def test_folders_of_other_names_stay(recipe, tmp_path):
    """Even those that begin as a run's own folder does."""
    kept = tmp_path / "out/.shards_of_last_year/000001/thesis.tex"
    kept.parent.mkdir(parents=True)
    kept.write_text("all of it")
    with pytest.raises(FileExistsError, match=r"holds \.shards_of_last_year: name another folder"):
        make(recipe, tmp_path / "out")
    assert kept.read_text() == "all of it"


def test_a_file_of_others_in_the_work_folder_stays(recipe, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupt(monkeypatch, lambda: make(recipe, out))
    (out / ".shards/notes.txt").write_text("mine")
    make(recipe, out)
    assert [path.name for path in (out / ".shards").iterdir()] == ["notes.txt"]
    assert (out / ".shards/notes.txt").read_text() == "mine"


def test_shards_of_an_unknown_run_stay(recipe, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupt(monkeypatch, lambda: make(recipe, out))
    (out / ".shards/run.json").unlink()
    with pytest.raises(FileExistsError, match=r"holds 000000, but no run\.json that says of which data set"):
        make(recipe, out)
    assert shards.shard_folder(out, 3).is_dir()


STARTER = """
import sys
from sos_mm.synthesis import Recipe, synthesize
recipe = Recipe(canvas=(48, 48), backgrounds={"type": "plain"}, formats=["coco"],
                layout={"type": "StructuredLayout", "counts": (1, 2), "crowded": "fewer"})
print("ready", flush=True)
sys.stdin.readline()
try:
    synthesize(recipe, sys.argv[1], 2, progress=False)
except FileExistsError as error:
    assert "Another run is writing" in str(error), error
"""


def test_two_starters_at_once(tmp_path):
    """One makes the data set; the other finds it at work or complete."""
    for index in range(3):
        out = tmp_path / str(index)
        command = [sys.executable, "-c", STARTER, str(out)]
        both = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.communicate()[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        assert sorted(path.name for path in out.iterdir()) == [
            "annotations",
            "checksums.sha256",
            "images",
            "manifest.json",
        ]
