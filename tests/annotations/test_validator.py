"""The validator: nothing is wrong with what the engine writes, every fault is found in its line, nothing crashes it."""

import re
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sos_mm.annotations.options import Options
from sos_mm.annotations.validate import find_kind, validate
from sos_mm.formats.rle import decompress, rle_totals
from tests.annotations.samples import MAKERS, MASK, coco, lvis, mdetr, mutate, odvg, write
from tests.helpers import commands
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"), num=4)


WRITTEN = {
    "instances.json": ("coco", {"images": "images"}),
    "lvis_v1.json": ("lvis", {"images": "."}),
    "panoptic.json": ("panoptic", {"images": "images", "masks": "panoptic"}),
    "odvg_detection.jsonl": ("odvg", {"images": "images", "label_map": "annotations/odvg_label_map.json"}),
    "odvg_grounding.jsonl": ("odvg", {"images": "images"}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_engine_writes_is_right(composed, name):
    kind, folders = WRITTEN[name]
    options = Options(**{key: composed.out / folder for key, folder in folders.items()}, tolerance=0)
    found = validate(composed.out / "annotations" / name, options=options)
    assert (found.kind, found.counts.total()) == (kind, 0), found.describe()
    # A scene of several objects, four times.
    assert found.records["images"] + found.records["lines"] == 4
    assert sum(found.records.values()) > 12
    assert found.describe().endswith(": no faults")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("objects.jsonl", r"objects\.jsonl describes the objects of a composed data set, .*sha256sum -c"),
        ("odvg_label_map.json", r"label_map\.json must be an annotation file, but names the labels .*--label-map"),
    ],
)
def test_files_beside_annotations_are_no_faulty_ones(composed, name, said):
    with pytest.raises(ValueError, match=said):
        validate(composed.out / "annotations" / name)
    assert validate(composed.out / "annotations" / name, "odvg").counts


@pytest.mark.parametrize("kind", MAKERS)
def test_small_right_files(tmp_path, kind):
    path = write(tmp_path, kind, MAKERS[kind]())
    assert find_kind(path.read_text()) == kind
    found = validate(path)
    assert not found.counts, found.describe()


