"""The validator on files that are not JSON from some place on: what stood before that is checked, no more is missed."""

import json
from copy import deepcopy

import pytest

from sos_mm.annotations.validate import KINDS, find_kind, validate
from sos_mm.formats.json_reader import is_json_lines
from tests.annotations.samples import MAKERS, coco, lvis, mdetr, mutate, odvg, write
from tests.annotations.test_validator import FAULTS

CUT = {"odvg": "a line must be JSON"} | dict.fromkeys(
    ("coco", "lvis", "panoptic", "mdetr", "refs"), "the file must be text of JSON to its end"
)
# They show only once the lists are known to be whole, which what is behind them tells.
OF_WHOLE_LISTS = ("not exhaustive categories must", "listed categories must be known")
OF_WHOLE_LISTS += ("`category_id` must be one of", "`image_id` must be one of")


def turned(content, order: int):
    """The same with its lists in another order."""
    if not isinstance(content, dict):
        return content
    names = list(content)
    return {name: content[name] for name in (*names[order:], *names[:order])}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("kind", MAKERS)
def test_files_cut_short_anywhere(tmp_path, kind, order):
    """The line and column are where the file ends; nothing else is said to be wrong, since nothing else is."""
    whole = write(tmp_path, kind, turned(MAKERS[kind](), order)).read_text()
    path = tmp_path / "cut.json"
    for end in range(1, len(whole.rstrip()), 7):
        path.write_text(whole[:end])
        found = validate(path, kind)
        if kind == "odvg" and whole[:end].endswith(("\n", "}}}", "}]}}")):
            continue  # Cut between two lines, which is a file of fewer lines.
        assert found.counts == {CUT[kind]: 1}, (end, found.describe())
        (fault,) = found.first
        assert fault.line >= whole[:end].rstrip().count("\n") + 1 - (whole[:end][-1] == "\n")
        assert "cut short" in fault.detail or "must stand here" in fault.detail or "Expecting" in fault.detail.title()


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(("kind", "keys", "value", "reason"), FAULTS)
def test_faults_before_the_cut_are_told(tmp_path, kind, keys, value, reason, order):
    """All that the whole file has, where the cut takes its last brackets only."""
    content = MAKERS[kind]()
    mutate(content, keys, value)
    if kind == "odvg":
        content.append({"filename": "2.jpg"})
    path = write(tmp_path, kind, turned(content, order))
    right = {(fault.line, fault.reason) for fault in validate(path, kind).first}
    path.write_text(path.read_text().rstrip()[:-1])
    found = validate(path, kind)
    told = {(fault.line, fault.reason) for fault in found.first}
    lost = {each for each in right - told if kind != "odvg" or each[0] < 3}
    assert all(reason.startswith(OF_WHOLE_LISTS) for _, reason in lost), found.describe()
    assert {reason for _, reason in told - right} == {CUT[kind]}
    assert any(reason in each for _, each in right), "the whole file must have the fault"


def test_waiting_annotations_and_masks_are_checked(tmp_path):
    """Annotations before their images wait for them, compressed masks for each other: a cut must not lose them."""
    content = coco()
    content["annotations"][2]["bbox"] = [0, 0, 90, 9]
    content["annotations"][0]["area"] = 20
    whole = write(tmp_path, "coco", {key: content[key] for key in ("annotations", "images", "categories")}).read_text()
    path = tmp_path / "cut.json"
    path.write_text(whole[: whole.index('{"id":2,"name":"cat"}') + 5])
    found = validate(path)
    assert found.counts == {CUT["coco"]: 1, "a box must be inside its image": 1, "`area` must be that of the mask": 1}
    # Within the images: the second is lost, so what its annotation lacks cannot be known; its own id can.
    content["annotations"][2]["id"] = 1
    whole = write(tmp_path, "coco", {key: content[key] for key in ("annotations", "images", "categories")}).read_text()
    path.write_text(whole[: whole.index('{"id":2,"file_name"') + 5])
    found = validate(path)
    assert found.counts == {CUT["coco"]: 1, "ids of annotations must differ": 1, "`area` must be that of the mask": 1}


