"""Data sets of every kind read for the report: the same objects whatever the format, and clear errors."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.browse import read_annotations, read_dataset, write_report
from sos_mm.browse.sections import _visibility
from sos_mm.browse.statistics import figures
from sos_mm.formats.folders import image_folder
from sos_mm.formats.phrases import clean_phrase
from sos_mm.formats.rle import decode_mask
from tests.helpers.composed import VOCABULARY, Composed, tight_box


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


def objects_of(image, role="object"):
    return [each for each in image.annotations if each.role == role]


def mask_of(image, annotation):
    if image.read_map:
        return image.read_map() == annotation.mask
    return decode_mask(annotation.mask, image.size, image.file_name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("instances.json", "COCO instances"),
        ("lvis_v1.json", "LVIS"),
        ("panoptic.json", "COCO panoptic"),
        ("objects.jsonl", "sidecar of composed objects"),
    ],
)
def test_formats_with_masks(composed, name, kind):
    """Each gives the scenes' objects back, with what the sidecar knows of them."""
    data_set = read_dataset(composed.out / "annotations" / name)
    assert (data_set.kind, len(data_set.images)) == (kind, len(composed.scenes))
    for scene, image in zip(composed.scenes, data_set.images, strict=True):
        assert image.path.is_file()
        assert image.size == scene.size
        found = objects_of(image)
        assert len(found) == len(scene.objects)
        for index, (told, truth) in enumerate(zip(found, scene.objects, strict=True)):
            np.testing.assert_array_equal(mask_of(image, told), scene.modal_mask(index))
            assert list(told.box) == list(truth.box)
            assert told.area == truth.area
            assert told.category.lower().replace("_", " ") == truth.category.lower().replace("_", " ")
            assert (told.phrase, told.segment_id) == (truth.phrase, truth.segment_id)
            assert (told.visible_share, told.truncation) == (truth.visible_share, truth.truncation)


def test_objects_that_a_source_image_cut_off_count_as_truncated(tmp_path):
    each = dict(category="person", box=[0, 0, 9, 9], area=81, truncation=0.0, visible_share=1.0)
    line = dict(file_name="0.jpg", canvas=[9, 20], objects=[each, each | {"cut_off": True}], ignored=[])
    (tmp_path / "objects.jsonl").write_text(json.dumps(line) + "\n")
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((9, 20, 3), np.uint8))
    stats = figures(read_dataset(tmp_path / "objects.jsonl"))
    assert stats.cut_off.tolist() == [False, True]
    assert "1 object is truncated" in _visibility(stats)


def test_regions_to_ignore_and_stuff(composed):
    scenes = composed.scenes
    assert sum(len(scene.ignored) for scene in scenes), "the scenes must have some, or nothing is tested"
    for name in ("instances.json", "objects.jsonl"):
        for scene, image in zip(scenes, read_dataset(composed.out / "annotations" / name).images, strict=True):
            boxes = [list(each.box) for each in objects_of(image, "ignore")]
            assert boxes == [list(each.box) for each in scene.ignored]
    for image in read_dataset(composed.out / "annotations" / "panoptic.json").images:
        assert [each.category for each in objects_of(image, "stuff")] == ["Wand"]


def test_odvg(composed):
    """Boxes and words as they stand in the lines."""
    detection = read_dataset(composed.out / "annotations" / "odvg_detection.jsonl")
    grounding = read_dataset(composed.out / "annotations" / "odvg_grounding.jsonl")
    assert (detection.kind, grounding.kind) == ("ODVG detection", "ODVG grounding")
    for scene, found, told in zip(composed.scenes, detection.images, grounding.images, strict=True):
        boxes = sorted(list(each.box) for each in scene.objects)
        assert [list(each.box) for each in found.annotations] == [list(each.box) for each in scene.objects]
        assert sorted(list(each.box) for each in told.annotations) == boxes
        phrases = {clean_phrase(each.phrase).lower() for each in scene.objects if clean_phrase(each.phrase)}
        assert phrases <= {each.category.lower() for each in told.annotations}


