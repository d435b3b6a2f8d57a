"""The study on photographs: a training of two stages that was interrupted ends as one that was not."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from tests.helpers.photographs import SIDE, write_photographs

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/benchmarks"))
import photograph_detection as study
import photograph_detection_arms as arms
import photograph_detection_data as data
import photograph_detection_report as study_report
from pretrained_encoder import FrozenStages

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")
timm = pytest.importorskip("timm")
pytestmark = pytest.mark.slow
ARM = "composed_then_real"
ITERATIONS = 4  # Two of each stage.
FILES = {"stage_0", "stage_1", "test", "found.bbox.json", "result.json"}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """Small photographs, a checkpoint after each iteration, and data without random draws.

    The transforms of mmcv draw from numpy's global state, which mmengine does not save: a training that goes on draws
    other crops and flips than one that was not interrupted. All else is compared.
    """
    of_whole_images = arms.batch_of

    def batch_of(*given):
        loader = of_whole_images(*given)
        for step in loader["dataset"]["datasets"][0]["pipeline"]:
            if step["type"] == "RandomResize":
                step["ratio_range"] = (1, 1)
            if step["type"] == "RandomFlip":
                step["prob"] = 0.0
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "SIZE", SIDE)
        patch.setattr(study, "SCALE", (SIDE, SIDE))
        patch.setattr(study, "SAVED_EVERY", 1)
        patch.setattr(study, "batch_of", batch_of)
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    """The photographs and the encoder's weights."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), folder / "theirs.pth")
    return dict(photos=write_photographs(folder / "photographs"), encoder=folder / "theirs.pth")


def new_study(inputs: dict, work: Path) -> Namespace:
    """A command line, and the data that it asks for."""
    args = Namespace(
        **inputs, work_dir=work, task="supercategories", masks=False, iterations=ITERATIONS, batch_size=2, frozen=3,
        composed=4,
    )  # fmt: skip
    data.prepare(args.photos, work / "data", data.TASKS[args.task])
    return args


@pytest.fixture(scope="module")
def uninterrupted(inputs, tmp_path_factory) -> Path:
    args = new_study(inputs, tmp_path_factory.mktemp("uninterrupted"))
    return study.run(args, ARM, 0).parent


def checkpoint(folder: Path) -> dict:
    """The last checkpoint of a training."""
    return torch.load(folder / f"stage_1/iter_{ITERATIONS}.pth", weights_only=False)


def before_iteration(number: int):
    """Interrupts before an iteration of the whole training."""
    freeze = FrozenStages.before_train_iter

    def interrupt(hook, runner, **others) -> None:
        if runner.iter == number:
            raise KeyboardInterrupt
        freeze(hook, runner, **others)

    return FrozenStages, "before_train_iter", interrupt


def before_stage_of_photographs():
    """Interrupts between the stages."""

    def interrupt(stage, *others) -> None:
        if stage.source == "real":
            raise KeyboardInterrupt
        arms.composed_set(stage, *others)

    return study, "composed_set", interrupt


@pytest.mark.parametrize(
    ("interruption", "kept"),
    [
        (before_stage_of_photographs(), "stage_0/iter_2.pth"),
        (before_iteration(3), "stage_1/iter_3.pth"),
    ],
    ids=["between the stages", "within the second stage"],
)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    uninterrupted, inputs, tmp_path, monkeypatch, interruption, kept
):
    args = new_study(inputs, tmp_path)
    folder = tmp_path / f"{ARM}-0"
    with monkeypatch.context() as patch:
        patch.setattr(*interruption)
        with pytest.raises(KeyboardInterrupt):
            study.run(args, ARM, 0)
    # What it goes on from is there, and nothing later.
    assert max(folder.glob("stage_*/iter_*.pth"), key=str) == folder / kept
    assert {path.name for path in folder.iterdir()} <= FILES - {"result.json"}

    study.run(args, ARM, 0)
    assert {path.name for path in folder.iterdir()} == FILES
    once, twice = checkpoint(uninterrupted), checkpoint(folder)
    assert once["meta"]["iter"] == twice["meta"]["iter"] == ITERATIONS
    assert once["state_dict"].keys() == twice["state_dict"].keys()
    assert all(torch.equal(value, twice["state_dict"][name]) for name, value in once["state_dict"].items())
    for key in ("last_step", "_last_value"):
        assert [each[key] for each in once["param_schedulers"]] == [each[key] for each in twice["param_schedulers"]]
    moments, others = once["optimizer"]["state"], twice["optimizer"]["state"]
    assert moments.keys() == others.keys()
    assert all(torch.equal(moments[key]["exp_avg"], others[key]["exp_avg"]) for key in moments)
    found = (folder / "found.bbox.json").read_bytes()
    assert len(found) > 2
    assert found == (uninterrupted / "found.bbox.json").read_bytes()


def test_the_stages_train_on_and_are_reported(uninterrupted):
    first, last = (
        torch.load(uninterrupted / f"stage_{index}/iter_{end}.pth", weights_only=False)
        for index, end in enumerate((ITERATIONS // 2, ITERATIONS))
    )
    trained = "bbox_head.rtm_cls.0.weight"
    assert not torch.equal(first["state_dict"][trained], last["state_dict"][trained])
    # The cosine goes on in the second stage; its last step would come after the end.
    assert [each["last_step"] for each in first["param_schedulers"]] == [2, 2]
    assert [each["last_step"] for each in last["param_schedulers"]] == [ITERATIONS, ITERATIONS - 1]
    name = f"| {ARM} | 1 |"
    assert name in study_report.report(uninterrupted.parent, False, [(ARM, 0)])
