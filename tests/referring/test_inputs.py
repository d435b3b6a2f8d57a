"""Annotated images read from every format: what is an instance, what is ignored, and what is known to be complete."""

import json

import cv2
import numpy as np
import pytest

from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.panoptic import encode_map
from sos_mm.referring.reading import AnnotatedImages
from tests.helpers.composed import Composed, tight_box

CATEGORIES = [{"id": 3, "name": "cup"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "猫"}, {"id": 11, "name": "sky"}]
IMAGE = {"id": 1, "file_name": "1.jpg", "height": 40, "width": 60}


def annotation(id, category, box, **more):
    x, y, w, h = box
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return {
        "id": id,
        "image_id": 1,
        "category_id": category,
        "bbox": box,
        "segmentation": outline,
        "iscrowd": 0,
        **more,
    }


def coco(annotations, image=IMAGE, **more):
    return {"images": [image], "annotations": annotations, "categories": CATEGORIES, **more}


@pytest.fixture
def save(tmp_path):
    """Writes a file and gives its path; the image lies beside it."""
    cv2.imwrite(str(tmp_path / "1.jpg"), np.full((40, 60, 3), 90, np.uint8))

    def write(content, name="instances.json"):
        if name.endswith(".jsonl"):
            write_json_lines(tmp_path / name, content)
        else:
            write_json_lists(tmp_path / name, content)
        return tmp_path / name

    return write


def only(path, **options):
    (image,) = AnnotatedImages(path, **options)
    return image


def test_coco_is_exhaustive_but_for_crowds(save):
    path = save(
        coco(
            [
                annotation(5, 3, [2, 3, 10, 8]),
                annotation(6, 7, [20, 3, 10, 8], iscrowd=1, segmentation={"size": [40, 60], "counts": [0, 2400]}),
                annotation(7, 7, [30, 3, 10, 8], ignore=1),
                annotation(8, 9, [55, 30, 20, 20]),
            ]
        )
    )
    image = only(path, pixels=True)
    assert [(each.id, each.category, each.box) for each in image.instances] == [
        (5, "cup", (2, 3, 12, 11)),
        (8, "猫", (55, 30, 60, 40)),
    ]
    assert [(each.id, each.category) for each in image.ignored] == [(6, "dog"), (7, "dog")]
    assert image.complete == {"cup", "dog", "猫", "sky"}
    first = image.instances[0]
    assert first.offset == (2, 3)
    assert first.mask.shape == (8, 10)
    assert first.mask.all()
    assert image.image.shape == (40, 60, 3)
    assert (image.file_name, image.image_id) == ("1.jpg", 1)


def test_lvis_is_federated(save):
    """Complete are the categories of annotations that are exhaustive, and those that are known to be absent."""
    marks = {"neg_category_ids": [9], "not_exhaustive_category_ids": [7]}
    image = {**IMAGE, **marks, "coco_url": "http://images.cocodataset.org/val2017/1.jpg"}
    image.pop("file_name")
    path = save(coco([annotation(5, 3, [2, 3, 10, 8]), annotation(6, 7, [20, 3, 10, 8])], image), "lvis_v1.json")
    found = only(path)
    assert found.complete == {"cup", "猫"}
    assert found.file_name == "val2017/1.jpg"
    assert only(path, complete="all").complete == {"cup", "dog", "猫", "sky"}


def test_panoptic_stuff_is_no_instance(save, tmp_path):
    ids = np.zeros((40, 60), np.int32)
    ids[3:11, 2:12] = 300
    ids[20:30, 20:40] = 2
    ids[30:] = 4
    (tmp_path / "panoptic").mkdir()
    (tmp_path / "panoptic/1.png").write_bytes(encode_map(ids))
    segments = [
        {"id": 300, "category_id": 3, "bbox": [2, 3, 10, 8], "area": 80, "iscrowd": 0, "phrase": "a red cup"},
        {"id": 2, "category_id": 7, "bbox": [20, 20, 20, 10], "area": 200, "iscrowd": 1},
        {"id": 4, "category_id": 11, "bbox": [0, 30, 60, 10], "area": 600, "iscrowd": 0},
    ]
    categories = [{**each, "isthing": int(each["name"] != "sky")} for each in CATEGORIES]
    content = {"images": [IMAGE], "categories": categories}
    content["annotations"] = [{"image_id": 1, "file_name": "1.png", "segments_info": segments}]
    path = save(content, "panoptic.json")
    image = only(path)
    assert [(each.id, each.category, each.phrase) for each in image.instances] == [(300, "cup", "a red cup")]
    assert image.instances[0].mask.sum() == 80
    assert [each.category for each in image.ignored] == ["dog"]
    assert image.complete == {"cup", "dog", "猫"}
    assert only(path, masks=False).instances[0].mask is None


