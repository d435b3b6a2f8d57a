"""LVIS v1: read and evaluated by its own package; what it says an image lacks is true."""

import json

import numpy as np
import pytest

from sos_mm.compat import restore_numpy_aliases
from sos_mm.formats.phrases import category_key
from sos_mm.synthesis import Recipe
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.writers import Categories, Entry, build_formats
from tests.helpers.composed import SEED, VOCABULARY, Composed, category_id, check_object, recipe_dict, xyxy


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


@pytest.fixture
def lvis():
    restore_numpy_aliases()
    return pytest.importorskip("lvis")


def test_lvis(composed, lvis):
    told = lvis.LVIS(composed.path("annotations/lvis_v1.json"))
    assert told.get_img_ids() == list(range(1, len(composed.scenes) + 1))
    for index, scene in enumerate(composed.scenes):
        image, annotations = told.imgs[index + 1], told.load_anns(told.get_ann_ids([index + 1]))
        assert (composed.out / image["coco_url"]).is_file()
        assert len(annotations) == len(scene.objects)
        for place, each in enumerate(annotations):
            check_object(scene, place, told.ann_to_mask(each), xyxy(each["bbox"]), each["area"])
            assert each["category_id"] == category_id(scene.objects[place].category)
    for each in told.load_cats(None):
        shown = [sum(category_id(place.category) == each["id"] for place in scene.objects) for scene in composed.scenes]
        assert (each["instance_count"], each["image_count"]) == (sum(shown), np.count_nonzero(shown))
        assert each["frequency"] == ("r" if each["image_count"] <= 10 else "c")
        assert set(each) >= {"synset", "synonyms", "def", "name"}


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_lvis_evaluates_itself(composed, lvis, kind):
    told = lvis.LVIS(composed.path("annotations/lvis_v1.json"))
    keys = ("image_id", "category_id", "segmentation" if kind == "segm" else "bbox")
    found = [{key: each[key] for key in keys} | {"score": 1.0} for each in told.dataset["annotations"]]
    evaluation = lvis.LVISEval(told, found, kind)
    evaluation.run()
    assert evaluation.get_results()["AP"] == pytest.approx(1)


def lvis_lists(composed) -> list[tuple[set, set, set, set]]:
    """Of each image: present and ignored categories, negatives, not-exhaustive ones."""
    return [
        (
            {category_id(each.category) for each in scene.objects},
            {category_id(each.category) for each in scene.ignored},
            set(image["neg_category_ids"]),
            set(image["not_exhaustive_category_ids"]),
        )
        for scene, image in zip(composed.scenes, composed.json("annotations/lvis_v1.json")["images"], strict=True)
    ]


def test_lvis_lists(composed):
    """Behind a gradient is nothing: all that the image does not show is negative, but for what shares a word."""
    apples = {VOCABULARY["apple"], VOCABULARY["red_apple"]}
    for present, ignored, negative, partial in lvis_lists(composed):
        known = present | ignored
        # "ring" and the cheese have words of their own; phrases only name what is there.
        assert negative == set(VOCABULARY.values()) - known - (apples if known & apples else set())
        assert partial == ignored & present


@pytest.mark.parametrize("behind", ["unknown", ["Unseen_thing", "apple"]])
def test_lvis_lists_behind_photographs(tmp_path, behind):
    listed = set() if behind == "unknown" else {VOCABULARY["unseen thing"], VOCABULARY["apple"]}
    composed = Composed(tmp_path, num=6, background_categories=behind, formats=["lvis"])
    for present, ignored, negative, partial in lvis_lists(composed):
        if behind == "unknown":
            assert (negative, partial) == (set(), present | ignored)
        else:
            assert not negative & (present | ignored | listed)
            assert partial == (present & listed) | ignored
    assert behind == "unknown" or any(negative for _, _, negative, _ in lvis_lists(composed))


def test_background_categories_by_default(tmp_path, photos):
    kinds = {
        "unknown": [{"type": "folder", "root": str(photos)}],
        "none": [{"type": "plain"}, {"type": "gradient"}, {"type": "texture"}],
    }
    for expected, backgrounds in kinds.items():
        for each in backgrounds:
            maker = ShardMaker(Recipe.from_dict(recipe_dict(tmp_path, backgrounds=each)), 0)
            assert maker.background_ids == (None if expected == "unknown" else frozenset())
    with pytest.raises(ValueError, match=r"names of the vocabulary, but got 'aple'\. Did you mean 'apple'"):
        ShardMaker(Recipe.from_dict(recipe_dict(tmp_path, background_categories=["aple"])), 0)
    with pytest.raises(ValueError, match="'unknown' or a list"):
        Recipe.from_dict(recipe_dict(tmp_path, background_categories="apple"))


def test_lvis_negatives_are_drawn(composed):
    """As many as asked for, each category as often as any other, the same for the same image."""
    names = [f"n{number}" for number in range(1, 41)]
    vocabulary = {category_key(name): id for name, id in VOCABULARY.items()} | {
        name: 1000 + number for number, name in enumerate(names)
    }
    categories = Categories.of([each.category for each in composed.scenes[0].objects], vocabulary)
    format = build_formats([{"type": "lvis", "negatives": 5}])[0]
    drawn = np.zeros(40, int)
    for index in range(800):
        entry = Entry(composed.scenes[0], index, SEED, ".jpg", categories, frozenset({1000}))
        image = format.encode(entry).records["annotations/lvis_v1.json", "images"][0]
        assert image["neg_category_ids"] == sorted(set(image["neg_category_ids"]))
        assert len(image["neg_category_ids"]) == 5
        drawn[[id - 1000 for id in image["neg_category_ids"] if id >= 1000]] += 1
    assert drawn[0] == 0
    # 800 x 5 draws over the 39 others and those of VOCABULARY that are free: about 96 each, deviation 10.
    assert 50 < drawn[1:].min() <= drawn[1:].max() < 145
    assert (
        build_formats([{"type": "lvis", "negatives": 0}])[0]
        .encode(entry)
        .records["annotations/lvis_v1.json", "images"][0]["neg_category_ids"]
        == []
    )


def test_lvis_categories_of_its_file(tmp_path):
    """What LVIS says of its categories is handed on; counts are the data set's own."""
    entries = [
        {"id": id, "name": name, "frequency": "f", "synset": f"s{id}.n.01", "synonyms": [name, "x"], "def": "a thing"}
        | {"image_count": 1234, "instance_count": 5678}
        for name, id in VOCABULARY.items()
    ]
    (tmp_path / "lvis.json").write_text(json.dumps({"categories": entries}))
    composed = Composed(tmp_path, num=2, vocabulary=str(tmp_path / "lvis.json"), formats=["lvis", "coco"])
    for each in composed.json("annotations/lvis_v1.json")["categories"]:
        assert (each["frequency"], each["synset"], each["synonyms"][1]) == ("f", f"s{each['id']}.n.01", "x")
        assert each["image_count"] <= 2
    assert {
        each["name"]: each["id"] for each in composed.json("annotations/instances.json")["categories"]
    } == VOCABULARY
