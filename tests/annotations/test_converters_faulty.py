"""Converters on faulty input: each fault has the file and the record for it, and none becomes another meaning."""

import json
import re
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sos_mm.annotations import panoptic
from sos_mm.annotations.released import rebuilt_lines, repaired_panoptic
from sos_mm.annotations.subsets import make_subsets
from sos_mm.formats import odvg_referring as referring
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, read_mdetr, to_mdetr
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.refs import read_refs
from tests.annotations import samples
from tests.annotations.samples import mutate
from tests.annotations.test_converters import refs_and_instances
from tests.helpers import commands


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"images": [], "annotations": [', "line 1, column 32: it was cut short here"),
        ("", "the file is empty"),
        ('{"images": []}', "a list 'annotations'"),
        ("[]", "a list 'images'"),
        ('{"images": [],\n"annotations": [{"image_id": 1}]}', "line 2: .* must have `segments_info`"),
        ('{"images": [],\n"annotations": [{"segments_info": []}]}', "line 2: .* must have `image_id`"),
        ('{"images": [],\n"annotations": [3]}', "line 2: an entry of 'annotations' must be a JSON object, but is 3"),
        (
            '{"images": [{"id": 2, "file_name": "2.jpg", "height": 6, "width": 8}], "categories": [], '
            '"annotations": [{"image_id": 1, "segments_info": []}]}',
            "no such image",
        ),
    ],
)
def test_faulty_sources(tmp_path, content, said):
    path, out = tmp_path / "x.json", tmp_path / "out.jsonl"
    path.write_text(content)
    done = commands.run(["convert_annotations.py", "panoptic-odvg", path, out])
    assert (done.code, done.out) == (2, "")
    assert re.match(rf"error: .*x\.json.*{said}", done.err), done.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.json"]


def write(path: Path, content) -> Path:
    """As JSON lines or as one JSON text, after the file's name."""
    if path.suffix == ".jsonl":
        write_json_lines(path, content)
    elif isinstance(content, dict):
        write_json_lists(path, content)
    else:
        path.write_text(json.dumps(content))
    return path


# Where, what instead, what is said.
MDETR_FAULTS = [
    ("annotations 0 image_id", 7, "annotation of the image 7, but no such image"),
    ("annotations 1 image_id", 1, "the image 1 must have targets, or an annotation of category -1 .* beside that mark"),
    ("annotations", [], "the image 1 must have targets, or an annotation of category -1 .* has neither"),
    ("images 1 id", 1, "must have ids of their own, but two have the id 1"),
    ("images 1", 5, "line 4: an entry of 'images' must be a JSON object, but is 5"),
    ("images 1 caption", ..., "line 4: an entry of 'images' must have `caption`"),
    (
        "annotations 0 bbox",
        [3, 2, 6],
        "image 1 must have a box of four finite numbers, .*, as `bbox`, but has .3, 2, 6.",
    ),
    ("annotations 0 tokens_positive", [[3, 99]], "annotation of the image 1: a span must be inside its caption"),
    ("annotations 0 category_id", ..., "line 7: an entry of 'annotations' must have `category_id`"),
]


@pytest.mark.parametrize("keys", [None, "annotations 0 tokens_positive"])
def test_the_expressions_before_any_fault(tmp_path, keys):
    """One that means something, one that says that it means nothing; spans may be left out."""
    content = samples.mdetr()
    if keys:
        mutate(content, keys, ...)
    one, nothing = read_mdetr(write(tmp_path / "mdetr.json", content))
    assert [target.box for target in one.targets] == [[3, 2, 9, 6]]
    assert nothing.targets == []


@pytest.mark.parametrize(("keys", "value", "said"), MDETR_FAULTS)
def test_faulty_expressions_do_not_come_to_mean_nothing(tmp_path, keys, value, said):
    content = samples.mdetr()
    mutate(content, keys, value)
    path = write(tmp_path / "mdetr.json", content)
    with pytest.raises(ValueError, match=rf"mdetr\.json.*{said}"):
        write_json_lines(tmp_path / "odvg.jsonl", referring.to_odvg(read_mdetr(path)))
    assert not (tmp_path / "odvg.jsonl").exists()


