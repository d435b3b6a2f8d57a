"""The saliency metrics inside mmengine, in one process and in two."""

import csv
import socket
import sys
from time import monotonic

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement, PixelData

from sos_mm.metrics import SaliencyScores
from sos_mm.saliency.metric import SODMetric

NUMBER = 7  # Odd, so that two processes have a sample too many.
TIMEOUT = 120


def make_pair(index):
    """Prediction float32, mask uint8, different for each index, of different sizes."""
    rng = np.random.default_rng(index)
    height, width = rng.integers(12, 40, 2)
    target = np.zeros((height, width), np.uint8)
    target[rng.integers(1, 5) : -rng.integers(1, 5), 2 : rng.integers(4, 10)] = 255
    prediction = np.clip(target / 255 * 0.7 + rng.random((height, width)) * 0.3, 0, 1).astype(np.float32)
    return prediction, target


def make_sample(index, prediction=None, target=None):
    default_prediction, default_target = make_pair(index)
    prediction = torch.from_numpy(default_prediction)[None] if prediction is None else prediction
    target = torch.from_numpy(default_target / 255).float()[None] if target is None else target
    sample = BaseDataElement(metainfo={"img_path": f"images/{index}.jpg"})
    sample.pred_saliency = PixelData(data=prediction)
    sample.gt_saliency = PixelData(data=target)
    return sample


def direct_scores(**options):
    scores = SaliencyScores(**options)
    rows = [scores.update(*make_pair(index)) for index in range(NUMBER)]
    return scores.compute(), rows


def evaluate(metric, indices, size=NUMBER):
    evaluator = Evaluator(metric)
    for index in indices:
        evaluator.process([make_sample(index)], None)
    return evaluator.evaluate(size)


def test_one_process_equals_the_direct_loop():
    means, _ = direct_scores()
    result = evaluate({"type": "SODMetric"}, range(NUMBER))
    assert result == pytest.approx({"sod/MAE": means["MAE"], "sod/Smeasure": means["Smeasure"]}, abs=1e-12)
    assert all(type(value) is float for value in result.values())


def two_process_worker(rank, port, folder):
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    # As mmengine's sampler deals them out: in turns, and the first once more for the second process.
    indices = [index % NUMBER for index in range(rank, NUMBER + 1, 2)]
    metric = SODMetric(csv=f"{folder}/scores.csv", collect_dir=f"{folder}/parts")
    result = evaluate(metric, indices)
    # The group ends with the process: gloo of torch 2.4 can hang when it is destroyed in two at once.
    torch.save(result, f"{folder}/result_{rank}.pth")


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over tcp is set up for Unix here")
def test_two_processes_equal_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.spawn(two_process_worker, (port, str(tmp_path)), nprocs=2, join=False)
    deadline = monotonic() + TIMEOUT
    while not context.join(timeout=1):
        if monotonic() > deadline:
            for process in context.processes:
                process.kill()
            pytest.fail("The two processes did not end.")
    means, rows = direct_scores()
    for rank in range(2):
        result = torch.load(tmp_path / f"result_{rank}.pth")
        assert result == pytest.approx({f"sod/{name}": mean for name, mean in means.items()}, abs=1e-12)
    assert read_csv(tmp_path / "scores.csv") == [(f"images/{index}.jpg", row) for index, row in enumerate(rows)]


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [(row.pop("image"), {name: float(value) for name, value in row.items()}) for row in csv.DictReader(file)]


def test_csv_of_one_process(tmp_path):
    path = tmp_path / "deep" / "scores.csv"
    evaluate(SODMetric(csv=path), range(NUMBER))
    assert read_csv(path) == [(f"images/{index}.jpg", row) for index, row in enumerate(direct_scores()[1])]


def test_unrounded_scores_are_labelled():
    means, _ = direct_scores(round_to_uint8=False)
    result = evaluate(SODMetric(round_to_uint8=False, prefix="ecssd"), range(NUMBER))
    assert result == pytest.approx({f"ecssd/{name}_unrounded": mean for name, mean in means.items()}, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float16, torch.float32, torch.bfloat16])
def test_masks_of_any_type(dtype):
    prediction, target = make_pair(3)
    mask = torch.from_numpy(target)[None]
    mask = mask if dtype == torch.uint8 else (mask / 255).to(dtype)
    metric = SODMetric()
    metric.process(None, [make_sample(3, target=mask).to_dict()])
    assert metric.results[0] == ("images/3.jpg", SaliencyScores().update(prediction, target))


@pytest.mark.parametrize("level", [128, 129])
def test_soft_float_mask_is_cut_as_its_8_bit_levels(level):
    metric = SODMetric()
    mask = torch.full((1, 4, 4), level / 255)
    metric.process(None, [make_sample(0, torch.ones(1, 4, 4), mask).to_dict()])
    assert metric.results[0][1]["MAE"] == (level == 128)


def test_samples_as_elements_and_as_dicts_of_elements():
    element = make_sample(2)
    metric = SODMetric()
    metric.process(None, [element, element.to_dict(), {key: element.get(key) for key in element.all_keys()}])
    assert metric.results[0] == metric.results[1] == metric.results[2]


def test_registered_at_the_root():
    assert METRICS.get("SODMetric") is SODMetric


@pytest.mark.parametrize("key", ["gt_saliency", "pred_saliency"])
def test_missing_part_names_the_image(key):
    sample = make_sample(5).to_dict()
    del sample[key]
    with pytest.raises(ValueError, match=rf"images/5.jpg cannot be scored: `{key}` must be in the data sample"):
        SODMetric().process(None, [sample])


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(1, 4, 4), r"`pred_saliency` must be of shape \(1, H, W\)"),
        (torch.full((1, 4, 4), 2.0), torch.zeros(1, 4, 4), "`prediction` must hold values in"),
        (torch.zeros(1, 4, 4), torch.full((1, 4, 4), 255.0), r"`gt_saliency` must hold values in \[0, 1\]"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), "`target` must be bool or uint8"),
    ],
)
def test_bad_maps_name_the_image(prediction, target, message):
    with pytest.raises(ValueError, match=rf"images/1.jpg.*{message}"):
        SODMetric().process(None, [make_sample(1, prediction, target).to_dict()])


def test_no_images():
    with pytest.raises(ValueError, match="at least one image"):
        SODMetric().evaluate(0)
