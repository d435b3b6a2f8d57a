"""The saliency metrics inside mmengine, in one process and in two."""

import csv
import pickle
import sys
import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement, PixelData

from sos_mm.metrics import SaliencyScores
from sos_mm.saliency.evaluation.metric import SODMetric, table

NUMBER = 7  # Odd, so that two processes have a sample too many.


def make_pair(index):
    """Prediction float32, mask uint8, different for each index, of different sizes."""
    rng = np.random.default_rng(index)
    height, width = rng.integers(12, 40, 2)
    target = np.zeros((height, width), np.uint8)
    target[rng.integers(1, 5) : -rng.integers(1, 5), 2 : rng.integers(4, 10)] = 255
    prediction = np.clip(target / 255 * 0.4 + rng.random((height, width)) * 0.6, 0, 1).astype(np.float32)
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
    rows = [scores.update(*make_pair(index)).scores for index in range(NUMBER)]
    return scores.compute(), rows


def evaluate(metric, indices, size=NUMBER):
    evaluator = Evaluator(metric)
    for index in indices:
        evaluator.process([make_sample(index)], None)
    return evaluator.evaluate(size)


def labelled(means, prefix="sod", suffix=""):
    return {f"{prefix}/{name}{suffix}": mean for name, mean in means.items()}


def test_one_process_equals_the_direct_loop():
    means, _ = direct_scores(boundary=True)
    result = evaluate({"type": "SODMetric", "boundary": True}, range(NUMBER))
    assert result == pytest.approx(labelled(means), abs=1e-12)
    assert all(type(value) is float for value in result.values())


def test_keys():
    """Those that configs and papers name; the other parts are options."""
    names = "MAE Smeasure wFmeasure adpFm meanFm maxFm maxFm_per_image adpEm meanEm maxEm maxEm_per_image"
    assert evaluate(SODMetric(), range(2), 2).keys() == {f"sod/{name}" for name in names.split()}
    fast = evaluate(SODMetric(weighted=False, boundary=True), range(2), 2)
    assert fast.keys() == {f"sod/{name}" for name in names.replace("wFmeasure", "BIoU").split()}


def test_several_test_sets_in_one_run(tmp_path):
    """A metric for each, told apart by the prefix: what mmengine does with a list of them."""
    results = {}
    for name, indices in {"ecssd": range(NUMBER), "duts": range(3)}.items():
        results |= evaluate(SODMetric(prefix=name, csv=tmp_path / f"{name}.csv"), indices, len(indices))
    assert {key: results[key] for key in results if key.startswith("ecssd/")} == pytest.approx(
        labelled(direct_scores()[0], "ecssd"), abs=1e-12
    )
    assert results["duts/maxFm"] != results["ecssd/maxFm"]
    assert len(read_csv(tmp_path / "duts.csv")) == 3
    assert len(read_csv(tmp_path / "ecssd.csv")) == NUMBER


def test_several_data_sets_in_one_metric(tmp_path, caplog):
    """Samples that say where they are from are scored apart, and a table of all is told."""
    metric = SODMetric(csv=tmp_path / "all.csv", curves=tmp_path / "curves.png")
    evaluator = Evaluator(metric)
    for index in range(NUMBER):
        sample = make_sample(index)
        sample.set_metainfo({"dataset_name": "ECSSD" if index < 4 else "HKU-IS"})
        evaluator.process([sample], None)
    with caplog.at_level("INFO"):
        result = evaluator.evaluate(NUMBER)
    for name, indices in {"ECSSD": range(4), "HKU-IS": range(4, NUMBER)}.items():
        alone = evaluate(SODMetric(), indices, len(indices))
        for key, value in alone.items():
            assert result[key.replace("sod/", f"sod/{name}/")] == pytest.approx(value, abs=1e-12)
    assert len(result) == 2 * len(alone)
    assert len(read_csv(tmp_path / "all.csv")) == NUMBER
    assert (tmp_path / "curves.png").stat().st_size > 1000
    text = table({"ECSSD": {"MAE": 0.5}, "HKU-IS": {"MAE": 0.25}})
    assert text == "          MAE\nECSSD  0.5000\nHKU-IS 0.2500"