def test_odvg_has_boxes_alone(save, tmp_path):
    line = {"filename": "1.jpg", "height": 40, "width": 60}
    instances = [{"bbox": [1, 2, 11, 12], "label": 1, "category": "dog"}, {"bbox": [1, 2, 1.5, 12], "label": 0}]
    (tmp_path / "map.json").write_text('{"0": "cup", "1": "dog"}')
    path = save([line | {"detection": {"instances": instances}}], "odvg_detection.jsonl")
    image = only(path, label_map=tmp_path / "map.json", pixels=True)
    assert [(each.category, each.box, each.mask) for each in image.instances] == [("dog", (1, 2, 11, 12), None)]
    assert [each.category for each in image.ignored] == ["cup"]
    assert image.complete == {"cup", "dog"}
    regions = [{"bbox": [[1, 2, 11, 12], [20, 2, 31, 12]], "phrase": "two dogs", "tokens_positive": [[0, 8]]}]
    regions.append({"bbox": [40, 2, 50, 12], "phrase": ["a", "cup"], "tokens_positive": [[9, 10], [11, 14]]})
    path = save([line | {"grounding": {"caption": "two dogs a cup", "regions": regions}}], "grounding.jsonl")
    image = only(path)
    assert [each.category for each in image.instances] == ["two dogs", "two dogs", "a, cup"]
    assert image.complete == frozenset()


def test_objects_at_the_border_may_be_cut_off(save, tmp_path):
    """In every format without their own word on it: the size of such objects is less certain."""
    boxes = [[0, 3, 10, 8], [20, 3, 10, 8], [49.5, 20, 10, 19.5]]
    expected = [True, False, True]
    listed = [annotation(number, 3, box) for number, box in enumerate(boxes, 1)]
    corners = [[x, y, x + width, y + height] for x, y, width, height in boxes]
    ids = np.zeros((40, 60), np.int32)
    for number, (x0, y0, x1, y1) in enumerate(np.array(corners).round().astype(int), 1):
        ids[y0:y1, x0:x1] = number
    (tmp_path / "panoptic").mkdir()
    (tmp_path / "panoptic/1.png").write_bytes(encode_map(ids))
    segments = [{"id": each["id"], "category_id": 3, "bbox": each["bbox"], "iscrowd": 0} for each in listed]
    panoptic = {"images": [IMAGE], "categories": [{**each, "isthing": 1} for each in CATEGORIES]}
    panoptic["annotations"] = [{"image_id": 1, "file_name": "1.png", "segments_info": segments}]
    line = {"filename": "1.jpg", "height": 40, "width": 60}
    instances = [{"bbox": box, "label": 0, "category": "cup"} for box in corners]
    region = {"bbox": corners, "phrase": "three cups", "tokens_positive": [[0, 10]]}
    files = [
        save(coco(listed)),
        save(coco(listed, {**IMAGE, "neg_category_ids": [], "not_exhaustive_category_ids": []}), "lvis_v1.json"),
        save(panoptic, "panoptic.json"),
        save([line | {"detection": {"instances": instances}}], "odvg_detection.jsonl"),
        save([line | {"grounding": {"caption": "three cups", "regions": [region]}}], "grounding.jsonl"),
    ]
    for path in files:
        assert [each.truncated for each in only(path).instances] == expected, path.name


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    formats = ["coco", "objects", "odvg", "panoptic", "lvis"]
    return Composed(tmp_path_factory.mktemp("composed"), formats=formats)


def test_composed_scenes_come_back(composed):
    images = list(AnnotatedImages(composed.out, pixels=True))
    assert len(images) == len(composed.scenes)
    for image, scene in zip(images, composed.scenes, strict=True):
        assert (image.height, image.width) == scene.size
        for index, (instance, truth) in enumerate(zip(image.instances, scene.objects, strict=True)):
            mask = np.zeros(scene.size, bool)
            x, y = instance.offset
            mask[y : y + instance.mask.shape[0], x : x + instance.mask.shape[1]] = instance.mask
            np.testing.assert_array_equal(mask, scene.modal_mask(index))
            assert list(instance.box) == tight_box(mask)
            told = instance.z_order, instance.phrase, instance.attributes, instance.visible_share, instance.depth
            depth = truth.placement.depth
            assert told == (truth.z_order, truth.phrase, truth.attributes, truth.visible_share, depth)
        assert len(image.ignored) == len(scene.ignored)
        # Backgrounds are made of numbers: nothing of any name is in them.
        assert {"ring", "apple", "object"} <= image.complete


def test_ids_are_those_of_the_coco_file(composed):
    by_sidecar, by_coco = (
        AnnotatedImages(composed.out / "annotations" / name) for name in ("objects.jsonl", "instances.json")
    )
    for one, other in zip(by_sidecar, by_coco, strict=True):
        assert [each.id for each in one.instances] == [each.id for each in other.instances]
        assert [each.box for each in one.instances] == [each.box for each in other.instances]


