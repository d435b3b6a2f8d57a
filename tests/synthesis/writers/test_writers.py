"""Formats of data sets, each read by the tool that it is for; what is read equals the scenes, pixel by pixel."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos_mm.composition import Layout, Placement, compose
from sos_mm.formats.panoptic import ids_to_rgb
from sos_mm.formats.phrases import category_phrase, clean_phrase
from sos_mm.formats.png import encode_png
from sos_mm.segments.segment import OPAQUE
from sos_mm.synthesis import Recipe, synthesize
from sos_mm.synthesis.writers import Categories, Entry, build_formats
from tests.composition.test_scenes import random_scene
from tests.conftest import make_segment
from tests.helpers.composed import SEED, VOCABULARY, Composed, category_id, check_object, recipe_dict, tight_box, xyxy

WALL = max(VOCABULARY.values()) + 1


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    made = Composed(tmp_path_factory.mktemp("composed"))
    # What the tests below are about must be there.
    assert sum(len(scene.ignored) for scene in made.scenes) > 3
    assert any(len(scene.objects) > len({each.phrase for each in scene.objects}) for scene in made.scenes)
    return made


@pytest.fixture(scope="module")
def mask_tools():
    return pytest.importorskip("pycocotools.mask")


def test_coco(composed, mask_tools):
    from pycocotools.coco import COCO

    coco = COCO(composed.path("annotations/instances.json"))
    assert coco.getImgIds() == list(range(1, len(composed.scenes) + 1))
    assert {each["name"]: each["id"] for each in coco.loadCats(coco.getCatIds())} == VOCABULARY
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
    for index, scene in enumerate(composed.scenes):
        image = coco.imgs[index + 1]
        pixels = cv2.imread(composed.path(f"images/{image['file_name']}"))
        assert pixels.shape[:2] == (image["height"], image["width"]) == scene.size
        objects = coco.loadAnns(coco.getAnnIds(index + 1, iscrowd=False))
        assert len(objects) == len(scene.objects)
        for place, each in enumerate(objects):
            check_object(scene, place, coco.annToMask(each), xyxy(each["bbox"]), each["area"])
            assert each["category_id"] == category_id(scene.objects[place].category)
        crowds = coco.loadAnns(coco.getAnnIds(index + 1, iscrowd=True))
        assert [each["category_id"] for each in crowds] == [category_id(each.category) for each in scene.ignored]
        for region, each in zip(scene.ignored, crowds, strict=True):
            x0, y0, x1, y1 = region.box
            mask = coco.annToMask(each).astype(bool)
            np.testing.assert_array_equal(mask[y0:y1, x0:x1], region.mask)
            assert mask.sum() == region.mask.sum() == each["area"]
            assert xyxy(each["bbox"]) == tight_box(mask)


def test_coco_evaluates_itself(composed, mask_tools, capsys):
    """Annotations as their own predictions are perfect, and predictions on crowds are neither hit nor miss."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(composed.path("annotations/instances.json"))
    keys = ("image_id", "category_id", "segmentation")
    found = coco.loadRes([{key: each[key] for key in keys} | {"score": 0.5} for each in coco.anns.values()])
    evaluation = COCOeval(coco, found, "segm")
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_supercategories():
    coco = Categories.of(["dog", "toothbrush"], "coco").details
    known = {1: "person", 9: "vehicle", 10: "outdoor", 25: "animal", 33: "accessory", 34: "sports", 51: "kitchen"}
    known |= {61: "food", 62: "furniture", 77: "electronic", 82: "appliance", 84: "indoor", 90: "indoor"}
    assert {id: coco[id]["supercategory"] for id in known} == known