def two_process_worker(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    # As mmengine's sampler deals them out: in turns, and the first once more for the second process.
    indices = [index % NUMBER for index in range(rank, NUMBER + 1, 2)]
    metric = SODMetric(
        boundary=True, csv=f"{folder}/scores.csv", curves=f"{folder}/curves.png", collect_dir=f"{folder}/parts"
    )
    result = evaluate(metric, indices)
    # The group ends with the process: gloo of torch 2.4 can hang when it is destroyed in two at once.
    torch.save(result, f"{folder}/result_{rank}.pth")


@pytest.mark.skipif(sys.platform == "win32", reason="gloo is set up for Unix here")
def test_two_processes_equal_one(tmp_path):
    # One that fails ends the other.
    torch.multiprocessing.spawn(two_process_worker, (str(tmp_path),), nprocs=2)
    means, rows = direct_scores(boundary=True)
    for rank in range(2):
        result = torch.load(tmp_path / f"result_{rank}.pth")
        assert result == pytest.approx(labelled(means), abs=1e-12)
    check_csv(tmp_path / "scores.csv", rows)
    # The same image as that of one process.
    evaluate(SODMetric(boundary=True, curves=tmp_path / "single.png"), range(NUMBER))
    images = [cv2.imread(str(tmp_path / name)) for name in ("curves.png", "single.png")]
    assert np.array_equal(*images)


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [(row.pop("image"), {name: float(value) for name, value in row.items()}) for row in csv.DictReader(file)]


def check_csv(path, rows, suffix=""):
    written = read_csv(path)
    assert [image for image, _ in written] == [f"images/{index}.jpg" for index in range(len(rows))]
    for (_, scores), row in zip(written, rows, strict=True):
        assert scores == pytest.approx({f"{name}{suffix}": score for name, score in row.items()}, abs=1e-12)


def test_csv_of_one_process(tmp_path):
    path = tmp_path / "deep" / "scores.csv"
    result = evaluate(SODMetric(csv=path), range(NUMBER))
    check_csv(path, direct_scores()[1])
    columns = zip(*(row.values() for _, row in read_csv(path)), strict=True)
    # The means of the columns are the scores of the same name.
    for name, column in zip(read_csv(path)[0][1], columns, strict=True):
        assert np.mean(column) == pytest.approx(result[f"sod/{name}"])


def test_curves_are_drawn(tmp_path):
    path = tmp_path / "deep" / "curves.png"
    evaluate(SODMetric(curves=path), range(NUMBER))
    image = cv2.imread(str(path))
    assert image.shape == (420, 1300, 3)
    # matplotlib's first colour; three panels hold it.
    line = np.abs(image[..., ::-1].astype(int) - (31, 119, 180)).max(axis=2) < 30
    assert all(panel.any(axis=0).sum() > 100 for panel in np.array_split(line, 3, axis=1))


def test_curves_must_be_png():
    with pytest.raises(ValueError, match=r"`curves` must end in .png, but got curves.pdf"):
        SODMetric(curves="curves.pdf")


def test_unrounded_scores_are_labelled(tmp_path):
    means, rows = direct_scores(round_to_uint8=False)
    path = tmp_path / "scores.csv"
    result = evaluate(SODMetric(round_to_uint8=False, prefix="ecssd", csv=path), range(NUMBER))
    assert result == pytest.approx(labelled(means, "ecssd", "_unrounded"), abs=1e-12)
    check_csv(path, rows, "_unrounded")


def grow(number, height, width):
    """Bytes that stay in memory for each image scored, and bytes that each sends to the main process."""
    rng = np.random.default_rng(0)
    target = np.zeros((height, width), np.uint8)
    cv2.ellipse(target, (width // 2, height // 2), (width // 4, height // 5), 20, 0, 360, 255, -1)
    soft = torch.from_numpy(cv2.GaussianBlur(target, (0, 0), 4) / np.float32(255))[None]
    metric = SODMetric(boundary=True)

    def score(index):
        prediction = torch.roll(soft, int(rng.integers(width)), 2)
        metric.process(None, [make_sample(index, prediction, torch.from_numpy(target)[None])])

    warm_up = 20  # What is loaded or compiled once does not count.
    for index in range(warm_up):
        score(index)
    tracemalloc.start()
    for index in range(warm_up, number):
        score(index)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    sent = len(pickle.dumps(metric.results))
    assert len(metric.results) == number
    assert metric.evaluate(number)["sod/maxFm"] > 0
    return held / (number - warm_up), sent / number


def check_growth(held, sent):
    assert 2048 < held < 8192
    assert 2048 < sent < 8192


def test_memory_of_an_image():
    check_growth(*grow(200, 60, 80))


@pytest.mark.slow
def test_memory_of_the_largest_test_set():
    """As many maps as DUTS-TE has, at the size that most of them have."""
    check_growth(*grow(5019, 300, 400))


def assert_same(scored, other):
    assert scored.scores == pytest.approx(other.scores, abs=1e-12)
    assert np.array_equal(scored.counts, other.counts)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float16, torch.float32, torch.bfloat16])
def test_masks_of_any_type(dtype):
    prediction, target = make_pair(3)
    mask = torch.from_numpy(target)[None]
    mask = mask if dtype == torch.uint8 else (mask / 255).to(dtype)
    metric = SODMetric()
    metric.process(None, [make_sample(3, target=mask).to_dict()])
    image, _, scored, best = metric.results[0]
    assert best is None
    assert image == "images/3.jpg"
    assert_same(scored, SaliencyScores().update(prediction, target))


@pytest.mark.parametrize("level", [128, 129])
def test_soft_float_mask_is_cut_as_its_8_bit_levels(level):
    metric = SODMetric()
    mask = torch.full((1, 4, 4), level / 255)
    metric.process(None, [make_sample(0, torch.ones(1, 4, 4), mask).to_dict()])
    assert metric.results[0][2].scores["MAE"] == (level == 128)


def test_samples_as_elements_and_as_dicts_of_elements():
    element = make_sample(2)
    metric = SODMetric()
    metric.process(None, [element, element.to_dict(), {key: element.get(key) for key in element.all_keys()}])
    for image, _, scored, _ in metric.results[1:]:
        assert image == metric.results[0][0]
        assert_same(scored, metric.results[0][2])


def with_hypotheses(index, number=4):
    """A sample whose hypotheses are random, and the arrays; its third is nearest to the truth."""
    sample, (prediction, target) = make_sample(index), make_pair(index)
    rng = np.random.default_rng(100 + index)
    maps = rng.random((number, *target.shape)).astype(np.float32)
    maps[2] = prediction
    sample.hypotheses = PixelData(metainfo=dict(shares=(0.4, 0.3, 0.2, 0.1)[:number]), data=torch.from_numpy(maps))
    return sample, maps, target


def nearest(maps, target):
    """By its definition: the least mean absolute error of the maps in 8 bits."""
    errors = [np.abs(np.rint(each * 255) / 255 - (target > 128)).mean() for each in maps]
    return maps[int(np.argmin(errors))]


@pytest.mark.parametrize("best_of", [1, 2, 3, 9])
def test_best_of_several_is_labelled_beside_the_ordinary_scores(best_of, tmp_path):
    """Against a loop that chooses by the truth; the ordinary scores stay as they are."""
    evaluator = Evaluator(SODMetric(best_of=best_of, csv=tmp_path / "scores.csv"))
    scores = SaliencyScores()
    rows = []
    for index in range(NUMBER):
        sample, maps, target = with_hypotheses(index)
        evaluator.process([sample], None)
        rows.append(scores.update(nearest(maps[:best_of], target), target).scores)
    found = evaluator.evaluate(NUMBER)
    oracle = {f"sod/oracle_best_of_{best_of}_{name}": mean for name, mean in scores.compute().items()}
    assert found == pytest.approx(labelled(direct_scores()[0]) | oracle)
    for (_, written), ordinary, best in zip(read_csv(tmp_path / "scores.csv"), direct_scores()[1], rows, strict=True):
        both = ordinary | {f"oracle_best_of_{best_of}_{name}": score for name, score in best.items()}
        assert written == pytest.approx(both, abs=1e-12)
    assert (found[f"sod/oracle_best_of_{best_of}_MAE"] < found["sod/MAE"] + 1e-9) == (best_of >= 3)


def test_best_of_unrounded_and_of_two_data_sets():
    metric = SODMetric(best_of=3, round_to_uint8=False)
    samples = [with_hypotheses(index)[0] for index in range(2)]
    for sample, name in zip(samples, ("A", "B"), strict=True):
        sample.set_metainfo(dict(dataset_name=name))
    evaluator = Evaluator(metric)
    evaluator.process(samples, None)
    found = evaluator.evaluate(2)
    assert {"sod/A/MAE_unrounded", "sod/B/oracle_best_of_3_MAE_unrounded"} <= set(found)


def test_best_of_needs_hypotheses():
    with pytest.raises(ValueError, match=r"images/1.jpg.*`hypotheses` must be .*`best_of`: set `model.test_cfg.hyp"):
        SODMetric(best_of=2).process(None, [make_sample(1)])
    sample, maps, _ = with_hypotheses(1)
    sample.hypotheses = PixelData(data=torch.from_numpy(maps[:, 1:]))
    with pytest.raises(ValueError, match=r"images/1.jpg.*`hypotheses` must be of shape \(k, \d+, \d+\), as `gt_sal"):
        SODMetric(best_of=2).process(None, [sample.to_dict()])
    with pytest.raises(ValueError, match="`best_of` must be an integer"):
        SODMetric(best_of=0)


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
        (
            torch.zeros(1, 4, 4),
            torch.zeros(3, 4, 4),
            r"`gt_saliency` must be of shape \(1, H, W\), but got \(3, 4, 4\)",
        ),
        (
            torch.zeros(1, 4, 4),
            torch.ones(1, 4, 4, dtype=torch.uint8),
            "got values up to 1, like the numbers of labels",
        ),
        (torch.zeros(1, 4, 4), torch.full((1, 4, 4), 20 / 255), "got values up to 20, like the numbers of labels"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 6, 5), "`pred_saliency` is 4x4, but `gt_saliency` is 5x6: both must be"),
    ],
)
def test_bad_maps_name_the_image(prediction, target, message):
    with pytest.raises(ValueError, match=rf"images/1.jpg.*{message}"):
        SODMetric().process(None, [make_sample(1, prediction, target).to_dict()])


def test_no_images():
    with pytest.raises(ValueError, match="at least one"):
        SODMetric().evaluate(0)
