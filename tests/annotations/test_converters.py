"""Converters: equal to what the engine writes by itself, round trips, spans that give back their phrases."""

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.annotations import panoptic
from sos_mm.annotations.released import rebuilt_lines
from sos_mm.annotations.validate import validate
from sos_mm.cli.convert import main
from sos_mm.formats import odvg_referring as referring
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, read_mdetr, to_mdetr
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.refs import read_refs
from tests.helpers import commands
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


@pytest.fixture(scope="module")
def with_phrases(composed):
    """The engine's panoptic file with the phrases of its sidecar, as the released sets have them."""
    content, objects = composed.json("annotations/panoptic.json"), composed.lines("annotations/objects.jsonl")
    for annotation, line in zip(content["annotations"], objects, strict=True):
        for segment, each in zip(annotation["segments_info"], line["objects"], strict=False):
            segment["short_phrase"] = each["phrase"]
    path = composed.out / "annotations/with_phrases.json"
    write_json_lists(path, content)
    return path


def run(tool: str, *args) -> tuple[int, str]:
    done = commands.run([tool, *args])
    assert not done.raised
    return done.code, done.out + done.err


def lines(path) -> list:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_panoptic_to_detection_is_what_the_engine_writes(composed, tmp_path):
    """The engine writes ODVG by another way; stuff and ignored regions are in neither."""
    out = tmp_path / "detection.jsonl"
    code, said = run(
        "convert_annotations.py", "panoptic-odvg-detection", composed.path("annotations/panoptic.json"), out
    )
    assert (code, said.splitlines()[0]) == (0, f"{out}: 12 written")
    assert "crowd or stuff" in said
    assert lines(out) == composed.lines("annotations/odvg_detection.jsonl")
    label_map = json.loads((tmp_path / "detection_label_map.json").read_text())
    assert label_map == composed.json("annotations/odvg_label_map.json")


def test_label_map_of_others_is_not_replaced(composed, tmp_path):
    """It is written beside the output, under a name that nobody gave; the command may be repeated."""
    words = ["convert_annotations.py", "panoptic-odvg-detection", composed.path("annotations/panoptic.json")]
    out, beside = tmp_path / "odvg.jsonl", tmp_path / "odvg_label_map.json"
    beside.write_text('{"0": "mine"}')
    code, said = run(*words, out)
    assert (code, said.count("\n")) == (2, 1)
    assert f"{beside} would be written beside `OUT`, but exists with other content: name another `OUT`, or" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ['{"0": "mine"}']
    beside.unlink()
    beside.mkdir()
    assert run(*words, out)[0] == 2
    beside.rmdir()
    assert [run(*words, out)[0] for _ in range(2)] == [0, 0]


def regions_of(records) -> dict:
    """All regions by file, whatever their order and captions."""
    found: dict = {}
    for record in records:
        caption = record["grounding"]["caption"]
        for region in record["grounding"]["regions"]:
            ((start, end),) = region["tokens_positive"]
            assert caption[start:end] == region["phrase"]
            found.setdefault(record["filename"], []).append((region["phrase"], str(region["bbox"])))
    return {name: sorted(regions) for name, regions in found.items()}


def test_panoptic_to_grounding_is_what_the_engine_writes(composed, with_phrases):
    written = composed.lines("annotations/odvg_grounding.jsonl")
    converted = list(panoptic.grounding_lines(PanopticFile(with_phrases), seed=7))
    # The same seed gives the same order too.
    assert converted == written


@pytest.mark.parametrize("limit", [1, 20, 45, 1000])
def test_long_captions_become_several_lines(composed, with_phrases, limit):
    whole = list(panoptic.grounding_lines(PanopticFile(with_phrases)))
    cut = list(panoptic.grounding_lines(PanopticFile(with_phrases), max_characters=limit))
    assert regions_of(cut) == regions_of(whole)
    captions = [(record["grounding"]["caption"], len(record["grounding"]["regions"])) for record in cut]
    assert all(len(caption) <= limit or number == 1 for caption, number in captions)
    assert (len(cut) == len(whole)) == (limit == 1000)


def test_panoptic_without_phrases_says_categories(composed, tmp_path):
    content = composed.json("annotations/panoptic.json")
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment.pop("phrase", None)
    write_json_lists(tmp_path / "plain.json", content)
    file = PanopticFile(tmp_path / "plain.json")
    phrases = {r["phrase"] for line in panoptic.grounding_lines(file) for r in line["grounding"]["regions"]}
    assert phrases <= {"ring", "red apple", "apple", "käse №5", "bat", "Käse №5"}
    assert "bat" in phrases


