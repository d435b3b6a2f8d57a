"""A file that is no recipe or config is refused by its name, and the message says what was wanted."""

import json

import pytest

from tests.helpers import commands

pytest.importorskip("mmengine.config")
COCO = {"images": [], "annotations": [], "categories": []}
FILES = {
    "instances.json": json.dumps(COCO),
    "list.json": "[1, 2]",
    "empty.json": "",
    "empty.py": "",
    "broken.py": "x = (",
    "text.txt": "hello",
    "photo.jpg": "\xff",
}
# Arguments in which {} is the file.
RECIPES = {
    "synthesize": ["{}", "--out", "out", "--num", "1"],
    "preview": ["{}", "--out", "sheet.png"],
    "relight": ["data", "--out", "out", "--recipe", "{}"],
    "draw": ["{}", "--out", "out"],
    "steer": ["{}", "results.bbox.json", "--labels", "labels.json", "--out", "next.py"],
}
CONFIGS = {
    "train": ["{}"],
    "test": ["{}", "epoch_1.pth"],
    "cutout": ["photos", "out", "--checkpoint", "epoch_1.pth", "--config", "{}"],
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a verb with arguments in a folder with a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for each in ("photos/a.jpg", "epoch_1.pth"):
        (tmp_path / each).touch()

    def run(verb: str, words: list[str], name: str) -> commands.Ending:
        (tmp_path / name).write_text(FILES[name])
        return commands.run([verb, *(each.format(name) for each in words)])

    return run


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", RECIPES)
def test_what_is_no_recipe(verb, name, run):
    done = run(verb, RECIPES[verb], name)
    assert (done.code, done.raised) == (2, "")
    assert name in done.line
    assert "must be a recipe of " in done.line or "must be a config file" in done.line


@pytest.mark.parametrize("verb", RECIPES)
def test_an_annotation_file_is_no_recipe(verb, run):
    """Though some of its names, such as `categories`, are settings of a recipe too."""
    done = run(verb, RECIPES[verb], "instances.json")
    assert done.line.startswith("error: instances.json must be a recipe of ")
    assert "`sos-mm config " in done.line
    assert "but it sets 'annotations', 'categories', 'images': give another file." in done.line


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", CONFIGS)
def test_what_is_no_config(verb, name, run):
    pytest.importorskip("mmseg")
    done = run(verb, CONFIGS[verb], name)
    assert (done.code, done.raised) == (2, "")
    assert name in done.line
    assert "must be the config of a model" in done.line or "must be a config file" in done.line
