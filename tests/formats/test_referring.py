"""Files of referring expressions come back as they were written, and faulty ones name their record."""

import json
from dataclasses import replace

import pytest

from sos_mm.annotations.validate import validate
from sos_mm.formats.intra_class import read_intra_class
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, read_mdetr, to_mdetr
from sos_mm.formats.referring import expression_id, expressions_of, line_record, read_expression_lines
from sos_mm.formats.refs import read_refs, ref_records

IMAGE = {"file_name": "a/1.jpg", "height": 40, "width": 60}
BOXES = [[2.0, 3.0, 12.0, 11.0], [20.5, 3.0, 31.0, 12.0]]
CATEGORIES = [{"id": 3, "name": "cup"}, {"id": 4, "name": "dog"}]


def expression(id, text, *targets) -> Expression:
    spans = [[0, len(text)]]
    found = [Target(BOXES[each], 3 + each, spans, 70 + each) for each in targets]
    return Expression(id, text, IMAGE, 9, "grefcoco", found)


SAID = [
    expression(1, "the cup on the left", 0),
    expression(2, "both things", 0, 1),
    expression(3, "das blaue Ding"),
    expression(4, "左边的杯子", 0),
]


def record(each: Expression, **more) -> dict:
    boxes = [target.box for target in each.targets]
    ids = [target.id for target in each.targets]
    categories = [target.category_id for target in each.targets]
    told = {"targets": [id - 70 for id in ids], "ids": ids, "boxes": boxes, "category_ids": categories}
    return {"id": each.id, "text": each.text, **told, "kind": "mixed", **more}


def test_our_lines_come_back(tmp_path):
    line = line_record(0, IMAGE["file_name"], (40, 60), 9, [record(each) for each in SAID])
    write_json_lines(tmp_path / "referring.jsonl", [line])
    ((name, read),) = read_expression_lines(tmp_path / "referring.jsonl")
    assert read == line
    assert name.endswith("referring.jsonl, line 1:")
    assert expressions_of(read, name, "grefcoco") == SAID
    assert {each.dataset_name for each in expressions_of(read, name)} == {"refcocog"}


def test_mdetr_comes_back(tmp_path):
    write_json_lists(tmp_path / "mdetr.json", to_mdetr(SAID, CATEGORIES))
    read = list(read_mdetr(tmp_path / "mdetr.json"))
    # That form does not say which annotation a target is.
    assert [(each.id, each.text, [target.box for target in each.targets]) for each in read] == [
        (each.id, each.text, [target.box for target in each.targets]) for each in SAID
    ]
    assert validate(tmp_path / "mdetr.json").counts == {}


def test_refs_come_back(tmp_path):
    """What means the same annotations is one entry, as in the authors' files."""
    instances = [
        {"id": 70 + place, "image_id": 9, "category_id": 3 + place, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
        for place, (x0, y0, x1, y1) in enumerate(BOXES)
    ]
    content = {"images": [{"id": 9, **IMAGE}], "annotations": instances, "categories": CATEGORIES}
    write_json_lists(tmp_path / "instances.json", content)
    entries = list(ref_records(SAID, "val"))
    (tmp_path / "grefs.json").write_text(json.dumps(entries))
    assert [(each["ann_id"], each["no_target"], len(each["sentences"])) for each in entries] == [
        ([70], False, 2),
        ([70, 71], False, 1),
        ([-1], True, 1),
    ]
    read = sorted(
        read_refs(tmp_path / "grefs.json", tmp_path / "instances.json", "val", "grefcoco"), key=lambda e: e.id
    )
    assert read == SAID
    assert validate(tmp_path / "grefs.json").counts == {}


def test_refs_need_numbers():
    nameless = Expression(1, "it", IMAGE, 9, "refcoco", [Target(BOXES[0], 3, [[0, 2]])])
    with pytest.raises(ValueError, match=r"names annotations by integers, but the expression 1 means \(None,\)"):
        list(ref_records([nameless], "val"))


def test_ids_of_expressions():
    assert [expression_id(0, 0), expression_id(0, 999), expression_id(1, 0)] == [1, 1000, 1001]
    with pytest.raises(ValueError, match="image 7 has more"):
        expression_id(7, 1000)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"expressions": []}, "line 1: the line must have a `file_name` or an `image_id`"),
        ({"file_name": "1.jpg", "expressions": {}}, "line 1: the line must have a list of JSON objects"),
        ({"file_name": "1.jpg", "expressions": [{"text": " ", "targets": []}]}, "line 1: expression 0 .*`text`"),
        ({"file_name": "1.jpg", "expressions": [{"text": "it"}]}, "expression 0 must have one of targets, ids, boxes"),
        ({"file_name": "1.jpg", "expressions": [{"text": "it", "targets": ["0"]}]}, "expression 0 .*integers"),
        ({"file_name": "1.jpg", "expressions": [{"text": "it", "boxes": [[0, 1]]}]}, "expression 0 .*boxes"),
    ],
)
def test_faulty_lines(tmp_path, line, said):
    write_json_lines(tmp_path / "file.jsonl", [line])
    with pytest.raises(ValueError, match=said):
        list(read_expression_lines(tmp_path / "file.jsonl"))


def test_intra_class_comes_back_in_both_forms(tmp_path):
    write_json_lists(tmp_path / "ours.json", to_mdetr([replace(SAID[0], distractors=[BOXES[1]])], CATEGORIES))
    image = {"id": 1, **IMAGE, "caption": SAID[0].text, "category_id": 3, "dataset_name": "grefcoco"}
    boxes = [[2, 3, 10, 8], [20.5, 3, 10.5, 9]]
    write_json_lists(tmp_path / "grouped.json", {"images": [image | {"boxes": boxes}], "categories": CATEGORIES})
    ours, grouped = (list(read_intra_class(tmp_path / name)) for name in ("ours.json", "grouped.json"))
    assert ours == grouped
    assert (ours[0].targets, ours[0].distractors, ours[0].category_id) == (BOXES[:1], BOXES[1:], 3)
    assert validate(tmp_path / "ours.json").counts == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"boxes": [[2, 3, 10, 8]]}, "1 has no second box in `boxes`"),
        ({"boxes": [[2, 3, 10]]}, "expression 1: it must have a list of boxes"),
        ({"category_id": "cup"}, "expression 1: it must have an integer as `category_id`"),
        ({"caption": ""}, "`caption`"),
    ],
)
def test_faulty_grouped_files(tmp_path, change, said):
    image = {"id": 1, **IMAGE, "caption": "it", "category_id": 3, "boxes": [[2, 3, 10, 8], [20, 3, 5, 5]]} | change
    write_json_lists(tmp_path / "grouped.json", {"images": [image]})
    with pytest.raises(ValueError, match=said):
        list(read_intra_class(tmp_path / "grouped.json"))