def test_what_lists_say_of_each_other_is_told_once_they_are_whole(tmp_path):
    content = lvis()
    content["images"][0]["not_exhaustive_category_ids"], content["annotations"][0]["image_id"] = [2], 9
    lists = {key: content[key] for key in ("categories", "images", "annotations")} | {"licenses": [{"id": 1}]}
    path = write(tmp_path, "lvis", lists)
    path.write_text(path.read_text().rstrip()[:-1])
    reasons = {CUT["lvis"], "not exhaustive categories must be annotated", "`image_id` must be one of `images`"}
    assert set(validate(path).counts) == reasons
    content = mdetr()
    content["annotations"].pop()
    path = write(tmp_path, "mdetr", content | {"info": {}})
    path.write_text(path.read_text().rstrip()[:-1])
    assert set(validate(path).counts) == {CUT["mdetr"], "an expression must have an annotation"}


def test_bad_lines_do_not_end_the_check(tmp_path):
    """Whichever it is, even the first, which tells what the file is."""
    right = odvg()
    faulty = deepcopy(right[0])
    faulty["grounding"]["regions"][0]["bbox"] = [0, 0, 90, 9]
    for bad in ('{"filename": "0.jpg", ', "{", "garbage", '{"filena'):
        for lines in ([bad, right[1], faulty, bad], [right[1], bad, bad, faulty]):
            path = tmp_path / "x.jsonl"
            path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
            found = validate(path)
            assert found.kind == "odvg"
            assert found.records["lines"] == 4
            assert found.counts == {"a line must be JSON": 2, "a box must be inside its image": 1}, found.describe()
            places = {fault.line for fault in found.first if fault.reason == "a line must be JSON"}
            assert places == {n for n, each in enumerate(lines, 1) if each == bad}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"info": {}, "licenses": [{}], "images": [{"id": 1}], "annotations": []}', False),
        ('{"images": [], "annotations": [], "categories": []}', False),
        ('{\n"images": [\n{"filename": "a"}]}', False),
        ('[{"filename": "a"}]', False),
        ('{"images": [{"id": 1', False),
        ('{"filename": "a", "images": 3}', True),
        ('{"filename": "a"', True),
        ('{"height": 4, "detection": {}}\n', True),
        ('\n\n{"other": 4}\n{"other": 4}\n', True),
        ('{"other": 4}', True),
        ("3\n4", False),
        ("", False),
    ],
)
def test_lines_are_told_from_lists(text, lines):
    assert is_json_lines(text) is lines


def test_the_kind_is_found_without_reading_it_all(monkeypatch):
    """A file without line breaks is not decoded for that, whatever stands before its lists."""
    from sos_mm.formats import json_reader

    decoded = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, text, start=0):
            value, end = super().raw_decode(text, start)
            decoded.append(end - start)
            return value, end

    monkeypatch.setattr(json_reader, "_DECODER", Decoder())
    content = coco()
    text = json.dumps({"info": {"year": 2017}, **content, "images": content["images"] * 1000})
    assert find_kind(text) == "coco"
    assert 0 < sum(decoded) < 200 < len(text) / 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1|the file is empty"),
        (b"  \n", "the file is empty"),
        (b'{"images": [\n {"id": 1,}\n]}', "column"),
        (b'{"images": []} {}', "something follows the end"),
        (b'{"images": [\n"\xff"]}', "not UTF-8"),
        (b"3", "must be a JSON object or list"),
        pytest.param(
            b'{"images": [\n{"id": ' + b"1" * 5000 + b"}]}",
            "x.json:2: column 1: not JSON: a number in what begins here has too many digits",
            id="number",
        ),
        pytest.param(
            b'{"images": [\n' + b"[" * 10**5 + b"]}",
            "x.json:2: column 1: not JSON: what begins here is nested too deeply",
            id="nested",
        ),
    ],
)
def test_text_that_is_not_json(tmp_path, content, said):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    found = validate(path)
    assert found.counts.total() >= 1
    assert any(part in found.describe() for part in said.split("|"))


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("content", ["[]", " [\n]\n", '{"images": [], "annotations": [], "categories": []}', "{}"])
def test_a_file_without_records_is_faulty(tmp_path, content, kind):
    path = tmp_path / "x.json"
    path.write_text(content)
    assert validate(path, kind).counts.total() >= 1


def test_an_empty_list_is_told(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[]")
    assert validate(path).counts == {"the list must hold references, but is empty": 1}