# Kind, where, what instead, the fault.
FAULTS = [
    ("coco", "images 1 id", 1, "ids of images must differ"),
    ("coco", "images 1 id", None, "an image must have an `id`"),
    ("coco", "images 1 file_name", "1.jpg", "files of images must differ"),
    ("coco", "images 1 file_name", ..., "an image must have a `file_name`"),
    ("coco", "images 1 width", 80.5, "`height` and `width` must be integers over 0"),
    pytest.param("coco", "images 1 width", 10**400, "`height` and `width` must be integers", id="width"),
    ("coco", "images 1 height", 0, "`height` and `width` must be integers over 0"),
    ("coco", "images 1", "no object", "`images` must hold JSON objects"),
    ("coco", "annotations 1 id", 1, "ids of annotations must differ"),
    ("coco", "annotations 1 id", True, "an annotation must have an `id`"),
    ("coco", "annotations 1 image_id", 7, "`image_id` must be one of `images`"),
    ("coco", "annotations 1 category_id", 7, "`category_id` must be one of `categories`"),
    ("coco", "annotations 1 category_id", "dog", "`category_id` must be an integer"),
    ("coco", "annotations 1 bbox", ..., "a box must be four finite numbers"),
    ("coco", "annotations 1 bbox", [3, 2, 6], "a box must be four finite numbers"),
    ("coco", "annotations 1 bbox", [3, 2, float("nan"), 4], "a box must be four finite numbers"),
    ("coco", "annotations 1 bbox", [3, 2, 10**400, 4], "a box must be four finite numbers"),
    ("coco", "annotations 1 bbox", [3.5, 2, 10**400, 4], "a box must be four finite numbers"),
    ("coco", "annotations 1 bbox", [3, 2, 0, 4], "a box must have an area"),
    ("coco", "annotations 1 bbox", [-1, 2, 9, 4], "a box must be inside its image"),
    ("coco", "annotations 1 bbox", [3, 2, 77.6, 4], "a box must be inside its image"),
    ("coco", "annotations 1 area", 0, "`area` must be over 0"),
    ("coco", "annotations 1 area", 36, "`area` must not be larger than the box"),
    ("coco", "annotations 0 area", 25, "`area` must be that of the mask"),
    ("coco", "annotations 1 iscrowd", 2, "`iscrowd` must be 0 or 1"),
    ("coco", "annotations 1 iscrowd", True, "`iscrowd` must be 0 or 1"),
    ("coco", "annotations 1 iscrowd", ..., "`iscrowd` must be 0 or 1, and be there"),
    ("coco", "annotations 1 image_id", True, "`image_id` must be one of `images`"),
    ("coco", "images 1 id", "2", "ids of images must be all integers or all texts"),
    ("coco", "images 1 file_name", "../2.jpg", "an image must have a `file_name`, a path below the folder of images"),
    ("coco", "annotations 1 area", float("nan"), "`area` must be over 0"),
    ("panoptic", "categories 1 isthing", ..., "`isthing` must be 0 or 1, and be there"),
    ("panoptic", "annotations 1 segments_info 0 iscrowd", ..., "`iscrowd` must be 0 or 1, and be there"),
    ("odvg", "1 detection instances 0 category", 5, "`category` must be text"),
    ("coco", "annotations 1 segmentation", [], "`segmentation` must be polygons or run lengths; leave it out where"),
    ("coco", "annotations 1 segmentation", [[1, 2, 3, 4]], "a polygon must be at least three points"),
    ("coco", "annotations 1 segmentation", [[1, 2, 3, 4, 5, None]], "a polygon must be finite numbers"),
    ("coco", "annotations 1 segmentation", [[1, 2, 3, 4, 5, 10**400]], "a polygon must be finite numbers"),
    ("coco", "annotations 1 segmentation", [[1, 2, 90, 4, 5, 6]], "a polygon must be inside its image"),
    ("coco", "annotations 0 segmentation size", [80, 60], "run lengths must have their image's size"),
    ("coco", "annotations 0 segmentation counts", MASK["counts"][:-1], "run lengths must"),
    ("coco", "annotations 0 segmentation counts", [4700, 24, 77], "run lengths must cover the image"),
    ("coco", "annotations 0 segmentation counts", [-10, 24, 4786], "run lengths must cover the image"),
    ("coco", "annotations 0 segmentation counts", "\u20ac", "run lengths must be numbers, or COCO's string"),
    ("coco", "categories 1 id", 1, "ids of categories must differ"),
    ("coco", "categories 1 name", "dog", "names of categories must differ"),
    ("coco", "categories 1 name", "", "a category must have an `id` and a `name`"),
    ("lvis", "images 1 coco_url", ..., "an image must have a `file_name`"),
    ("lvis", "images 1 neg_category_ids", ..., "an image must list negative and not exhaustive categories"),
    ("lvis", "images 1 neg_category_ids", [2], "negative categories must not be annotated"),
    ("lvis", "images 1 neg_category_ids", [9], "listed categories must be known"),
    ("lvis", "images 1 not_exhaustive_category_ids", [1], "not exhaustive categories must be annotated"),
    ("lvis", "categories 1 frequency", "x", "`frequency` must be 'r', 'c' or 'f'"),
    ("panoptic", "annotations 1 image_id", 1, "an image must have one annotation"),
    ("panoptic", "annotations 1 file_name", None, "an annotation must have `segments_info` and a `file_name`"),
    ("panoptic", "annotations 1 segments_info 1 id", 1, "ids of segments must differ in an image"),
    ("panoptic", "annotations 1 segments_info 1 id", 2**24, "ids of segments must be from 1 to 2**24 - 1"),
    ("panoptic", "annotations 1 segments_info 1 area", 0, "`area` must be over 0"),
    ("panoptic", "annotations 1 segments_info 1 bbox", [0, 0, 0, 0], "a box must have an area"),
    ("mdetr", "images 1 caption", " ", "an expression must have a `caption`"),
    ("mdetr", "images 1 dataset_name", ..., "an expression must have a `dataset_name`"),
    ("mdetr", "images 1 distractors", [[0, 0, 99, 9]], "a box must be inside its image"),
    ("mdetr", "annotations 0 tokens_positive", [[3, 17]], "a span must be inside its caption"),
    ("mdetr", "annotations 0 tokens_positive", [[3, 3]], "a span must be inside its caption"),
    ("mdetr", "annotations 0 tokens_positive", [[0.5, 3]], "a span must be two integers"),
    ("refs", "1 ref_id", 1, "`ref_id` must differ"),
    ("refs", "1 ann_id", None, "`image_id` and `ann_id` must be integers"),
    ("refs", "1 sentences", [], "a reference must have `sentences`"),
    ("refs", "1 sentences 0 sent", " ", "a sentence must have words in `sent`"),
    ("odvg", "1 filename", None, "a line must have a `filename`"),
    ("odvg", "1 detection", ..., "a line must have `detection` or `grounding`"),
    ("odvg", "1 detection instances 1 bbox", [9, 6, 3, 2], "a box must have an area"),
    ("odvg", "1 detection instances 1 bbox", [3, 2, 81, 4], "a box must be inside its image"),
    ("odvg", "1 detection instances 1 label", -1, "`label` must be an integer from 0"),
    ("odvg", "1 detection instances 1 category", "cat", "a label must stand for one category"),
    ("odvg", "0 grounding caption", None, "`grounding` must have a `caption` and a list `regions`"),
    ("odvg", "0 grounding regions 0 tokens_positive", [[0, 4]], "spans must give back their phrase"),
    ("odvg", "0 grounding regions 0 tokens_positive", [], "`tokens_positive` must be a list of spans"),
    ("odvg", "0 grounding regions 0 phrase", 3, "`phrase` must be words, or a list of them"),
    ("odvg", "0 grounding regions 0", {"bboxes": []}, "a region must have `bbox`: it has `bboxes`, as the released"),
    ("odvg", "0 grounding regions 1 bbox 1", [0, 0, 80, 61], "a box must be inside its image"),
]


