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


# Content of a recipe that lacks settings, and what the message says; of `draw` the recipes are of another kind.
INCOMPLETE = [
    ("", 'segments = dict(type="sample")', "must have a `canvas`"),
    ("", "canvas = (64, 64)\nsegments = dict(group='all')", "`type of the bank` must be"),
    ("", "canvas = (64, 64)\nlayout = dict(counts=(1, 2))", "`layout.type` must be"),
    ("draw", 'model = dict(source="m")', "must have `categories`, `cutter`, but has only `model`"),
    ("draw", 'categories = ["mug"]\ncutter = {}', "must have `model`, but has only `categories`, `cutter`"),
    ("draw", "pairs = dict()", "must have `categories`, `cutter`, but has only `pairs`"),
    ("draw", 'model = dict(dtype="x")\ncategories = ["mug"]\ncutter = {}', "`model.source` must be "),
    ("draw", 'pairs = dict()\ncategories = ["mug"]\ncutter = {}', "`pairs.files` must name Parquet files"),
]


@pytest.mark.parametrize(("kind", "content", "said"), INCOMPLETE)
def test_incomplete_recipes_are_named(kind, content, said, run, monkeypatch):
    monkeypatch.setitem(FILES, "half.py", content)
    for verb in [verb for verb in RECIPES if (verb == "draw") == (kind == "draw")]:
        done = run(verb, RECIPES[verb], "half.py")
        assert (done.code, done.raised) == (2, "")
        assert done.line.startswith("error: half.py: "), done.line
        assert said in done.line


@pytest.mark.parametrize("verb", RECIPES)
def test_an_annotation_file_is_no_recipe(verb, run):
    """Though some of its names, such as `categories`, are settings of a recipe too."""
    done = run(verb, RECIPES[verb], "instances.json")
    assert done.line.startswith("error: instances.json must be a recipe of ")
    assert "`sos-mm config " in done.line
    assert "but it sets 'annotations', 'categories', 'images': give another file." in done.line


MODEL = 'model = dict(type="SalientEncoder")\n'
# Content of a config that lacks settings, the verbs that need them, and what the message says.
INCOMPLETE_CONFIGS = [
    ("model = dict()", tuple(CONFIGS), "must be the config of a model, but its `model` has no `type`"),
    ("model = 5", tuple(CONFIGS), "must be the config of a model, but its `model` has no `type`"),
    (MODEL, ("train",), "must set `train_cfg`, `train_dataloader`, `optim_wrapper` to train, but does not"),
    (MODEL + "train_cfg = dict()\ntrain_dataloader = dict()", ("train",), "must set `optim_wrapper` to train"),
    (MODEL, ("test",), "must set `test_cfg`, `test_dataloader`, `test_evaluator` to test, but does not"),
    (MODEL, ("cutout",), "must set `test_dataloader` (whose pipeline prepares the images), but does not"),
]


@pytest.mark.parametrize(("content", "verbs", "said"), INCOMPLETE_CONFIGS)
def test_incomplete_configs_are_named(content, verbs, said, run, monkeypatch):
    pytest.importorskip("mmseg")
    monkeypatch.setitem(FILES, "half.py", content)
    for verb in verbs:
        done = run(verb, CONFIGS[verb], "half.py")
        assert (done.code, done.raised) == (2, "")
        assert done.line.startswith(f"error: half.py {said}"), done.line


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", CONFIGS)
def test_what_is_no_config(verb, name, run):
    pytest.importorskip("mmseg")
    done = run(verb, CONFIGS[verb], name)
    assert (done.code, done.raised) == (2, "")
    assert name in done.line
    assert "must be the config of a model" in done.line or "must be a config file" in done.line
