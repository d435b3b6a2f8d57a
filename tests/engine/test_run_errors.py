"""Wrong data that are found while a model is trained end the command with a line; faults of code do not."""

import json
import re

import cv2
import numpy as np
import pytest

pytest.importorskip("mmcv")
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

from sos_mm.formats.boxes import xywh_to_xyxy
from tests.helpers import commands
from tests.helpers.registries import registering

CONFIG = """
default_scope = "mmengine"
model = dict(type="Constant")
loader = dict(
    batch_size=1,
    num_workers={workers},
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        type="Pictures",
        data_root="{root}",
        ann_file="annotations.json",
        data_prefix=dict(img_path="{images}"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            {step},
            dict(type="Pack"),
        ],
    ),
)
train_dataloader = loader
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
custom_hooks = [dict(type="sos_mm.VisitHook")]
{more}
"""
VALIDATION = """
train_dataloader = dict(loader, dataset=dict(loader["dataset"], data_prefix=dict(img_path="images")))
val_dataloader = loader
val_cfg = dict()
val_evaluator = dict(type="DumpResults", out_file_path="{root}/results.pkl")
"""
PASTE = 'dict(type="sos_mm.SegmentPaste", bank=dict(type="sample"), prob=1.0, effects=None{})'


class Constant(BaseModel):
    """Reads nothing of a batch."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="loss"):
        return {"loss": self.weight.sum()} if mode == "loss" else []


class Pictures(BaseDataset):
    """Images of a list; mmengine does not register its own class."""


class Pack:
    """Keeps nothing of a sample but its index."""

    def __call__(self, results: dict) -> dict:
        return {"inputs": torch.tensor(int(results["sample_idx"]))}


class Wrong:
    """Has a fault, or is a use of ours that no user's data cause."""

    def __init__(self, kind: str):
        self.kind = kind

    def __call__(self, results: dict) -> dict:
        if self.kind == "empty":
            return cv2.imdecode(np.zeros(0, np.uint8), cv2.IMREAD_COLOR)
        if self.kind == "key":
            return results["nothing"]
        if self.kind == "shapes":
            return np.zeros(2) + np.zeros(3)
        if self.kind == "assertion":
            raise AssertionError("two and two")
        return xywh_to_xyxy([1, 2, 3])


PARTS = [(MODELS, Constant), (DATASETS, Pictures), (TRANSFORMS, Pack), (TRANSFORMS, Wrong)]

registered = registering(PARTS)


@pytest.fixture
def train(tmp_path):
    """Trains on two images of a dog."""
    (tmp_path / "images").mkdir()
    instance = dict(bbox=[2, 2, 20, 20], bbox_label=0, ignore_flag=0)
    listed = []
    for index in range(2):
        assert cv2.imwrite(str(tmp_path / f"images/{index}.png"), np.full((60, 80, 3), 90, np.uint8))
        listed.append(dict(img_path=f"{index}.png", height=60, width=80, instances=[instance]))
    content = dict(metainfo=dict(classes=["dog"]), data_list=listed)
    (tmp_path / "annotations.json").write_text(json.dumps(content))

    def run(step: str, workers: int, images: str = "images", more: str = "") -> commands.Ending:
        text = CONFIG.format(root=tmp_path, step=step, workers=workers, images=images, more=more.format(root=tmp_path))
        (tmp_path / "config.py").write_text(text)
        return commands.run(["train", tmp_path / "config.py", "--work-dir", tmp_path / "run"])

    return run


@pytest.fixture(params=[0, 1], ids=["main process", "worker"])
def workers(request) -> int:
    return request.param


def refused(done: commands.Ending) -> str:
    """The line of a refusal."""
    assert (done.code, done.raised) == (2, ""), done.raised[-3000:]
    assert "Traceback" not in done.err
    return done.line


def test_a_missing_image_is_named_with_the_setting(train, workers):
    line = refused(train(PASTE.format(', unknown="skip"'), workers, images="nowhere"))
    assert re.match(r"error: `train_dataloader\.dataset` cannot be read: .*No such file.*/nowhere/0\.png'?\. ", line)
    assert line.endswith("Correct its `data_root`, `data_prefix` or annotation file, or the image.")


def test_a_missing_image_of_validation_is_named_with_the_setting(train, workers):
    line = refused(train(PASTE.format(', unknown="skip"'), workers, images="nowhere", more=VALIDATION))
    assert line.startswith("error: `val_dataloader.dataset` cannot be read: ")


def test_an_image_that_is_none_is_named(train, workers, tmp_path):
    (tmp_path / "images/0.png").write_text("no image")
    line = refused(train(PASTE.format(', unknown="skip"'), workers))
    assert re.match(r"error: `train_dataloader\.dataset` cannot be read: .*images/0\.png\. Correct", line)


@pytest.mark.parametrize(
    "wrapper",
    [
        "",
        'type="ConcatDataset", datasets=[loader["dataset"]]',
        'type="RepeatDataset", times=2, dataset=loader["dataset"]',
    ],
    ids=["alone", "concatenated", "repeated"],
)
def test_an_empty_image_is_named(train, workers, wrapper, tmp_path):
    """Of which OpenCV says neither the name nor that it is empty."""
    (tmp_path / "images/1.png").write_bytes(b"")
    more = f"train_dataloader = dict(loader, dataset=dict({wrapper}))" if wrapper else ""
    line = refused(train(PASTE.format(', unknown="skip"'), workers, more=more))
    assert re.match(
        rf"error: `train_dataloader\.dataset` cannot be read: the file {tmp_path}/images/1\.png is empty\. Correct",
        line,
    )


def test_an_empty_file_that_is_not_found_is_told_as_one(train, workers, tmp_path):
    """A transform may read files that the data set does not list."""
    line = refused(train('dict(type="Wrong", kind="empty")', workers))
    assert line.startswith("error: `train_dataloader.dataset` cannot be read: one of its files is empty. Correct")


def test_a_bank_of_other_categories_is_named_with_the_remedy(train, workers):
    line = refused(train(PASTE.format(""), workers))
    assert re.match(r"error: The bank holds '.*which the data set's classes do not name\..*`unknown='skip'`", line)


def test_what_a_hook_of_ours_refuses_is_a_line(train):
    line = refused(train(PASTE.format(""), 0, more='train_cfg = dict(type="IterBasedTrainLoop", max_iters=2)'))
    assert line.startswith("error: VisitHook needs `train_cfg")


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("key", "KeyError"),
        ("shapes", "ValueError: .*could not be broadcast"),
        ("assertion", "AssertionError: .*two and two"),
        ("ours", "ValueError: .*not enough values to unpack"),
    ],
)
def test_faults_of_code_keep_their_traceback(train, workers, kind, raised):
    done = train(f'dict(type="Wrong", kind="{kind}")', workers)
    assert done.code is None
    assert re.match(raised, done.raised, re.DOTALL)


def test_a_run_without_faults_ends_well(train, workers, tmp_path):
    done = train(PASTE.format(', unknown="skip"'), workers)
    assert (done.code, done.raised) == (0, ""), done.err[-3000:]
    assert (tmp_path / "run/epoch_1.pth").is_file()


def test_debugging_shows_the_traceback(train, workers, monkeypatch):
    monkeypatch.setattr(commands.os.environ, "pop", lambda *_: None)
    monkeypatch.setenv("SOS_MM_DEBUG", "1")
    done = train(PASTE.format(""), workers)
    assert done.code is None
    assert "The bank holds" in done.raised
