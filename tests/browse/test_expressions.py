"""Referring expressions on the page: which objects they mean, and that their words stay words."""

import json
import re

import pytest

from sos_mm.browse import read_dataset, write_report
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"), formats=["coco", "objects", "panoptic", "referring"])


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def said(composed) -> dict[str, list]:
    """Of each image, its expressions with the boxes that they mean."""
    return {
        line["file_name"]: [(each["text"], sorted(each["boxes"]), each["kind"]) for each in line["expressions"]]
        for line in composed.lines("annotations/referring.jsonl")
    }


@pytest.mark.parametrize("name", ["", "annotations/objects.jsonl", "annotations/panoptic.json"])
def test_a_composed_set_brings_its_expressions(composed, name):
    """Regions to ignore stand among the annotations of some files, so that positions there are others."""
    truth = said(composed)
    assert sum(map(len, truth.values())) > 60
    for image in read_dataset(composed.out / name).images:
        found = [
            (
                each.text,
                sorted([int(side) for side in image.annotations[target].box] for target in each.targets),
                each.kind,
            )
            for each in image.expressions
        ]
        assert found == truth[image.file_name]


def test_expressions_of_another_file(composed):
    """In MDETR's style, which does not tell kinds."""
    data_set = read_dataset(composed.out, expressions=composed.out / "annotations/refcoco.json")
    texts = {each.text for image in data_set.images for each in image.expressions}
    single = {text for each in said(composed).values() for text, boxes, _ in each if len(boxes) == 1}
    assert texts == single
    assert {each.kind for image in data_set.images for each in image.expressions} == {""}


def test_the_page_is_given_them(composed, tmp_path):
    data, truth = data_of(write_report(composed.out, tmp_path / "page", num=6)), said(composed)
    for sample in data["samples"]:
        found = [
            (text, sorted(sample["objects"][target]["box"] for target in targets), kind)
            for text, targets, kind in sample["expressions"]
        ]
        assert found == truth[sample["name"]]


def test_words_stay_words(composed, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    image = composed.json("annotations/instances.json")["images"][0]["file_name"]
    path = tmp_path / "evil.jsonl"
    path.write_text(json.dumps({"file_name": image, "expressions": [{"text": evil, "targets": [0]}]}) + "\n")
    page = write_report(composed.out, tmp_path / "page", num=12, expressions=path)
    text = page.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text
    given = [each["expressions"] for each in data_of(page)["samples"] if each["name"] == image]
    assert given == [[[evil, [0], ""]]]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"file_name": "none.jpg", "expressions": [{"text": "it", "targets": []}]},
            "must have expressions of the images",
        ),
        ({"file_name": "{image}", "expressions": [{"text": "it", "boxes": [[0, 0, 1, 1]]}]}, "'it' means something of"),
        ({"file_name": "{image}", "expressions": [{"text": "it", "targets": [999]}]}, "'it' means something of"),
        ({"file_name": "{image}", "expressions": [{"targets": [0]}]}, "line 1: expression 0 must have .*`text`"),
    ],
)
def test_faulty_expressions(composed, tmp_path, record, message):
    image = composed.json("annotations/instances.json")["images"][0]["file_name"]
    path = tmp_path / "faulty.jsonl"
    path.write_text(json.dumps(record).replace("{image}", image) + "\n")
    with pytest.raises(ValueError, match=message):
        read_dataset(composed.out, expressions=path)