def test_saliency(composed, tmp_path):
    for folder in ("images", "masks"):
        shutil.copytree(composed.out / folder, tmp_path / folder)
    data_set = read_dataset(tmp_path)
    assert data_set.kind == "saliency masks"
    for scene, image in zip(composed.scenes, data_set.images, strict=True):
        truth = scene.saliency_mask() > 0
        (marked,) = image.annotations
        assert list(marked.box) == tight_box(truth)
        np.testing.assert_array_equal(mask_of(image, marked), truth)
    other = read_dataset(tmp_path / "masks", images=tmp_path / "images", masks=tmp_path / "masks")
    assert [image.path for image in other.images] == [image.path for image in data_set.images]


def test_folder_is_read_as_its_instances(composed):
    data_set = read_dataset(composed.out)
    assert data_set.source == composed.out / "annotations" / "instances.json"
    assert sorted(data_set.categories) == sorted(VOCABULARY)


@pytest.fixture
def coco(tmp_path):
    """A small COCO data set of one image: its folder, and its annotations to be spoiled."""
    (tmp_path / "val2017").mkdir()
    cv2.imwrite(str(tmp_path / "val2017" / "ä b.png"), np.zeros((20, 30, 3), np.uint8))
    annotation = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 3, 10.5, 8], "area": 60, "iscrowd": 0}
    annotation["segmentation"] = [[2, 3, 12.5, 3, 12.5, 11]]
    content = {
        "images": [{"id": 7, "file_name": "ä b.png", "height": 20, "width": 30}],
        "annotations": [annotation],
        "categories": [{"id": 3, "name": "Käse 🧀"}],
    }
    (tmp_path / "annotations").mkdir()
    return tmp_path, content


def write(folder, content, name="instances_val2017.json"):
    path = folder / "annotations" / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_coco_as_distributed(coco):
    folder, content = coco
    path = write(folder, content)
    data_set = read_dataset(folder)
    assert data_set.images[0].path == folder / "val2017" / "ä b.png"
    assert data_set.images[0].annotations[0].box == (2, 3, 12.5, 11)
    assert data_set.categories == ("Käse 🧀",)
    assert read_annotations(path).images[0].path is None


def test_lvis_names_images_by_address(coco):
    folder, content = coco
    del content["images"][0]["file_name"]
    content["images"][0] |= {"coco_url": "http://images.cocodataset.org/val2017/ä b.png", "neg_category_ids": []}
    write(folder, content)
    data_set = read_dataset(folder, images=folder / "val2017")
    assert (data_set.kind, data_set.images[0].path) == ("LVIS", folder / "val2017" / "ä b.png")
    assert read_dataset(folder, images=folder).images[0].path == folder / "val2017" / "ä b.png"


def spoil(content, part, **changes):
    content[part][0].update(changes)
    return content


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        (
            "annotations",
            {"bbox": [1, 2, 3]},
            "Annotation 1 of .*instances_val2017.json: it must have a box of four finite numbers, .* as `bbox`",
        ),
        ("annotations", {"bbox": [1, 2, float("nan"), 3]}, "Annotation 1 of .*finite"),
        ("annotations", {"bbox": [1, 2, -3, 3]}, "Annotation 1 of .*a box of four finite numbers"),
        ("annotations", {"bbox": None}, "Annotation 1 of .*a box of four finite numbers, .*, but has None"),
        ("annotations", {"image_id": 8}, "Annotation 1 of .*`image_id`.*got 8"),
        ("annotations", {"category_id": 4}, "Annotation 1 of .*`category_id`.*got 4"),
        ("images", {"height": 0}, "Image 7 of .*instances_val2017.json: it has a wrong size: `height` and `width`"),
        ("images", {"file_name": "../x.png"}, "Image 7 of .*below the folder of images, but is '../x.png'"),
        ("images", {"file_name": "/x.png"}, "Image 7 of .*below the folder"),
    ],
)
def test_broken_entries_are_named_or_left_out(coco, part, changes, said):
    folder, content = coco
    path = write(folder, spoil(content, part, **changes))
    with pytest.raises(ValueError, match=said):
        read_dataset(path, folder / "val2017")
    data_set = read_dataset(path, folder / "val2017", broken="skip")
    assert len(data_set.faults) == 1
    assert sum(len(image.annotations) for image in data_set.images) == 0


