"""The small grounding training, two steps of it: data in four forms, the ratio sampler, all four metrics of mmdet."""

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
pytest.importorskip("d_cube")

from sos_mm.annotations.validate import validate
from sos_mm.formats.mdetr import read_mdetr

TOOLS = Path(__file__).parents[2] / "tools/benchmarks"


@pytest.fixture(scope="module")
def trained(language_model, tmp_path_factory):
    """The folder of a training of two steps, and its figures."""
    folder = tmp_path_factory.mktemp("grounding")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOLS)
        patch.setenv("SOS_MM_LANGUAGE_MODEL", "")
        patch.setenv("SOS_MM_GROUNDING_SAMPLE", "")
        from grounding_sample import run

        options = {
            "model.encoder.num_layers": 1,
            "model.decoder.num_layers": 1,
            "train_cfg.max_epochs": 1,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "default_hooks.logger.interval": 1,
            "experiment_name": folder.name,
            # mmdet's visualizers have one name, and mmengine keeps one of a name: that of another test would be used.
            "visualizer.name": folder.name,
        }
        return folder, run(str(language_model), folder, train=8, val=8, options=options)


def test_steps_and_figures(trained):
    folder, rows = trained
    losses = [
        json.loads(line)["loss"]
        for path in folder.glob("*/vis_data/scalars.json")
        for line in path.open()
        if "loss" in line
    ]
    assert len(losses) == 2
    assert list(rows) == ["untrained", "trained", "trained, baseline with mismatched text"]
    for figures in rows.values():
        assert {name.split("/")[0] for name in figures} == {"lvis_fixed_ap", "refexp", "grefcoco", "dod"}
        assert all(0 <= value <= 1 for name, value in figures.items() if "/T_" in name or "/N_" in name)


@pytest.mark.parametrize("name", ["lvis_v1", "refcoco", "grefcoco", "dod"])
def test_sets_are_valid(trained, name):
    found = validate(trained[0] / f"data/val/annotations/{name}.json")
    assert not found.counts, found.counts


def test_words_are_true(trained):
    """What is present is there once, what is absent is not, and shuffled words are those of others."""
    folder = trained[0] / "data"
    lines = [json.loads(line) for line in (folder / "val/annotations/objects.jsonl").open()]
    said = [Counter(each["phrase"].lower() for each in line["objects"]) for line in lines]
    present = absent = 0
    for each in read_mdetr(folder / "val/annotations/grefcoco.json"):
        number = said[each.image_id - 1][each.text]
        assert number == len(each.targets)
        present, absent = present + number, absent + (not number)
    assert min(present, absent) > 3
    words = [
        [each.text for each in read_mdetr(folder / part / "annotations/refcoco.json")] for part in ("val", "shuffled")
    ]
    assert words[0] != words[1]
    assert sorted(words[0]) == sorted(words[1])
