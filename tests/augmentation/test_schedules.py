"""Options that change from epoch to epoch."""

import json
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mmcv")

from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.runner import Runner

from sos_mm.augmentation import SegmentPaste
from sos_mm.augmentation.schedules import at_epoch, turning_epochs
from tests.augmentation.samples import CLASSES, LAYOUT, build, random_sample

RISING = dict(type="Linear", begin=1, end=8, start=2, stop=9)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        (RISING, {0: 1, 2: 1, 3: 2, 5: 4, 8: 7, 9: 8, 100: 8}),
        (dict(type="Linear", begin=0.8, end=0.2, stop=3), {0: 0.8, 1: 0.6, 2: 0.4, 3: 0.2, 4: 0.2}),
        (dict(type="Linear", begin=[1, 2], end=(1, 10), stop=4), {0: [1, 2], 1: [1, 4], 3: [1, 8], 4: [1, 10]}),
        (dict(type="Linear", begin={"a": 0.0, "b": 1.0}, end={"a": 1.0, "b": 0.0}, stop=2), {1: dict(a=0.5, b=0.5)}),
        (
            dict(type="Steps", values=[0.9, (0.5,), None], epochs=[2, 5]),
            {0: 0.9, 1: 0.9, 2: (0.5,), 4: (0.5,), 5: None},
        ),
        ({"x": [RISING, 3], "type": "StructuredLayout"}, {5: {"x": [4, 3], "type": "StructuredLayout"}}),
        (None, {3: None}),
    ],
)
def test_values_by_hand(option, values):
    for epoch, value in values.items():
        found = at_epoch(option, epoch)
        assert found == pytest.approx(value) if isinstance(value, float) else found == value


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 9), st.integers(1, 20), st.booleans())
def test_linear_goes_one_way_between_its_ends(begin, end, start, length, whole):
    begin, end = (begin, end) if whole else (begin / 3, end / 3)
    schedule = dict(type="Linear", begin=begin, end=end, start=start, stop=start + length)
    found = [at_epoch(schedule, epoch) for epoch in range(start + length + 3)]
    assert found[: start + 1] == [begin] * (start + 1)
    assert found[start + length :] == [end] * 3
    assert found == sorted(found, reverse=end < begin)
    assert all(isinstance(value, type(begin)) for value in found)
    assert turning_epochs({"x": [schedule]}) == {start, start + length}


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (dict(type="Linear", begin=0, end=1), "must have `stop`"),
        (dict(type="Linear", begin=0, end=1, stop=0), "stop"),
        (dict(type="Linear", begin=0, end=1, start=5, stop=5), "stop"),
        (dict(type="Linear", begin=0, end=1, stop=2, power=2), "'power'"),
        (dict(type="Linear", begin=0, end="1", stop=2), "must be numbers"),
        (dict(type="Linear", begin=[0], end=[1, 2], stop=2), "must be numbers"),
        (dict(type="Linear", begin=True, end=1, stop=2), "must be numbers"),
        (dict(type="Steps", values=[0, 1], epochs=[3, 5]), "one more"),
        (dict(type="Steps", values=[0, 1, 1], epochs=[5, 5]), "ascend"),
        (dict(type="Steps", values=[0, 1], epochs=3), "must be a list"),
        (dict(type="Steps", values=[0, 1], epochs=[0]), "epochs"),
        (dict(type="Linear", begin=0.5, end=1.5, stop=2), "`prob` must be"),
        (
            dict(type="Linaer", begin=0.5, end=1, stop=2),
            r"^`prob\.type` must be one of 'Linear', 'Steps', but got 'Linaer'",
        ),
        (
            dict(type="step", values=[0, 1], epochs=[3]),
            r"^`prob\.type` must be one of .*'step'\. Did you mean 'Steps'\?",
        ),
        (dict(begin=0.5, end=1, stop=2), r"^`prob\.type` must be one of .* but got None"),
        (dict(type=["Linear"], begin=0.5, end=1, stop=2), r"^`prob\.type` must be one of"),
        (dict(type="Steps", values=[0.5, "often"], epochs=[7]), "`prob` must be"),
    ],
)
def test_wrong_schedules(bank_config, schedule, said):
    with pytest.raises(ValueError, match=said):
        SegmentPaste(bank_config, prob=schedule)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            dict(layout={**LAYOUT, "counts": dict(type="Lin", begin=1, end=2, stop=3)}),
            r"`layout\.counts\.type` must be one of",
        ),
        (dict(layout={**LAYOUT, "counts": dict(begin=1, end=2, stop=3)}), r"`layout\.counts\.type` must be one of"),
        (
            dict(layout={**LAYOUT, "counts": [1, dict(type="Step", values=[2, 3], epochs=[1])]}),
            r"`layout\.counts\.1\.type` must be one of .* Did you mean 'Steps'\?",
        ),
        (
            dict(
                layout={**LAYOUT, "shares": {**LAYOUT["shares"], "small": dict(type="linear", begin=0, end=1, stop=1)}}
            ),
            r"`layout\.shares\.small\.type` must be one of .* Did you mean 'Linear'\?",
        ),
        (dict(min_area=dict(type="linear", begin=4, end=9, stop=9)), r"`min_area\.type` must be one of"),
        (dict(max_enlargement=dict(type=None)), r"`max_enlargement\.type` must be one of"),
        # What else is wrong with a schedule is told with its place too.
        (
            dict(layout={**LAYOUT, "counts": dict(type="Linear", begin=[1, 2], end=[3, 4])}),
            r"schedule `layout\.counts`: .*must have `stop`",
        ),
        (dict(min_area=dict(type="Linear", begin=4, end=9, stop=0)), r"schedule `min_area`: `stop` must be an integer"),
        # A layout of an unknown type is no schedule.
        (dict(layout={**LAYOUT, "type": "StructuredLayuot"}), r"`layout\.type` must be one of .*'StructuredLayout'\?"),
    ],
)
def test_wrong_schedules_are_named_by_their_place(bank_config, options, said):
    with pytest.raises(ValueError, match=said):
        SegmentPaste(bank_config, **options)