REFS_FAULTS = [
    ("0 0 ann_id", 5, "ref_id 0: it names the annotation 5, but .*instances.json has none such"),
    ("0 0 image_id", 5, "ref_id 0: it names the image 5, but .*instances.json has none such"),
    ("0 0 ann_id", [], "ref_id 0: the entry must have targets, or `ann_id` .-1. if it means nothing, but has neither"),
    ("0 0 ann_id", ..., "ref_id 0: the entry must have `ann_id`"),
    ("0 1 ann_id", [1, -1], "ref_id 1: the entry must have .* beside that mark"),
    ("0 1 no_target", True, "ref_id 1: the entry must have .* beside that mark"),
    ("0 0 sentences", [3], "ref_id 0: the entry must have a list of JSON objects as `sentences`"),
    ("0 0 sentences 0 sent", None, "ref_id 0: a sentence must have text that is not blank as `sent`, but has None"),
    ("0 1 sentences 0 sent_id", 11, "ref_id 1: sentences must have ids of their own, but two have the `sent_id` 11"),
    ("1 annotations 0 image_id", 8, "ref_id 0: it is of the image 7, but names the annotation 1, which is of 8"),
    ("1 annotations 1 id", 1, "Annotations of .*instances.json must have ids of their own, but two have the id 1"),
    ("1 annotations 1 bbox", ["a"] * 4, "instances.json, line 7: .* must have a box of four finite numbers"),
    ("0", [], "refs.json must be a list of entries with `sentences`, but is empty"),
]


@pytest.mark.parametrize(("keys", "value", "said"), REFS_FAULTS)
def test_faulty_references(tmp_path, keys, value, said):
    content = list(refs_and_instances())
    mutate(content, keys, value)
    paths = [write(tmp_path / name, each) for name, each in zip(("refs.json", "instances.json"), content, strict=True)]
    with pytest.raises(ValueError, match=said):
        list(read_refs(*paths))


def test_either_mark_of_no_target_is_enough(tmp_path):
    _, instances = refs_and_instances()
    for mark in ({"ann_id": [-1]}, {"ann_id": -1}, {"ann_id": [], "no_target": True}):
        entry = {"ref_id": 2, "image_id": 7, "sentences": [{"sent": "a cat", "sent_id": 13}]} | mark
        refs, other = write(tmp_path / "refs.json", [entry]), write(tmp_path / "instances.json", instances)
        (expression,) = read_refs(refs, other)
        assert expression.targets == []


ODVG_FAULTS = [
    ("0 grounding", ..., "line 1: the line must have `grounding`"),
    ("0 grounding regions 0 bbox", [0, 0, 5], "line 1: a region must have a box of four finite numbers, .* as `bbox`"),
    ("0 grounding regions 0 phrase", ..., "line 1: a region must have `phrase`"),
    (
        "0 grounding regions 0 category_ids",
        [1, 2],
        "line 1: a region must have a category for each box, but has 2 of 1",
    ),
    ("0", 3, "line 1: the line must be a JSON object, but is 3"),
]


@pytest.mark.parametrize(("keys", "value", "said"), ODVG_FAULTS)
def test_lines_that_are_not_grounding(tmp_path, keys, value, said):
    content = samples.odvg()[:1]
    mutate(content, keys, value)
    with pytest.raises(ValueError, match=rf"odvg\.jsonl, {said}"):
        list(referring.read_odvg(write(tmp_path / "odvg.jsonl", content)))


def released() -> list:
    region = {"phrase": "a dog", "bboxes": [[3, 2, 6, 4]], "tokens_positive": [[0, 4]]}
    image = {"filename": "1.png", "height": 60, "width": 80}
    return [image | {"grounding": {"caption": "a dog. ", "regions": [region]}}]