def test_released_sets(composed, with_phrases, tmp_path):
    """Hidden segments, areas of 1, other file names: left out, not minded, put right."""
    content = json.loads(with_phrases.read_text())
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment["area"] = 1
        annotation["segments_info"][0]["bbox"] = [0, 0, 0, 0]
    path = tmp_path / "released.json"
    write_json_lists(path, content)
    file = PanopticFile(path, image_suffix=".png")
    found = list(panoptic.detection_lines(file))
    assert file.left_out["no box of a pixel or more inside the image"] == 12
    assert [len(each["detection"]["instances"]) for each in found] == [len(s.objects) - 1 for s in composed.scenes]
    assert found[0]["filename"] == "00000000.png"


def test_released_panoptic_is_repaired(composed, tmp_path):
    """Areas and boxes come from the masks, so all is as the engine wrote it; what no pixel shows is left out."""
    right = composed.json("annotations/panoptic.json")
    content = json.loads(json.dumps(right))
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment |= {"area": 1, "bbox": [0, 0, 0, 0]}
        annotation["segments_info"].append({"id": 999, "category_id": 2, "bbox": [0, 0, 0, 0], "area": 1, "iscrowd": 0})
    for category in content["categories"]:
        del category["isthing"], category["supercategory"]
    path, out = tmp_path / "released.json", tmp_path / "repaired.json"
    write_json_lists(path, content)
    code, said = run("convert_annotations.py", "released-panoptic", path, out, "--masks", composed.path("panoptic"))
    assert (code, said) == (0, f"{out}: 12 written\nleft out, 12 times: segment that no pixel shows\n")
    repaired = json.loads(out.read_text(encoding="utf-8"))
    assert repaired["annotations"] == right["annotations"]
    assert all(each["isthing"] == 1 for each in repaired["categories"])
    code, said = run("convert_annotations.py", "released-panoptic", path, out, "--masks", tmp_path)
    assert (code, "00000000.png does not exist" in said) == (2, True)


def as_released(record: dict) -> dict:
    """A line as the released generator writes it."""
    regions, cursor = [], 0
    for region in record["grounding"]["regions"]:
        boxes = region["bbox"] if isinstance(region["bbox"][0], list) else [region["bbox"]]
        text = region["phrase"]
        regions.append(
            {
                "phrase": text,
                "bboxes": [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes],
                "tokens_positive": [[cursor, cursor + len(text) - 1]],
            }
        )
        cursor += len(text) + 2
    caption = ". ".join(region["phrase"] for region in regions) + ". "
    name = record["filename"].replace(".jpg", ".png")
    return record | {"filename": name, "grounding": {"caption": caption, "regions": regions}}


def test_released_odvg_is_rebuilt(composed, tmp_path):
    right = composed.lines("annotations/odvg_grounding.jsonl")
    path, out = tmp_path / "released.jsonl", tmp_path / "rebuilt.jsonl"
    write_json_lines(path, map(as_released, right))
    assert "it has `bboxes`, as the released sets" in validate(path).describe()
    code, said = run("convert_annotations.py", "released-odvg", path, out)
    assert (code, said) == (0, f"{out}: 12 written\n")
    assert lines(out) == right
    broken = as_released(right[0])
    broken["grounding"]["regions"][0]["bboxes"].append([0, 0, 0, 0])
    gone = as_released(right[1])
    gone["grounding"]["regions"] = [gone["grounding"]["regions"][0] | {"bboxes": [[0, 0, 0, 0]]}]
    write_json_lines(path, [broken, gone])
    left_out = Counter()
    (rebuilt,) = rebuilt_lines(path, left_out=left_out)
    assert sorted(left_out.values()) == [1, 2]
    kept = right[0]["grounding"]["regions"][1:]
    assert regions_of([rebuilt])[rebuilt["filename"]] == sorted((r["phrase"], str(r["bbox"])) for r in kept)
    with pytest.raises(ValueError, match=r"own\.jsonl, line 1: a region must have `bboxes`"):
        list(rebuilt_lines(write_lines(tmp_path / "own.jsonl", right)))


