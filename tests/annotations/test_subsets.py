"""Subsets: nested, seeded, the same bytes again; faulty files are told by their line."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.annotations.subsets import draw_subsets, make_subsets
from tests.helpers import commands
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


def run(*args) -> tuple[int, str]:
    done = commands.run(["make_subsets.py", *args])
    assert not done.raised
    return done.code, done.out + done.err


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=300), st.integers(0, 9))
def test_subsets_are_nested(ids, seed):
    parts = draw_subsets(sorted(ids), [50, 1, 10, 100], seed)
    assert {percent: len(part) for percent, part in parts.items()} == {
        percent: max(len(ids) * percent // 100, 1) for percent in (1, 10, 50, 100)
    }
    assert set(parts[1]) <= set(parts[10]) <= set(parts[50]) <= set(parts[100]) == ids
    assert parts == draw_subsets(list(ids)[::-1], [50, 1, 10, 100], seed)


def test_subsets_on_disk(composed, tmp_path):
    source = composed.path("annotations/lvis_v1.json")
    code, said = run(source, "--out", tmp_path, "--percents", 25, 50)
    assert code == 0
    assert said.startswith("25 %: 3 images")
    whole = composed.json("annotations/lvis_v1.json")
    for percent, number in ((25, 3), (50, 6)):
        path = tmp_path / f"lvis_v1_{percent}percent.json"
        part = json.loads(path.read_text(encoding="utf-8"))
        ids = [int(line) for line in (tmp_path / f"lvis_v1_{percent}percent_ids.txt").read_text().split()]
        assert len(ids) == number
        assert part["images"] == [image for image in whole["images"] if image["id"] in ids]
        assert part["annotations"] == [each for each in whole["annotations"] if each["image_id"] in ids]
        counted = Counter(each["category_id"] for each in part["annotations"])
        assert {each["id"]: each["instance_count"] for each in part["categories"] if each["instance_count"]} == counted
        pycocotools = pytest.importorskip("pycocotools.coco")
        assert sorted(pycocotools.COCO(str(path)).imgs) == ids
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    make_subsets(source, tmp_path, [25, 50])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert draw_subsets(range(100), [10], 0) != draw_subsets(range(100), [10], 1)


@pytest.mark.parametrize(
    ("ids", "percents", "said"),
    [
        ([1, 1], [10], "ids of their own"),
        ([], [10], "ids of their own"),
        ([1], [0], "percents"),
        ([1], [101], "percents"),
        ([1], [10, 10], "percents"),
        ([1], [], "percents"),
        ([1, "2"], [10], "all integers or all texts"),
    ],
)
def test_wrong_subsets(ids, percents, said):
    with pytest.raises(ValueError, match=said):
        draw_subsets(ids, percents)


def test_subsets_of_a_file_cut_short(tmp_path):
    path = tmp_path / "cut.json"
    path.write_text('{"images": [{"id": 1}],\n "annotations": [{"id"')
    code, said = run(path, "--out", tmp_path / "out")
    assert (code, said) == (2, f"error: {path}, line 2, column 23: it was cut short here.\n")


@pytest.mark.parametrize(
    ("images", "annotations", "categories", "said"),
    [
        (
            '{"id": 1}',
            '{"id": 1}',
            "[]",
            "line 3: an entry of 'annotations' must have `image_id`, but has no such member",
        ),
        ('{"id": 1}', "3", "[]", "line 3: an entry of 'annotations' must be a JSON object, but is 3"),
        ('{"id": 1},\n"x"', "", "[]", "line 3: an entry of 'images' must be a JSON object, but is 'x'"),
        (
            '{"id": null}',
            "",
            "[]",
            "line 2: an entry of 'images' must have an integer or text as `id`, but has None",
        ),
        ('{"id": 1}, {"id": "a"}', "", "[]", "all integers or all texts"),
        ('{"id": 1}', "", "{}", "a list 'categories'"),
        ('{"id": 1}', "", "[4]", "an entry of 'categories' must be a JSON object, but is 4"),
        ('{"id": 1}', '{"image_id": 1}', '[{"id": 1, "image_count": 1}]', "line 3: .* must have `category_id`"),
    ],
)
def test_subsets_of_faulty_files(tmp_path, images, annotations, categories, said):
    path = tmp_path / "x.json"
    path.write_text(f'{{"images": [\n{images}], "annotations": [\n{annotations}], "categories": {categories}}}')
    with pytest.raises(ValueError, match=said) as error:
        make_subsets(path, tmp_path / "out", [50])
    assert str(path) in str(error.value) or "all text" in said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_tool_names_file_and_line_of_what_is_wrong(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"images": [1],\n "annotations": []}')
    code, said = run(path, "--out", tmp_path / "out")
    assert (code, said) == (2, f"error: {path}, line 1: an entry of 'images' must be a JSON object, but is 1.\n")