def expressions() -> list:
    """ODVG as it is written of referring expressions."""
    target = Target([3, 2, 9, 6], 1, [[0, 7]])
    image = {"file_name": "1.jpg", "height": 60, "width": 80}
    return list(referring.to_odvg([Expression(1, "the dog", image, 1, "refcoco", [target])]))


def counted() -> dict:
    content = samples.lvis()
    for each in content["categories"]:
        each |= {"image_count": 1, "instance_count": 1}
    return content


def phrased() -> dict:
    content = samples.panoptic()
    content["annotations"][0]["segments_info"][0]["short_phrase"] = "a dog"
    return content


# What is read, and all that is done with it in the given folder.
CONVERTED = {
    "panoptic": (phrased, "x.json", lambda path: list(panoptic.grounding_lines(PanopticFile(path, ".png")))),
    "classes": (phrased, "x.json", lambda path: list(panoptic.detection_lines(PanopticFile(path)))),
    "intra": (phrased, "x.json", lambda path: panoptic.intra_class(PanopticFile(path, stuff=True))),
    "repaired": (phrased, "x.json", lambda path: repaired_panoptic(path, path.parent)),
    "released": (released, "x.jsonl", lambda path: list(rebuilt_lines(path))),
    "mdetr": (samples.mdetr, "x.json", lambda path: list(referring.to_odvg(read_mdetr(path)))),
    "odvg": (lambda: samples.odvg()[:1], "x.jsonl", lambda path: to_mdetr(referring.read_odvg(path))),
    "expressions": (expressions, "x.jsonl", lambda path: to_mdetr(referring.read_odvg(path))),
    "subsets": (counted, "x.json", lambda path: make_subsets(path, path.parent / "out", [50, 100])),
}
JUNK = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4), st.just({})),
    *(st.lists(st.integers(-5, 100), max_size=5), st.just([[]]), st.just([None]), st.just(10**400), st.just(["a"] * 4)),
)


@pytest.mark.parametrize("name", [name for name, (_, file, _) in CONVERTED.items() if file == "x.json"])
def test_files_of_nothing(tmp_path, name):
    make, file, convert = CONVERTED[name]
    path = write(tmp_path / file, make() | {"images": [], "annotations": []})
    with pytest.raises(ValueError, match=r"x\.json must list images, but its `images` is empty: give another file"):
        convert(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.json"]


def put(content, random, junk) -> None:
    """Replaces or removes what stands somewhere, however deep."""
    node = content
    while True:
        key = random.choice(list(node) if isinstance(node, dict) else list(range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and random.random() > 0.1:
            node = node[key]
        elif random.random() < 0.2 and isinstance(node, dict):
            del node[key]
            return
        else:
            node[key] = junk
            return


@pytest.mark.parametrize("name", CONVERTED)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), JUNK)
def test_nothing_crashes_them(tmp_path, name, random, junk):
    """Anything may stand anywhere: it is converted, or said to be wrong in an error that the tools print."""
    make, file, convert = CONVERTED[name]
    content = deepcopy(make())
    put(content, random, junk)
    path = write(tmp_path / file, content)
    for mask in ("1.png", "2.png"):
        assert cv2.imwrite(str(tmp_path / mask), np.full((60, 80, 3), (0, 0, 1), np.uint8))
    said = ""
    try:
        convert(path)
    except (ValueError, FileNotFoundError) as error:
        said = str(error)
    # Ids are drawn from without regard to their file.
    assert not said or str(path.parent) in said or "must have ids" in said or "Ids of images" in said


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), JUNK)
def test_nothing_crashes_references(tmp_path, random, junk):
    content = list(refs_and_instances())
    put(content[random.randrange(2)], random, junk)
    paths = [write(tmp_path / name, each) for name, each in zip(("refs.json", "instances.json"), content, strict=True)]
    said = ""
    try:
        to_mdetr(read_refs(*paths))
    except ValueError as error:
        said = str(error)
    assert not said or str(tmp_path) in said