@pytest.mark.parametrize("background", [None, "Wand"])
def test_panoptic(composed, tmp_path, background):
    """What panopticapi asks of a file: the same ids in image and list, equal areas, and tight boxes."""
    if background is None:
        composed = Composed(tmp_path, num=4, formats=["panoptic"])
    told = composed.json("annotations/panoptic.json")
    names = {each["id"]: each["name"] for each in told["categories"]}
    things = [each["id"] for each in told["categories"] if each["isthing"]]
    assert things == sorted(VOCABULARY.values())
    assert {id: name for id, name in names.items() if id not in things} == ({WALL: "Wand"} if background else {})
    assert len(told["images"]) == len(told["annotations"]) == len(composed.scenes)
    for scene, image, annotation in zip(composed.scenes, told["images"], told["annotations"], strict=True):
        assert image["id"] == annotation["image_id"]
        png = cv2.imread(composed.path(f"panoptic/{annotation['file_name']}"), cv2.IMREAD_UNCHANGED)
        assert png.dtype == np.uint8
        ids = png[..., ::-1].astype(np.uint32) @ (1, 256, 65536)
        segments = {each["id"]: each for each in annotation["segments_info"]}
        assert len(segments) == len(annotation["segments_info"])
        assert set(np.unique(ids)) - {0} == set(segments)
        for id, each in segments.items():
            assert (ids == id).sum() == each["area"]
            assert tight_box(ids == id) == xyxy(each["bbox"])
            assert each["iscrowd"] == 0
        for place, each in enumerate(scene.objects):
            segment = segments.pop(place + 1)
            np.testing.assert_array_equal(ids == place + 1, scene.modal_mask(place))
            assert segment["category_id"] == category_id(each.category)
        assert [each["category_id"] for each in segments.values()] == ([WALL] if background else [])
        ignored = np.zeros(scene.size, bool)
        for region in scene.ignored:
            x0, y0, x1, y1 = region.box
            ignored[y0:y1, x0:x1] |= region.mask
        np.testing.assert_array_equal(ids == 0, ignored if background else scene.owner == 0)


@pytest.mark.parametrize("number", [253, 254, 255, 256])
@pytest.mark.parametrize("background", [None, "wall"])
def test_panoptic_of_hundreds_of_objects(number, background):
    """Up to 254 objects and a background fit into 8 bits; more ids need the second channel."""
    dot = make_segment(np.random.default_rng(0), 8, 8)
    boxes = [(10 * x, 10 * y, 10 * x + 8, 10 * y + 8) for x in range(16) for y in range(16)][:number]
    layout = Layout((170, 170), tuple(Placement(0, box) for box in boxes))
    scene = compose(np.zeros((170, 170, 3), np.uint8), layout, [dot], min_area=1)
    entry = Entry(scene, 0, 0, ".jpg", Categories({1: "ball"}, {"ball": 1}))
    encoded = build_formats([{"type": "panoptic", "background": background}])[0].encode(entry)
    (content,), records = encoded.files.values(), encoded.records["annotations/panoptic.json", "annotations"]
    ids = np.array(PIL.Image.open(io.BytesIO(content)), np.int64) @ (1, 256, 65536)
    expected = np.full((170, 170), number + 1 if background else 0)
    for index in range(number):
        expected[scene.modal_mask(index)] = index + 1
    assert len(scene.objects) == number
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(scene.owner, expected if background is None else expected % (number + 1))
    (record,) = records
    assert [each["id"] for each in record["segments_info"]] == list(range(1, expected.max() + 1))
    assert [each["area"] for each in record["segments_info"]] == np.bincount(expected.ravel())[1:].tolist()


def test_panoptic_backgrounds(tmp_path):
    """One of the vocabulary keeps its id and comes last; one of the segments' is an error."""
    in_vocabulary = Composed(tmp_path, num=1, formats=[{"type": "panoptic", "background": "Unseen_Thing"}])
    last = in_vocabulary.json("annotations/panoptic.json")["categories"][-1]
    assert (last["id"], last["isthing"]) == (VOCABULARY["unseen thing"], 0)
    taken = Recipe.from_dict(recipe_dict(tmp_path, formats=[{"type": "panoptic", "background": "Ring"}]))
    with pytest.raises(ValueError, match="`background` must be a category that no segment has, but 'Ring'"):
        synthesize(taken, tmp_path / "taken", 1, progress=False)
    with pytest.raises(ValueError, match="`background` must be the name"):
        build_formats([{"type": "panoptic", "background": ""}])


def test_panoptic_ids_have_24_bits():
    ids = np.array([[0, 1, 255], [256, 65536, 2**24 - 1]], np.int32)
    rgb = [[[0, 0, 0], [1, 0, 0], [255, 0, 0]], [[0, 1, 0], [0, 0, 1], [255, 255, 255]]]
    np.testing.assert_array_equal(ids_to_rgb(ids), rgb)