@pytest.mark.parametrize(("kind", "keys", "value", "reason"), FAULTS)
def test_faults_are_found_in_their_line(tmp_path, kind, keys, value, reason):
    right = MAKERS[kind]()
    content = deepcopy(right)
    mutate(content, keys, value)
    path = write(tmp_path, kind, content)
    before = write(tmp_path / "right", kind, right).read_text().split("\n")
    changed = [n for n, (a, b) in enumerate(zip(before, path.read_text().split("\n"), strict=True), 1) if a != b]
    assert len(changed) == 1
    found = validate(path)
    places = {fault.line for fault in found.first if fault.reason.startswith(reason)}
    assert places == set(changed), found.describe()
    assert f"{path}:{changed[0]}: " in found.describe()


def test_each_fault_is_counted_and_the_first_are_shown(tmp_path):
    content = coco()
    content["annotations"] += [dict(content["annotations"][2], id=10 + i, area=-1) for i in range(20)]
    found = validate(write(tmp_path, "coco", content), options=Options(show=3))
    assert found.counts == {"`area` must be over 0": 20}
    assert [fault.line for fault in found.first] == [14, 15, 16]
    assert "  20 x `area` must be over 0\n" in found.describe()


def test_lists_in_any_order(tmp_path):
    content = lvis()
    found = validate(write(tmp_path, "lvis", {key: content[key] for key in ("annotations", "categories", "images")}))
    assert not found.counts, found.describe()
    content["annotations"][1]["bbox"] = [90, 0, 5, 5]
    found = validate(write(tmp_path, "lvis", {"annotations": content["annotations"], "images": content["images"]}))
    assert found.counts["a box must be inside its image"] == 1
    assert found.counts["there must be a list `categories` that is not empty"] == 1
    # Of referring expressions too, whose files need no categories.
    content = mdetr()
    found = validate(write(tmp_path, "mdetr", {key: content[key] for key in ("annotations", "images")}))
    assert not found.counts, found.describe()


def test_missing_images_and_wrong_masks(composed, tmp_path):
    annotations = composed.out / "annotations"
    for name in ("instances.json", "panoptic.json", "odvg_grounding.jsonl", "lvis_v1.json"):
        assert (
            validate(annotations / name, options=Options(images=tmp_path)).counts["the image file must be there"] == 4
        )
    content = composed.json("annotations/panoptic.json")
    content["annotations"][0]["segments_info"][0]["area"] -= 1
    content["annotations"][1]["segments_info"].pop()
    content["annotations"][2]["file_name"] = "none.png"
    path = write(tmp_path, "panoptic", content)
    found = validate(path, options=Options(masks=composed.out / "panoptic"))
    assert found.counts == {
        "`area` must be that of the mask": 1,
        "the mask must show the segments that are listed": 1,
        "the mask file must be there": 1,
    }