def test_missing_images_are_counted_and_named(coco):
    folder, content = coco
    content["images"].append({"id": 8, "file_name": "gone.png", "height": 20, "width": 30})
    path = write(folder, content)
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images of .*val2017.json are missing, gone.png first"):
        read_dataset(path)
    assert read_dataset(path, broken="skip").missing == ("gone.png",)
    (folder / "val2017" / "ä b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"such as ä b.png, are in none of .*give the folder of images"):
        read_dataset(path)


def test_folders_that_were_searched_are_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"such as a\.png, are in none of images, val2017, \.: give"):
        image_folder(Path("instances_val2017.json"), [["a.png"]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "instances_val2017.json must be a JSON file, but is not: .* the file is empty"),
        ('{"images": [', "instances_val2017.json must be a JSON file"),
        ('{"a": 1}', "instances_val2017.json must hold annotations of a known kind"),
        ("[1, 2]", "instances_val2017.json must hold annotations of a known kind"),
        ("[]", "instances_val2017.json must hold annotations of a known kind .* but holds nothing"),
        ("{}", "instances_val2017.json must hold annotations of a known kind"),
        ('{"images": [], "annotations": [], "categories": []}', "must list images, but its `images` is empty: give"),
        ('{"filename": "a", "detection": {}}\n{"filename"', "instances_val2017.json must be a JSON file"),
        (
            '{"filename": "a", "height": 1, "width": 1, "detection": {}}',
            "Line 1 of .*`detection` must have `instances`",
        ),
    ],
)
def test_files_of_no_known_kind(coco, content, said):
    with pytest.raises(ValueError, match=said):
        read_dataset(write(coco[0], content))


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_lines_of_nothing_are_refused(tmp_path, content):
    """Also where they are the sidecar of a composed data set, or what another data set is compared with."""
    path = tmp_path / "odvg.jsonl"
    path.write_text(content)
    for read in (read_dataset, read_annotations):
        with pytest.raises(ValueError, match=r"odvg\.jsonl must be .*: the file is empty\. Give another file\."):
            read(path)
    with pytest.raises(ValueError, match=r"odvg\.jsonl must be .*: the file is empty\. Give another file\."):
        write_report(path, tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(("content", "said"), [("", "the file is empty"), ("[]", "holds nothing"), ("[5]", "does not")])
def test_faulty_sidecar(composed, tmp_path, content, said):
    shutil.copytree(composed.out, tmp_path / "out")
    (tmp_path / "out/annotations/objects.jsonl").write_text(content)
    with pytest.raises(ValueError, match=rf"objects\.jsonl must .*{said}"):
        read_dataset(tmp_path / "out")


def test_no_data_set(tmp_path, coco):
    folder, content = coco
    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"other must be a data set .* but holds nothing"):
        read_dataset(tmp_path / "other")
    write(folder, content)
    write(folder, content, "instances_train2017.json")
    with pytest.raises(
        ValueError, match=r"several annotation files .*instances_train2017.json, instances_val2017.json"
    ):
        read_dataset(folder)


def test_sidecar_of_another_data_set(composed, tmp_path):
    shutil.copytree(composed.out, tmp_path / "out")
    lines = composed.lines("annotations/objects.jsonl")
    lines[3]["objects"].pop()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "out" / "annotations" / "objects.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"objects.jsonl must describe the same objects .* 00000003.jpg"):
        read_dataset(tmp_path / "out")