def test_values_of_later_epochs_are_checked_at_once(bank_config):
    shares = dict(type="Steps", values=[LAYOUT["shares"], {"large": 1.0, "medium": 1.0, "small": 0.0}], epochs=[50])
    with pytest.raises(ValueError, match="`shares` must be"):
        SegmentPaste(bank_config, layout={**LAYOUT, "shares": shares})
    with pytest.raises(ValueError, match="min_area"):
        SegmentPaste(bank_config, min_area=dict(type="Linear", begin=4, end=0, stop=9))


COUNTS, LARGE = dict(type="Linear", begin=[1, 1], end=[5, 6], stop=4), {"large": 1.0, "medium": 0.0, "small": 0.0}
CURRICULUM = {
    "prob": dict(type="Steps", values=[0.3, 1.0], epochs=[2]),
    "layout": {
        **LAYOUT,
        "counts": COUNTS,
        "shares": dict(type="Linear", begin=LARGE, end=LAYOUT["shares"], start=1, stop=3),
    },
    "min_visible_share": dict(type="Linear", begin=1.0, end=0.2, stop=4),
}


def plain_in(epoch):
    """The curriculum's options in an epoch, by hand."""
    share = min(max((epoch - 1) / 2, 0), 1)
    shares = {key: value + (LAYOUT["shares"][key] - value) * share for key, value in LARGE.items()}
    return {
        "prob": 0.3 if epoch < 2 else 1.0,
        "layout": {**LAYOUT, "counts": [(1, 1), (2, 2), (3, 4), (4, 5), (5, 6)][min(epoch, 4)], "shares": shares},
        "min_visible_share": [1.0, 0.8, 0.6, 0.4, 0.2][min(epoch, 4)],
    }


