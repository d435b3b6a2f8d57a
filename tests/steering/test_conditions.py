"""The conditions of objects, and what counts as failed, on hand-made labels."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.steering import Tally, count_failures, judge
from sos_mm.steering.conditions import crowding_class, size_class, uncovered_shares, visibility_class
from tests.steering.labelled import annotation, detection, labels, save

BOXES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=7
)


@given(BOXES)
def test_uncovered_shares_are_those_of_pixels(boxes):
    corners = np.array([(x, y, x + width, y + height) for x, y, width, height in boxes])
    canvas = np.zeros((40, 40), int)
    for x0, y0, x1, y1 in corners:
        canvas[y0:y1, x0:x1] += 1
    expected = [(canvas[y0:y1, x0:x1] == 1).mean() for x0, y0, x1, y1 in corners]
    np.testing.assert_allclose(uncovered_shares(corners), expected)
    # Fractions of pixels, too.
    np.testing.assert_allclose(uncovered_shares(corners / 7), expected)


def test_classes():
    areas = {"large": (0.08, 0.4), "medium": (0.03, 0.08), "small": (0.01, 0.03)}
    assert [size_class(share * 64, 64, areas) for share in (0.5, 0.08, 0.079, 0.03, 0.001)] == [
        *("large", "large", "medium", "medium", "small")
    ]
    assert [size_class(area, 10**6, None) for area in (9216, 9215, 1024, 1023)] == [
        *("large", "medium", "medium", "small")
    ]
    assert [crowding_class(number) for number in (1, 2, 3, 4, 16, 100)] == [
        *("1 object", "2 to 3 objects", "2 to 3 objects", "4 to 7 objects"),
        *("16 objects or more", "16 objects or more"),
    ]
    assert [visibility_class(share) for share in (1, 0.99, 0.8, 0.79, 0.5, 0)] == [
        *("fully visible", "visible by 80 %", "visible by 80 %", "visible by 50 %", "visible by 50 %"),
        "visible by less",
    ]


def hand_made(tmp_path, results=None):
    """Image 1: a dog found, a ball taken for a car, a car missed. Image 2: a dog found, with a ball on it."""
    objects = [
        annotation(1, 1, 1, [0, 0, 20, 20]),
        annotation(2, 1, 2, [10, 0, 20, 20]),
        annotation(3, 1, 3, [40, 40, 8, 8]),
        annotation(4, 1, 3, [50, 0, 8, 8], crowd=True),
        annotation(5, 2, 1, [0, 0, 30, 30]),
    ]
    found = [
        detection(1, 1, [0, 0, 20, 20], 0.9),
        detection(1, 3, [11, 0, 20, 20], 0.8),
        detection(1, 1, [11, 0, 20, 20], 0.7),
        detection(1, 3, [40, 40, 8, 8], 0.1),
        detection(2, 2, [0, 0, 30, 29], 0.6),
        detection(2, 1, [0, 0, 30, 30], 0.5),
    ]
    return save(tmp_path, labels(objects, 2), found if results is None else results)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_failures_by_hand(tmp_path, kind):
    judgement = judge(*hand_made(tmp_path), kind, score=0.3)
    assert [(each.outcome, each.taken_for) for each in judgement.outcomes] == [
        *(("found", None), ("confused", 3), ("missed", None), ("found", 2))
    ]
    assert [each.crowding for each in judgement.outcomes] == [3, 3, 3, 1]
    np.testing.assert_allclose([each.visible_share for each in judgement.outcomes], [0.5, 0.5, 1, 1])
    failures = count_failures(judgement)
    assert failures.total == Tally(4, missed=1, confused=1)
    assert failures.by_category == {"dog": Tally(2), "sports ball": Tally(1, 0, 1), "car": Tally(1, 1, 0)}
    assert failures.pairs == {("car", "sports ball"): 1, ("dog", "sports ball"): 1}
    assert failures.by_condition["crowding"]["2 to 3 objects"] == Tally(3, 1, 1)
    assert failures.by_category_and_condition["sports ball"]["visibility"]["visible by 50 %"] == Tally(1, 0, 1)
    assert failures.crowding == (2.5, 3.0)
    assert failures.visible_share == (0.75, 0.75)
    assert json.loads(json.dumps(failures.to_json()))["pairs"] == [["car", "sports ball", 1], ["dog", "sports ball", 1]]


def test_score_of_the_best_f1(tmp_path):
    paths = hand_made(tmp_path)
    # Hits and false detections by score: 1 0 0 0 1 1 of four objects.
    quality = {0.9: 2 / 5, 0.8: 2 / 6, 0.7: 2 / 7, 0.6: 2 / 8, 0.5: 4 / 9, 0.1: 6 / 10}
    assert judge(*paths).score == max(quality, key=quality.get)
    assert judge(*hand_made(tmp_path, [detection(1, 2, [50, 50, 4, 4], 0.9)])).score == 0


def test_visible_shares_of_a_composed_set(tmp_path):
    paths = hand_made(tmp_path)
    lines = [
        {"file_name": "1.jpg", "canvas": [64, 64], "objects": []},
        {"file_name": "2.jpg", "canvas": [64, 64], "objects": []},
    ]
    for each in json.loads(paths[0].read_text())["annotations"]:
        x, y, width, height = each["bbox"]
        lines[each["image_id"] - 1]["objects"].append(
            {"category": "dog", "box": [x, y, x + width, y + height], "visible_share": each["id"] / 10, "area": 1}
        )
    sidecar = tmp_path / "objects.jsonl"
    sidecar.write_text("\n".join(map(json.dumps, lines)))
    judgement = judge(*paths)
    assert [each.visible_share for each in judgement.outcomes] == [0.1, 0.2, 0.3, 0.5]
    assert judgement.visibility == "objects"
    lines[1]["objects"] = []
    sidecar.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match=r"objects.jsonl must describe the labelled objects, but has none at .*2\.jpg"):
        judge(*paths)


@pytest.mark.parametrize(
    ("results", "match"),
    [
        ({"a": 1}, "must be a JSON list of detections, but is a dict"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}], "detection 0 must have `score`"),
        ([{"image_id": 1, "category_id": 1, "score": "1", "bbox": [0, 0, 1, 1]}], "must have a finite number"),
        ([{"image_id": 1, "category_id": 1, "score": 1.0}], "must have `bbox`, but has none: give the bbox results"),
        ([detection(9, 1, [0, 0, 4, 4], 0.5)], "whose `image_id` is 9, which is not in it"),
        ([detection(1, 9, [0, 0, 4, 4], 0.5)], "whose `category_id` is 9, which is not in it"),
    ],
)
def test_faulty_results(tmp_path, results, match):
    with pytest.raises(ValueError, match=match):
        judge(*hand_made(tmp_path, results))