def write_lines(path, records):
    write_json_lines(path, records)
    return path


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@st.composite
def expressions(draw) -> list:
    """Expressions of none, one or several targets, some with spans of their own."""
    made = []
    for id in range(1, draw(st.integers(1, 6)) + 1):
        text = " ".join(draw(st.lists(WORDS, min_size=1, max_size=4)))
        targets = []
        for _ in range(draw(st.integers(0, 3))):
            x0, y0 = draw(st.integers(0, 50)), draw(st.integers(0, 40))
            box = [x0, y0, draw(st.integers(x0 + 1, 80)), draw(st.integers(y0 + 1, 60))]
            start = draw(st.integers(0, len(text) - 1))
            spans = draw(st.sampled_from([[[0, len(text)]], [[start, draw(st.integers(start + 1, len(text)))]]]))
            targets.append(Target(box, draw(st.integers(1, 3)), spans))
        # ODVG keeps the targets of one span together.
        order = [target.spans for target in targets]
        targets.sort(key=lambda target: order.index(target.spans))
        image = {"file_name": f"{id % 2}.jpg", "height": 60, "width": 80}
        made.append(Expression(id, text, image, id % 2, "refcocog", targets))
    return made


@given(expressions())
def test_round_trips(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("round")
    mdetr, odvg = folder / "mdetr.json", folder / "odvg.jsonl"
    write_json_lists(mdetr, to_mdetr(made))
    assert list(read_mdetr(mdetr)) == made
    assert not validate(mdetr, "mdetr").counts, validate(mdetr).describe()
    write_json_lines(odvg, referring.to_odvg(read_mdetr(mdetr)))
    assert list(referring.read_odvg(odvg)) == made
    assert to_mdetr(referring.read_odvg(odvg)) == json.loads(mdetr.read_text())
    found = validate(odvg)
    # White space within words makes joined spans ambiguous; spans and boxes must be right.
    assert not found.counts, found.describe()


def test_odvg_of_phrases_to_referring(composed, tmp_path):
    """Each region of a caption becomes an expression, also through the tool."""
    source, out = composed.path("annotations/odvg_grounding.jsonl"), tmp_path / "mdetr.json"
    code, _ = run("convert_annotations.py", "odvg-mdetr", source, out)
    regions = [r for line in composed.lines("annotations/odvg_grounding.jsonl") for r in line["grounding"]["regions"]]
    content = json.loads(out.read_text(encoding="utf-8"))
    assert code == 0
    assert [image["caption"] for image in content["images"]] == [region["phrase"] for region in regions]
    boxes = sum(len(r["bbox"]) if isinstance(r["bbox"][0], list) else 1 for r in regions)
    assert len(content["annotations"]) == boxes
    assert not validate(out).counts


def refs_and_instances() -> tuple[list, dict]:
    """A list like gRefCOCO's, with its instances: one target, two, none."""
    instances = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 60, "width": 80}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [70, 5, 20, 20]},
        ],
        "categories": [{"id": 3, "name": "dog"}],
    }
    one = [{"sent": "left dog", "sent_id": 10}, {"sent": "dog on the left", "sent_id": 11}]
    entries = [
        {"ref_id": 0, "image_id": 7, "ann_id": 1, "split": "train", "sentences": one},
        {
            "ref_id": 1,
            "image_id": 7,
            "ann_id": [1, 2],
            "split": "train",
            "sentences": [{"sent": "dogs", "sent_id": 12}],
        },
        {"ref_id": 2, "image_id": 7, "ann_id": [-1], "no_target": True, "split": "val"},
    ]
    entries[2]["sentences"] = [{"sent": "a cat", "sent_id": 13}]
    return entries, instances