JUNK = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4)),
    *(st.lists(st.integers(-5, 100), max_size=5), st.just({}), st.just([[]]), st.just([None])),
    *(st.just(10**400), st.just([10**400, 0, 1.5, 1]), st.just([[0, 10**400, 1.5, 1, 2, 3]])),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(MAKERS)), st.randoms(use_true_random=False), JUNK)
def test_nothing_crashes_it(tmp_path, kind, random, junk):
    """Anything may stand anywhere."""
    content = MAKERS[kind]()
    node = content
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = random.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or random.random() < 0.1:
            node[key] = junk
            break
        node = node[key]
    path = write(tmp_path, kind, content)
    assert str(path) in validate(path, kind).describe()


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=5), st.integers(0)
)
def test_run_lengths_are_those_of_pycocotools(shapes, seed):
    mask_api, rng = pytest.importorskip("pycocotools.mask"), np.random.default_rng(seed)
    masks = [np.asfortranarray(rng.random((h, w)) < share).astype(np.uint8) for h, w, share in shapes]
    encoded = [mask_api.encode(mask) for mask in masks]
    strings = [each["counts"].decode() for each in encoded]
    lengths, firsts = decompress(strings)
    for mask, part in zip(masks, np.split(lengths, firsts[1:]), strict=True):
        np.testing.assert_array_equal(np.repeat(np.arange(len(part)) % 2, part), mask.ravel(order="F"))
        assert (part[1:] > 0).all()
    totals = [(h * w, int(mask_api.area(each))) for (h, w, _), each in zip(shapes, encoded, strict=True)]
    assert [each[:2] for each in rle_totals(strings)] == totals
    assert all(least >= 0 for *_, least in rle_totals(strings))


def test_one_faulty_mask_among_many(tmp_path):
    content = coco()
    content["annotations"] = [dict(content["annotations"][0], id=id) for id in range(1, 2500)]
    content["annotations"][1700] |= {"segmentation": MASK | {"counts": MASK["counts"] + "~"}}
    content["annotations"][2300] |= {"area": 25}
    found = validate(write(tmp_path, "coco", content))
    assert found.counts == {
        "run lengths must be numbers, or COCO's string of them": 1,
        "`area` must be that of the mask": 1,
    }
    assert [fault.line for fault in found.first] == [1711, 2311]


def test_tool(tmp_path):
    def run(*args):
        done = commands.run(["validate_annotations.py", *args])
        assert not done.raised
        return done.code, done.out + done.err

    right, content = write(tmp_path, "coco", coco()), coco()
    content["annotations"][1]["bbox"] = [0, 0, 90, 9]
    wrong = write(tmp_path / "wrong", "coco", content)
    assert run(right) == (0, f"{right}: coco, 2 categories, 2 images, 3 annotations: no faults\n")
    code, said = run(right, wrong)
    assert code == 1
    assert f"{wrong}:12: annotation 2: [0, 0, 90, 9] in 80x60" in said
    code, said = run(tmp_path / "none.json")
    assert (code, said) == (2, f"error: The annotation file {tmp_path / 'none.json'} does not exist.\n")
    said = f"error: The annotations must be a file, but {tmp_path} is a folder: name a file in it.\n"
    assert run(tmp_path) == (2, said)
    assert run(right, "--images", tmp_path / "nowhere")[0] == 2
    # What was found before is printed.
    code, said = run(wrong, tmp_path / "none.json")
    assert (code, f"{wrong}:12: annotation 2" in said, said.endswith("none.json does not exist.\n")) == (2, True, True)


@pytest.mark.parametrize(
    ("label_map", "said"),
    [
        ('["a"]', "The label map {path} must be a JSON object"),
        ('{"a": "b"}', "The label map {path} must give names to integers from 0, but has 'a': 'b'."),
        ('{"0": 1}', "The label map {path} must give names to integers from 0, but has '0': 1."),
        ('{"0": "a"', "The label map cannot be read: {path}, line 1, column 10: it was cut short here."),
        (None, "The label map {path} does not exist."),
    ],
)
def test_faults_of_the_label_map_are_its_own(tmp_path, label_map, said):
    path, names = write(tmp_path, "odvg", odvg()), tmp_path / "names.json"
    if label_map is not None:
        names.write_text(label_map)
    with pytest.raises((ValueError, FileNotFoundError), match="^" + re.escape(said.format(path=names))):
        validate(path, options=Options(label_map=names))
