"""The referring study: its sentences against the verifier, its scores against the metrics of mmdet."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmcv.ops")
pytest.importorskip("mmdet")

sys.path.insert(0, str(Path(__file__).parents[2] / "tools/benchmarks"))
import referring_page as page
import referring_study_data as data
import referring_study_report as study
import referring_variety as variety
import torch
from mmdet.evaluation.metrics import RefExpMetric, gRefCOCOMetric

from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.metrics.grounding import intra_class_scores, mean_intra_class
from sos_mm.referring.verify import verify


@pytest.fixture(scope="module")
def samples() -> list[data.Sample]:
    return list(data.make_samples("train", 24))


def test_arms_differ_as_they_should(samples):
    arms = data.training_sentences(samples, np.random.default_rng(0))
    images = {each.id: each.image for each in samples}

    def claim(expression):
        image = images[expression.image_id]
        boxes = [each.box for each in image.instances]
        return verify(image, expression.text, [boxes.index(each.box) for each in expression.targets]).status

    assert {claim(each) for each in arms["proved"]} == {claim(each) for each in arms["no_target"]} == {"true"}
    changed = [new for old, new in zip(arms["proved"], arms["false"], strict=True) if new != old]
    assert {claim(each) for each in changed} == {"refused"}
    assert 0.12 < len(changed) / len(arms["proved"]) < 0.28
    assert any(new.text != old.text for old, new in zip(arms["proved"], arms["false"], strict=True))
    silent = [each for each in arms["no_target"] if not each.targets]
    assert 0.18 < len(silent) / len(arms["no_target"]) < 0.32
    assert len(arms["no_target"]) == len(arms["proved"]) >= len(arms["phrases"]) > 0
    for each in arms["phrases"]:
        objects = samples[each.image_id - 1].scene.objects
        said = [data.clean_phrase(text).lower() for one in objects for text in (one.phrase, one.description)]
        assert said.count(each.text) == len(each.targets)


def test_questions_are_proved_in_words_of_their_own(samples):
    rng = np.random.default_rng(0)
    written = {each.text for sample in samples for each in sample.expressions}
    asked = [(sample, *each) for sample in samples for each in data._questions(sample, rng)]
    for sample, expression, text, wording in asked:
        assert verify(sample.image, text, expression.targets).status == "true"
        assert (text in written) == (wording == "grammar")
    assert {len(expression.targets) for _, expression, _, _ in asked} >= {0, 1, 2}


def test_training_and_test_share_neither_objects_nor_backgrounds():
    train, test = (data.load_recipe(data.RECIPES / data.SETS[name][0]) for name in ("train", "test"))
    assert not set(train.segments["include"]) & set(test.segments["include"])
    assert [data.SETS[name][1] for name in ("train", "test")] == ["train", "held_out"]


@pytest.fixture(scope="module")
def answers() -> tuple[list[dict], list[tuple[np.ndarray, np.ndarray]]]:
    """Questions of one target or none, and random answers, of which some are right."""
    rng = np.random.default_rng(1)
    details, predictions = [], []
    for id in range(1, 121):
        target, other = ([x, y, x + 20.0, y + 30.0] for x, y in rng.integers(0, 60, (2, 2)).tolist())
        targets = [target] if id % 3 else []
        details.append({"id": id, "image": id, "kind": "mixed", "wording": "hand-written", "targets": targets})
        details[-1]["distractors"] = [other] if targets else []
        boxes = np.array([target, other])[rng.permutation(2)] + rng.normal(0, 3, (2, 4))
        predictions.append((boxes, -np.sort(-rng.random(2))))
    return details, predictions


def test_scores_are_those_of_mmdet(answers, tmp_path):
    details, predictions = answers
    image = {"file_name": "a.jpg", "height": 100, "width": 100}
    expressions = [
        Expression(each["id"], "words", image, each["id"], "refcoco", [Target(b, 1, [[0, 5]]) for b in each["targets"]])
        for each in details
    ]
    ours = study.outcomes(details, predictions, 0.6)["summary"]
    path = tmp_path / "all.json"
    path.write_text(json.dumps(to_mdetr(expressions)))
    found = mmdet_figures(gRefCOCOMetric(ann_file=str(path), thresh_score=0.6), details, predictions)
    assert [ours[name] for name in ("F1", "T acc", "N acc")] == pytest.approx(
        [100 * found[name] for name in ("F1_score", "T_acc", "N_acc")]
    )
    assert 0 < ours["F1"] < 100
    path.write_text(json.dumps(to_mdetr([each for each in expressions if each.targets])))
    pairs = [pair for pair in zip(details, predictions, strict=True) if pair[0]["targets"]]
    single, of_single = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = mmdet_figures(RefExpMetric(ann_file=str(path), topk=(1,)), single, of_single)
    assert ours["P@1"] == pytest.approx(100 * found["refcoco_precision@1"])
    gaps = mean_intra_class(
        [intra_class_scores(*pair[1], pair[0]["targets"], pair[0]["distractors"]) for pair in pairs]
    )
    assert ours["average gap"] == pytest.approx(gaps["average_gap"])
    assert ours["positive gap ratio"] == pytest.approx(gaps["positive_gap_ratio"])


def mmdet_figures(metric, details: list[dict], predictions) -> dict[str, float]:
    for each, (boxes, scores) in zip(details, predictions, strict=True):
        found = {"bboxes": torch.from_numpy(boxes), "scores": torch.from_numpy(scores)}
        metric.process({}, [{"img_id": each["id"], "pred_instances": found}])
    return metric.compute_metrics(metric.results)


@pytest.mark.parametrize("number", [2, 3])
def test_several_targets_are_matched_as_all_pairings_allow(number):
    rng = np.random.default_rng(number)
    kept = 0
    for _ in range(60):
        # Far apart, so that greedy matching is the best.
        targets = np.array([[30.0 * place, 0, 30 * place + 20, 20] for place in range(number)])
        boxes = targets[rng.permutation(number)] + rng.normal(0, 2.5, (number, 4))
        ious = study.box_ious(boxes, targets)
        expected = any(
            all(ious[row, column] >= 0.5 for row, column in enumerate(order))
            for order in itertools.permutations(range(number))
        )
        assert study.exact(boxes, targets) == expected
        assert not study.exact(boxes[1:], targets)
        kept += expected
    assert 0 < kept < 60
    assert study.exact(np.zeros((0, 4)), [])
    assert not study.exact(targets, [])


def test_bootstrap_is_of_pairs():
    """A constant difference has no spread over images, whatever the spread of its parts."""
    rng = np.random.default_rng(0)
    gaps = rng.random(40)
    runs = [
        {"questions": [{"image": n, "wording": "hand-written", "gap": gap + shift} for n, gap in enumerate(gaps)]}
        for shift in (0.1, 0.0)
    ]
    assert study.difference(runs[:1], runs[1:], "average gap") == "+10.0 [+10.0, +10.0]"


def test_answers_are_matched_with_targets():
    size = (100, 200)
    mask = {"mask": None, "box": [0, 0, 50, 50]}, {"mask": None, "box": [25, 0, 80, 50]}
    meant = {"size": size, "targets": list(mask)}
    # x of 15 % is 30 pixels, which both boxes hold; 5 % only the first, 35 % only the second.
    right = [[[5, 10], [35, 10]], [[15, 10], [5, 10]], [[5, 10], [15, 10]], [[15, 10], [15, 10]]]
    wrong = [[[5, 10]], [[5, 10], [5, 20]], [[5, 10], [90, 10]], [], [[5, 10], [35, 10], [35, 10]]]
    assert all(page.is_right("1a", points, meant) for points in right)
    assert not any(page.is_right("1a", points, meant) for points in wrong)
    nothing = {"size": size, "targets": []}
    assert page.is_right("1a", [], nothing)
    assert not page.is_right("1a", [[5, 10]], nothing)
    with pytest.raises(ValueError, match="1a"):
        page.is_right("1a", [[5, 110]], meant)


def test_points_hit_masks_and_not_their_boxes():
    mask = np.zeros((100, 100), bool)
    mask[:, :10] = mask[:10] = True
    target = {"mask": page.encode_mask(mask, (0, 0), (100, 100)), "box": [0, 0, 100, 100]}
    meant = {"size": (100, 100), "targets": [target]}
    hits = [page.is_right("1a", [point], meant) for point in ([5, 90], [10.5, 90], [12.5, 90], [50, 50], [100, 0])]
    assert hits == [True, True, False, False, True]


def test_key_stays_outside_of_the_page(tmp_path):
    with pytest.raises(ValueError, match="--key"):
        page.make_page([], tmp_path / "page", tmp_path / "page/key.json", 1, 0)


def test_distinct_by_hand():
    sentences = [variety.words_of(text) for text in ("The red dog", "the red cat,", "a dog")]
    # Eight words, of which five differ; five pairs, of which four differ; two triples.
    assert [variety.distinct(sentences, n) for n in (1, 2, 3, 4)] == [5 / 8, 4 / 5, 1, 0]


@pytest.mark.slow
def test_study_goes_on_and_repeats_nothing(language_model, tmp_path, monkeypatch, capsys):
    """Two arms of two steps; a second call with a third step refused, and one more arm added."""
    import referring_study

    options = ["--train", "6", "--test", "3", "--seeds", "1", "--work-dir", str(tmp_path)]

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["study", "--language-model", str(language_model), *options, *more])
        referring_study.main()
        return capsys.readouterr().out

    for name in ("SOS_MM_LANGUAGE_MODEL", "SOS_MM_GROUNDING_SAMPLE"):
        monkeypatch.setenv(name, "")
    run("--steps", "2", "--arms", "proved")
    first = (tmp_path / "proved-0/result.json").stat().st_mtime_ns
    text = run("--steps", "2", "--arms", "proved", "no_target")
    assert (tmp_path / "proved-0/result.json").stat().st_mtime_ns == first
    assert not list(tmp_path.glob("*/iter_*.pth"))
    assert len(list(tmp_path.glob("*/weights.pth"))) == 2
    assert "| proved expressions | 1 |" in text
    assert "Differences from proved expressions" in text
    assert json.loads((tmp_path / "no_target-0/result.json").read_text())["steps"] == 2
    with pytest.raises(ValueError, match="--work-dir"):
        run("--steps", "3")