def test_odvg(composed):
    label_map = composed.json("annotations/odvg_label_map.json")
    assert list(label_map) == [str(label) for label in range(len(VOCABULARY))]
    assert list(label_map.values()) == sorted(VOCABULARY, key=VOCABULARY.get)
    detection, grounding = (composed.lines(f"annotations/odvg_{kind}.jsonl") for kind in ("detection", "grounding"))
    for scene, detected, grounded in zip(composed.scenes, detection, grounding, strict=True):
        boxes = [tight_box(scene.modal_mask(index)) for index in range(len(scene.objects))]
        instances = detected["detection"]["instances"]
        assert [each["bbox"] for each in instances] == boxes
        assert [VOCABULARY[each["category"]] for each in instances] == [category_id(e.category) for e in scene.objects]
        assert [label_map[str(each["label"])] for each in instances] == [each["category"] for each in instances]
        caption, regions = grounded["grounding"]["caption"], grounded["grounding"]["regions"]
        expected = {}
        for each, box in zip(scene.objects, boxes, strict=True):
            phrase = clean_phrase(each.phrase) or category_phrase(category_name(each.category))
            expected.setdefault(phrase.lower(), []).append(box)
        told = {}
        for region in regions:
            ((start, end),) = region["tokens_positive"]
            assert caption[start:end] == region["phrase"]
            assert caption.lower()[start:end] == region["phrase"].lower()
            box = region["bbox"]
            told[region["phrase"].lower()] = box if isinstance(box[0], list) else [box]
        assert told == expected
        assert len(regions) == len(expected)
        # Nothing but the phrases and their separators is in the caption.
        assert caption == ". ".join(region["phrase"] for region in regions) + "."


def test_odvg_order_is_drawn(composed):
    """Phrases come in another order than their objects, which layouts place large ones first."""
    firsts = 0
    for scene, line in zip(composed.scenes, composed.lines("annotations/odvg_grounding.jsonl"), strict=True):
        first = line["grounding"]["regions"][0]["bbox"]
        firsts += list(scene.objects[0].box) in (first if isinstance(first[0], list) else [first])
    assert firsts < len(composed.scenes)


def category_name(category: str) -> str:
    return {id: name for name, id in VOCABULARY.items()}[category_id(category)]


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("a red apple. ", "a red apple"),
        ("  a\n red\tapple", "a red apple"),
        ("ca. 3.5 kg of St. Nectaire", "ca. 3.5 kg of St. Nectaire"),
        ("...", ""),
        ("İ", "i̇"),
    ],
)
def test_clean_phrase(phrase, expected):
    assert clean_phrase(phrase) == expected
    assert len(expected.lower()) == len(expected)


@pytest.mark.parametrize(
    ("name", "expected"), [("bat_(animal)", "bat"), ("wine_bottle", "wine bottle"), ("(x)", "(x)")]
)
def test_category_phrase(name, expected):
    assert category_phrase(name) == expected


def test_objects(composed, mask_tools):
    lines = composed.lines("annotations/objects.jsonl")
    for index, (scene, line) in enumerate(zip(composed.scenes, lines, strict=True)):
        assert (line["index"], line["seed"], tuple(line["canvas"]), line["light"]) == (index, SEED, scene.size, None)
        assert len(line["objects"]) == len(scene.objects)
        for place, (each, told) in enumerate(zip(scene.objects, line["objects"], strict=True)):
            check_object(scene, place, mask_tools.decode(told["modal"]), told["box"], told["area"])
            amodal, truth = mask_tools.decode(told["amodal"]).astype(bool), scene.amodal_mask(place)
            np.testing.assert_array_equal(amodal, truth)
            assert not np.any(scene.modal_mask(place) & ~amodal)
            assert (told["amodal_box"], told["amodal_area"]) == (tight_box(truth), truth.sum())
            assert told["visible_share"] == told["area"] / told["amodal_area"]
            assert told["z_order"] == place
            for name in ("segment_id", "category", "sub_category", "phrase", "description", "truncation"):
                assert told[name] == getattr(each, name)
            assert tuple(told["attributes"]) == each.attributes
            assert (
                type(each.placement)(**told["placement"] | {"box": tuple(told["placement"]["box"])}) == each.placement
            )
        assert [each["segment_id"] for each in line["ignored"]] == [each.segment_id for each in scene.ignored]