@pytest.fixture
def refs(tmp_path):
    paths = tmp_path / "refs.json", tmp_path / "instances.json"
    for path, content in zip(paths, refs_and_instances(), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_refs(refs, tmp_path):
    path, instances = refs
    assert not validate(path).counts
    out, odvg = tmp_path / "mdetr.json", tmp_path / "odvg.jsonl"
    assert run("convert_annotations.py", "refs-mdetr", path, out, "--instances", instances)[0] == 0
    content = json.loads(out.read_text())
    assert [(i["id"], i["caption"]) for i in content["images"]] == [
        (10, "left dog"),
        (11, "dog on the left"),
        (12, "dogs"),
        (13, "a cat"),
    ]
    assert Counter(each["image_id"] for each in content["annotations"]) == {10: 1, 11: 1, 12: 2, 13: 1}
    assert content["annotations"][-1]["category_id"] == -1
    assert content["categories"] == [{"id": 3, "name": "dog"}]
    command = ["refs-odvg", path, odvg, "--instances", instances, "--split", "train"]
    assert run("convert_annotations.py", *command) == (0, f"{odvg}: 3 written\n")
    # The second dog reaches over the edge.
    assert lines(odvg)[2]["grounding"]["regions"][0]["bbox"] == [[1, 2, 11, 22], [70, 5, 80, 25]]
    assert lines(odvg)[0]["grounding"]["regions"][0]["tokens_positive"] == [[0, 8]]
    code, said = run("convert_annotations.py", *command[:-1], "testA")
    assert (code, "(train, val), but got 'testA'" in said) == (2, True)


def test_expressions_with_faulty_targets_are_left_out(refs):
    """Not turned into ones with fewer targets, or none."""
    path, instances = refs
    content = json.loads(instances.read_text())
    content["annotations"][1]["bbox"] = [85, 5, 20, 20]
    instances.write_text(json.dumps(content))
    left_out = Counter()
    records = list(referring.to_odvg(read_refs(path, instances), left_out))
    assert [record["expression_id"] for record in records] == [10, 11, 13]
    assert list(left_out.values()) == [1]
    content["annotations"].pop()
    instances.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"ref_id 1: it names the annotation 2, but .*instances\.json has none such"):
        list(read_refs(path, instances))


def test_nothing_to_write_is_an_error(composed, tmp_path):
    """Without phrases no object of a category can be told from the others."""
    content = deepcopy(composed.json("annotations/panoptic.json"))
    for segment in (each for image in content["annotations"] for each in image["segments_info"]):
        segment.pop("phrase", None)
    path = tmp_path / "panoptic.json"
    path.write_text(json.dumps(content))
    out = tmp_path / "out.json"
    out.write_text("earlier")
    code, said = run("convert_annotations.py", "panoptic-intra-class", path, out)
    assert (code, "nothing of" in said, "written" in said.split("nothing of")[0]) == (2, True, False)
    assert out.read_text() == "earlier"


def test_an_earlier_file_is_kept_where_there_are_no_lines_to_write(composed, tmp_path):
    content = deepcopy(composed.json("annotations/panoptic.json"))
    for image in content["annotations"]:
        image["segments_info"] = []
    path, out = tmp_path / "panoptic.json", tmp_path / "out.jsonl"
    path.write_text(json.dumps(content))
    out.write_text("earlier")
    with pytest.raises(SystemExit, match=r"nothing of .* fits this kind, so .*out\.jsonl is not written"):
        main(["panoptic-odvg", str(path), str(out)])
    assert out.read_text() == "earlier"


def test_intra_class(composed, with_phrases, tmp_path):
    out = tmp_path / "intra.json"
    assert run("convert_annotations.py", "panoptic-intra-class", with_phrases, out)[0] == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    targets = {each["image_id"]: each for each in content["annotations"]}
    assert len(content["images"]) == len(targets) > 3
    for image in content["images"]:
        scene = composed.scenes[image["original_id"] - 1]
        target = targets[image["id"]]
        names = [each.category.lower().replace("_", " ") for each in scene.objects]
        boxes = [[b[0], b[1], b[2] - b[0], b[3] - b[1]] for b in (each.box for each in scene.objects)]
        place = boxes.index(target["bbox"])
        others = [box for i, box in enumerate(boxes) if i != place and names[i] == names[place]]
        assert sorted(image["distractors"]) == sorted(others) != []
        same = [i for i, each in enumerate(scene.objects) if each.phrase == scene.objects[place].phrase != ""]
        assert same in ([place], [])
    assert not validate(out, "mdetr").counts


def test_names_of_categories(refs, tmp_path):
    """ODVG has their ids alone: the names come back with the file that has them."""
    path, instances = refs
    mdetr, odvg, back = tmp_path / "mdetr.json", tmp_path / "odvg.jsonl", tmp_path / "back.json"
    content = json.loads(instances.read_text())
    content["annotations"][1]["bbox"] = [60, 5, 20, 20]
    instances.write_text(json.dumps(content))
    assert run("convert_annotations.py", "refs-mdetr", path, mdetr, "--instances", instances)[0] == 0
    assert run("convert_annotations.py", "mdetr-odvg", mdetr, odvg) == (0, f"{odvg}: 4 written\n")
    assert run("convert_annotations.py", "odvg-mdetr", odvg, back)[0] == 0
    assert json.loads(back.read_text())["categories"] == [{"id": 3, "name": "3"}]
    assert run("convert_annotations.py", "odvg-mdetr", odvg, back, "--categories", mdetr)[0] == 0
    assert back.read_text() == mdetr.read_text()
