"""Benchmarks of one category: targets, distractors, and their evaluation in both forms."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sos_mm.formats.intra_class import read_intra_class
from sos_mm.formats.json_writer import write_json_lists
from sos_mm.formats.mdetr import to_mdetr
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.intra_class import evaluate_intra_class, intra_class_samples
from sos_mm.referring.outputs import image_line
from sos_mm.referring.phrasing import write
from tests.referring.scenes import composed, drawn

CUPS = [
    ("cup", (10, 10, 60, 60), "red"),
    ("cup", (110, 10, 160, 60), "blue"),
    ("cup", (210, 10, 260, 60), "green"),
    ("dog", (310, 10, 390, 90), "brown"),
]


def said(text, *targets, plural=False):
    return ReferringExpression(text, targets, "attribute", plural, (0, len(text)))


def samples(image, *expressions, most=None):
    line = image_line(image, expressions, {"cup": 5, "dog": 6}, 0)
    return [(each.text, each.distractors) for each in intra_class_samples(image, line, most)]


def test_distractors_are_the_others_of_the_category():
    image = drawn(CUPS)
    given = said("the red cup", 0), said("the dog", 3), said("both cups", 0, 1), said("no cup"), said("the blue cup", 1)
    assert samples(image, *given) == [
        ("the red cup", [[110, 10, 160, 60], [210, 10, 260, 60]]),
        ("the blue cup", [[10, 10, 60, 60], [210, 10, 260, 60]]),
    ]


def test_different_targets_come_first():
    image = drawn(CUPS)
    given = said("the red cup", 0), said("the cup on the left", 0), said("the blue cup", 1)
    assert [text for text, _ in samples(image, *given, most=2)] == ["the red cup", "the blue cup"]


@pytest.mark.parametrize(
    "change",
    [
        {"complete": frozenset({"dog"})},
        {"ignored": drawn([("cup", (10, 200, 60, 260), "")]).instances},
        {"ignored": drawn([("", (10, 200, 60, 260), "")]).instances},
        {"width": 4000, "height": 3000},
    ],
)
def test_unknown_distractors_and_specks_make_no_sample(change):
    """Others that are not annotated, a crowd among which some may be, and objects that nobody sees."""
    assert samples(replace(drawn(CUPS), **change), said("the red cup", 0)) == []


def test_hidden_targets_make_no_sample():
    image = drawn(CUPS)
    hidden = replace(image.instances[0], visible_share=0.3)
    image = replace(image, instances=(hidden, *image.instances[1:]))
    assert [text for text, _ in samples(image, said("the red cup", 0), said("the blue cup", 1))] == ["the blue cup"]


def benchmark(tmp_path):
    """A file in our form and one in SOS's, of single-category scenes."""
    found = []
    for index in range(8):
        image = replace(composed("single category", index), file_name=f"{index}.jpg")
        line = image_line(image, write(image, np.random.default_rng(index)), {}, index)
        found += intra_class_samples(image, line)
    assert len(found) > 10
    content = to_mdetr(found, [{"id": 1, "name": "thing"}])
    write_json_lists(tmp_path / "ours.json", content)
    targets = {each["image_id"]: each["bbox"] for each in content["annotations"]}
    grouped = [
        {**{key: image[key] for key in ("id", "file_name", "height", "width", "caption")}, "category_id": 1}
        | {"boxes": [targets[image["id"]], *image["distractors"]]}
        for image in content["images"]
    ]
    (tmp_path / "grouped.json").write_text(json.dumps({"images": grouped, "categories": []}))
    return tmp_path / "ours.json", tmp_path / "grouped.json"


def test_evaluation_by_hand(tmp_path):
    square = {"file_name": "1.jpg", "height": 100, "width": 100, "caption": "it", "category_id": 1}
    boxes = [[0, 0, 10, 10], [3, 0, 10, 10]]  # Their intersection over union is 7/13.
    images = [{"id": id, **square, "boxes": boxes} for id in (1, 2)]
    path = tmp_path / "grouped.json"
    path.write_text(json.dumps({"images": images}))
    found = {1: ([[0, 0, 10, 10], [3, 0, 13, 10]], [0.8, 0.2]), 2: ([[50, 50, 60, 60]], [0.9])}
    # For what it overlaps most: .8 - .2 and nothing; for both, .8 - .8.
    assert evaluate_intra_class(path, found)["average_gap"] == pytest.approx(30)
    assert evaluate_intra_class(path, found)["positive_gap_ratio"] == 50
    assert evaluate_intra_class(path, found, overlap="any")["average_gap"] == pytest.approx(0)
    with pytest.raises(ValueError, match="but has none for 2"):
        evaluate_intra_class(path, {1: found[1]})
    with pytest.raises(ValueError, match="`overlap` must be one of"):
        evaluate_intra_class(path, found, overlap="all")


def test_both_forms_evaluate_alike(tmp_path):
    ours, grouped = benchmark(tmp_path)
    rng, found = np.random.default_rng(0), {}
    for sample in read_intra_class(ours):
        boxes = [*sample.targets, *sample.distractors]
        found[sample.id] = (boxes, rng.random(len(boxes)))
    for overlap in ("most", "any"):
        figures = evaluate_intra_class(ours, found, overlap=overlap)
        assert figures == evaluate_intra_class(grouped, found, overlap=overlap)
        assert -100 < figures["average_gap"] < 100
    perfect = {id: (boxes[:1], [1.0]) for id, (boxes, _) in found.items()}
    assert evaluate_intra_class(ours, perfect)["average_gap"] == 100