@pytest.mark.parametrize("name", ["objects.jsonl", "instances.json", "panoptic.json", "odvg_detection.jsonl"])
def test_unknown_backgrounds_leave_nothing_complete(composed, tmp_path, name):
    out = tmp_path / "out"
    (out / "annotations").mkdir(parents=True)
    for each in (name, "objects.jsonl"):
        (out / "annotations" / each).write_bytes((composed.out / "annotations" / each).read_bytes())
    manifest = composed.json("manifest.json")
    manifest["recipe"]["backgrounds"] = {"type": "folder", "root": "photographs"}
    for shown, complete in ((None, set()), (["ring", "apple"], {"bat (animal)", "red apple"})):
        manifest["recipe"]["background_categories"] = shown
        (out / "manifest.json").write_text(json.dumps(manifest))
        image = next(iter(AnnotatedImages(out / "annotations" / name, masks=False)))
        found = {each.replace("_", " ") for each in image.complete}
        assert {each for each in found if each in ("bat (animal)", "red apple", "ring", "apple", "object")} == complete


@pytest.mark.parametrize("number", [0, 1, 200])
def test_any_number_of_objects(save, number):
    found = [annotation(id, 3, [id % 50, id // 10, 6, 6]) for id in range(1, number + 1)]
    assert len(only(save(coco(found))).instances) == number


# What is wrong -> a change of a sound file, and what the error names.
FAULTS = {
    "no such category": (
        lambda c: c["annotations"][0].update(category_id=99),
        r"Annotation 5 of .*instances\.json.*99",
    ),
    "no such image": (lambda c: c["annotations"][0].update(image_id=2), r"Annotation 5 of .* of the image 2"),
    "box of text": (lambda c: c["annotations"][0].update(bbox="wide"), r"Annotation 5 of .*`bbox`"),
    "box that is not finite": (lambda c: c["annotations"][0].update(bbox=[0, 0, 1e999, 1]), "Annotation 5 of .*`bbox`"),
    "no box": (lambda c: c["annotations"][0].pop("bbox"), "Annotation 5 of .*`bbox`"),
    "outline of two points": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]),
        "Annotation 5 of .*polygons or run lengths",
    ),
    "no size": (lambda c: c["images"][0].pop("width"), "Image 1 of .*`width`"),
    "size of a petabyte": (lambda c: c["images"][0].update(width=2**40), "Image 1 of .*`width`"),
    "way out of the folder": (lambda c: c["images"][0].update(file_name="../1.jpg"), "Image 1 of .*below the folder"),
    "no name of a category": (lambda c: c["categories"][0].pop("name"), "`name`"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_file_and_record(save, fault):
    content = json.loads(json.dumps(coco([annotation(5, 3, [2, 3, 10, 8]), annotation(6, 7, [20, 3, 10, 8])])))
    change, said = FAULTS[fault]
    change(content)
    path = save(content)
    with pytest.raises(ValueError, match=said):
        list(AnnotatedImages(path))


def test_a_broken_image_is_left_out_whole(save):
    """What is missing of it might be what an expression means too."""
    second = {**IMAGE, "id": 2}
    content = coco(
        [annotation(5, 99, [2, 3, 10, 8]), annotation(6, 7, [20, 3, 10, 8]), annotation(7, 7, [1, 1, 9, 9], image_id=2)]
    )
    content["images"].append(second)
    images = AnnotatedImages(save(content), broken="skip")
    assert [(index, image.image_id) for index, image in images.numbered()] == [(1, 2)]
    assert len(images.faults.texts) == 1
    assert [index for index, _ in images.numbered(start=1)] == [1]
    assert len(images) == 2


def test_specks_are_ignored_and_what_is_outside_is_not_there(save):
    found = [annotation(5, 3, [2, 3, 0, 0]), annotation(6, 7, [100, 100, 5, 5]), annotation(7, 7, [59.8, 39.9, 5, 5])]
    image = only(save(coco(found)))
    assert image.instances == ()
    assert [each.id for each in image.ignored] == [5, 7]
    for each in image.ignored:
        x0, y0, x1, y1 = each.box
        assert 0 <= x0 < x1 <= 60
        assert 0 <= y0 < y1 <= 40


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("{}", "known kind"),
        ("[1, 2]", "known kind"),
        ('{"filename": "1.jpg", "height": 4, "width": 4}\n', "known kind"),
        ('{"images": [', "cut short"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "`name`"),
        ('{"index": 0, "file_name": "1.jpg", "canvas": [4], "objects": []}\n', "line 1: the line .*height and a width"),
        (
            '{"index": 0, "file_name": "1.jpg", "canvas": [4, 4], "objects": [{"category": "a", "box": [0, 0, 2]}]}\n',
            "line 1: `objects` 0 .*`box`",
        ),
    ],
)
def test_files_of_no_known_kind(tmp_path, content, said):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        list(AnnotatedImages(tmp_path / "file.json"))


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        AnnotatedImages(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no annotation file"):
        AnnotatedImages(tmp_path)


def test_pixels_of_another_size(save, tmp_path):
    cv2.imwrite(str(tmp_path / "1.jpg"), np.zeros((60, 40, 3), np.uint8))
    path = save(coco([annotation(5, 3, [2, 3, 10, 8])]))
    assert only(path).image is None
    with pytest.raises(ValueError, match=r"1\.jpg must have the 40 x 60 pixels .*, but has 60 x 40"):
        only(path, pixels=True)
