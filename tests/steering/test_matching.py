"""Matching of detections to labelled objects, against pycocotools' evaluation and an exhaustive search."""

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sos_mm.steering.judging import judge
from sos_mm.steering.matching import match, overlaps
from tests.steering.labelled import random_labels, random_results, save


def coco_matches(labels, results, kind):
    """Ids of the found objects, and the number of detections that match none, by (category, image)."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), kind)
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
    every = [each for each in evaluation.evalImgs if each and each["aRng"] == evaluation.params.areaRng[0]]
    ignored = {annotation["id"] for annotation in truth.dataset["annotations"] if annotation["iscrowd"]}
    found = {
        id
        for each in every
        for id, matched in zip(each["gtIds"], each["gtMatches"][0], strict=True)
        if matched and id not in ignored
    }
    return found, truth


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(6))
def test_found_objects_are_those_of_coco(tmp_path, kind, seed):
    rng = np.random.default_rng(seed)
    content = random_labels(rng, images=12)
    labels, results = save(tmp_path, content, random_results(rng, content))
    found, _ = coco_matches(labels, results, kind)
    judged = judge(labels, results, kind, score=0.0)
    objects = [each["id"] for each in content["annotations"] if not each["iscrowd"]]
    by_image = sorted(objects, key=lambda id: content["annotations"][id - 1]["image_id"])
    assert {id for id, each in zip(by_image, judged.outcomes, strict=True) if each.outcome == "found"} == found
    assert 0 < len(found) < len(objects)
    # A least score leaves the same matches as leaving out the detections below it.
    kept = [each for each in json.loads(results.read_text()) if each["score"] >= 0.6]
    results.with_name("kept.json").write_text(json.dumps(kept))
    least = judge(labels, results, kind, score=0.6).outcomes
    assert least == judge(labels, results.with_name("kept.json"), kind, score=0.0).outcomes


@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_match_is_greedy_by_score(seed, detections, truths):
    rng = np.random.default_rng(seed)
    overlap = rng.choice([0.0, 0.3, 0.5, 0.5, 0.8, 1.0], (detections, truths))
    crowds = rng.random(truths) < 0.3
    expected, free = [], [place for place in range(truths) if not crowds[place]]
    for row in range(detections):
        best = max(free, key=lambda place: (overlap[row, place], place), default=None)
        if best is not None and overlap[row, best] >= 0.5:
            free.remove(best)
            expected.append(best)
            continue
        regions = [place for place in range(truths) if crowds[place] and overlap[row, place] >= 0.5]
        expected.append(max(regions, key=lambda place: (overlap[row, place], place), default=-1))
    assert match(overlap, crowds, 0.5).tolist() == expected


def test_overlap_of_boxes_by_hand():
    found = overlaps([[0, 0, 10, 10], [0, 0, 10, 5]], [[5, 0, 10, 10], [0, 0, 20, 20]], [False, True])
    np.testing.assert_allclose(found, [[50 / 150, 1.0], [25 / 125, 1.0]])
    assert overlaps([], [[0, 0, 1, 1]], [False]).shape == (0, 1)