def test_objects_with_light_and_without_masks(tmp_path):
    formats = [{"type": "objects", "masks": False}]
    composed = Composed(tmp_path, num=2, formats=formats, effects="default")
    for scene, line in zip(composed.scenes, composed.lines("annotations/objects.jsonl"), strict=True):
        assert (line["light"]["azimuth"], line["light"]["elevation"]) == (scene.light.azimuth, scene.light.elevation)
        assert not {"modal", "amodal"} & set(line["objects"][0])
    with pytest.raises(ValueError, match="`masks`"):
        build_formats([{"type": "objects", "masks": 1}])


def test_saliency(composed):
    for index, scene in enumerate(composed.scenes):
        mask = cv2.imread(composed.path(f"masks/{index:08d}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask > 0, np.any([scene.modal_mask(i) for i in range(len(scene.objects))], 0))


def test_images_are_there_and_nothing_else(composed):
    suffixes = {"images": ".jpg", "labels": ".txt", "masks": ".png", "panoptic": ".png"}
    for folder, suffix in suffixes.items():
        names = sorted(path.name for path in (composed.out / folder).iterdir())
        assert names == [f"{index:08d}{suffix}" for index in range(len(composed.scenes))]
    # Complete, also by the check that a second run makes.
    assert synthesize(composed.recipe, composed.out, 12, seed=SEED, shard_size=5, progress=False).made == 0


def test_category_not_in_the_vocabulary(tmp_path):
    recipe = Recipe.from_dict(
        recipe_dict(tmp_path, vocabulary=["ring", "apples", "red apple", "käse №5", "bat (animal)"])
    )
    with pytest.raises(ValueError, match=r"'apple', but the vocabulary has no such category\. The nearest"):
        synthesize(recipe, tmp_path / "out", 1, progress=False)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**31), min_visible_share=st.floats(0, 1))
def test_any_scene(mask_tools, seed, min_visible_share):
    """Whatever overlaps, whatever the border cuts: every mask decodes to its pixels, boxes and areas are exact."""
    *_, scene = random_scene(seed, min_visible_share=min_visible_share, keep_ignored=True)
    entry = Entry(scene, 0, 0, ".jpg", Categories.of(["ball"]))
    coco, objects, panoptic = (each.encode(entry) for each in build_formats(["coco", "objects", "panoptic"]))
    annotations = coco.records["annotations/instances.json", "annotations"]
    lines = objects.records["annotations/objects.jsonl", ""][0]["objects"]
    segments = panoptic.records["annotations/panoptic.json", "annotations"][0]["segments_info"]
    assert len(annotations) == len(scene.objects) + len(scene.ignored)
    assert len(lines) == len(segments) == len(scene.objects)
    for index, (told, line, segment) in enumerate(zip(annotations[: len(lines)], lines, segments, strict=True)):
        check_object(scene, index, mask_tools.decode(told["segmentation"]), xyxy(told["bbox"]), told["area"])
        assert (
            (line["box"], line["area"])
            == (xyxy(segment["bbox"]), segment["area"])
            == (xyxy(told["bbox"]), told["area"])
        )
        amodal = mask_tools.decode(line["amodal"]).astype(bool)
        np.testing.assert_array_equal(amodal, scene.amodal_mask(index))
        assert (line["amodal_box"], line["amodal_area"]) == (tight_box(amodal), amodal.sum())
        assert not np.any(scene.modal_mask(index) & ~amodal)


def test_modal_masks_are_not_what_is_opaque(composed):
    """The truth that the tests above compare with differs between the two masks, or they would prove little."""
    hidden = sum(
        np.count_nonzero(scene.amodal_mask(index) & ~scene.modal_mask(index))
        for scene in composed.scenes
        for index in range(len(scene.objects))
    )
    assert hidden > 1000
    assert all(np.any(each.alpha < OPAQUE) for scene in composed.scenes for each in scene.objects)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_png_files_hold_the_pixels(seed, height, width, grey):
    """As OpenCV and Pillow read them."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if grey else (height, width, 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8) * (rng.random(shape) < rng.random())
    content = encode_png(pixels.astype(np.uint8))
    opened = np.array(PIL.Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(opened, pixels)
    read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read if grey else read[..., ::-1], pixels)


def test_png_of_other_arrays_is_refused():
    for pixels in (np.zeros((4, 4), np.int32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="`pixels` must be uint8"):
            encode_png(pixels)