def test_each_epoch_is_that_of_plain_options(bank_config):
    """In any order of epochs, as after a resume."""
    paste = build(bank_config, **CURRICULUM)
    numbers = {}
    for epoch in (0, 1, 2, 3, 4, 6, 1, 3):
        paste.draws.epoch = epoch
        plain = build(bank_config, **plain_in(epoch))
        plain.draws.epoch = epoch
        for seed in range(12):
            sample = random_sample(seed, 2)
            del sample["masks"]
            found, wanted = paste(dict(sample)), plain(dict(sample))
            for key in ("img", "gt_bboxes", "gt_bboxes_labels"):
                np.testing.assert_array_equal(found[key], wanted[key])
            numbers.setdefault(epoch, []).append(len(found["gt_bboxes"]) - 2)
    assert np.mean(numbers[0]) < 1 < np.mean(numbers[4])


def test_schedules_need_the_epoch(bank_config):
    paste = build(bank_config, **CURRICULUM)
    paste.draws = None
    with pytest.raises(RuntimeError, match=r"Schedules need to know the epoch.*VisitHook"):
        paste(random_sample(0))
    assert build(bank_config, prob=1.0).is_scheduled is False


class Pictures(BaseDataset):
    """Six random images with two objects each."""

    def load_data_list(self) -> list[dict]:
        return [{"number": number} for number in range(6)]


class MakePicture:
    """Makes the sample of an image."""

    def __call__(self, info: dict) -> dict:
        sample = random_sample(info["number"], 2)
        del sample["masks"]
        return sample


class Summary:
    """Reduces a sample to its image's checksum and the number of its objects."""

    def __call__(self, sample: dict) -> dict:
        return {"inputs": torch.tensor([zlib.crc32(sample["img"].tobytes()), len(sample["gt_bboxes"])])}


class Listener(BaseModel):
    """Writes what it gets into a file."""

    def __init__(self, out: str):
        super().__init__()
        self.out, self.weight = out, torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="loss"):
        with open(self.out, "a") as file:
            file.write(json.dumps(torch.stack(inputs).tolist()) + "\n")
        return {"loss": self.weight.sum()}


@pytest.fixture
def train(tmp_path, bank_config, monkeypatch):
    """Trains with the curriculum; gives what the model got of each epoch: checksums and numbers of objects."""
    monkeypatch.setattr("mmengine.runner.loops.time.sleep", lambda seconds: None)
    parts = [(DATASETS, Pictures), (TRANSFORMS, MakePicture), (TRANSFORMS, Summary), (MODELS, Listener)]
    for registry, part in parts:
        registry.register_module(module=part)

    def run(name, epochs, workers, resume=False):
        out = tmp_path / f"{name}.jsonl"
        paste = dict(type="sos_mm.SegmentPaste", bank=bank_config, classes=CLASSES, **CURRICULUM)
        pipeline = [dict(type="MakePicture"), paste, dict(type="Summary")]
        Runner(
            model=dict(type="Listener", out=str(out)),
            work_dir=str(tmp_path / name),
            train_dataloader=dict(
                dataset=dict(type="Pictures", pipeline=pipeline),
                batch_size=3,
                num_workers=workers,
                persistent_workers=workers > 0,
                collate_fn=dict(type="pseudo_collate"),
                sampler=dict(type="DefaultSampler", shuffle=True),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
            custom_hooks=[dict(type="sos_mm.VisitHook")],
            experiment_name=f"{tmp_path.name}-{name}-{epochs}",
            randomness=dict(seed=3),
            resume=resume,
        ).train()
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        return [rows[place] + rows[place + 1] for place in range(0, len(rows), 2)]

    yield run
    for registry, part in parts:
        del registry._module_dict[part.__name__]


def test_workers_and_a_resume_change_nothing(train):
    whole = train("whole", 6, workers=0)
    assert len(whole) == 6
    assert train("workers", 6, workers=2) == whole
    train("stopped", 3, workers=2)
    assert train("stopped", 6, workers=1, resume=True) == whole
    numbers = [sum(count for _, count in epoch) for epoch in whole]
    assert min(numbers[4:]) > max(numbers[:2])
