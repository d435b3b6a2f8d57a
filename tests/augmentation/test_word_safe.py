"""WordSafeTransform: images are left alone where their words would become false, and transformed where not."""

import pickle

import numpy as np
import pytest

pytest.importorskip("mmcv")
from mmengine.registry import TRANSFORMS, DefaultScope

import sos_mm.augmentation  # noqa: F401
from sos_mm.engine.hooks import drawing_parts
from sos_mm.engine.randomness import DrawsFromRun

FLIP = dict(type="RandomFlip", prob=1.0)


def build(operation="mirror", transform=FLIP, **options):
    return TRANSFORMS.build(dict(type="WordSafeTransform", transform=transform, operation=operation, **options))


def sample(**words) -> dict:
    return {"img": np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3), "img_shape": (4, 6), **words}


def is_flipped(transform, given) -> bool:
    before = given["img"].copy()
    frozen = pickle.dumps(given)
    after = transform(dict(given))
    assert pickle.dumps(given) == frozen
    if (after["img"] == before).all():
        assert after.keys() == given.keys()
        return False
    np.testing.assert_array_equal(after["img"], before[:, ::-1])
    return True


def phrases(*each) -> dict:
    return {index: {"phrase": phrase, "tokens_positive": [[0, 3]]} for index, phrase in enumerate(each)}


@pytest.mark.parametrize(
    ("words", "flips"),
    [
        ({}, True),
        ({"text": "a dog on a lawn."}, True),
        ({"text": "the dog on the left"}, False),
        ({"text": "The Left dog"}, False),
        ({"text": ["a dog", "a cat"]}, True),
        ({"text": ["a dog", "the right cat"]}, False),
        ({"text": [["a dog"], ["the right cat"]]}, False),
        ({"text": "a dog", "phrases": phrases("a dog")}, True),
        ({"text": "a dog", "phrases": phrases("a dog", "the leftmost one")}, False),
        ({"text": "", "phrases": phrases(["a dog", "a right shoe"])}, False),
        ({"text": "a man with a sign"}, False),
        # Classes: text on them is annotated as it is, in any mirror; sides are not.
        ({"text": {"0": "stop sign", "1": "dog"}}, True),
        ({"text": {"0": "left shoe", "1": "dog"}}, False),
        ({"text": {"0": "left shoe", "1": "dog"}, "gt_bboxes_labels": np.array([1, 1])}, True),
        ({"text": {"0": "left shoe", "1": "dog"}, "gt_bboxes_labels": np.array([1, 0])}, False),
        ({"caption": "the dog on the left"}, True),
    ],
)
def test_mirroring_by_words(words, flips):
    assert is_flipped(build(), sample(**words)) == flips


def test_other_keys():
    assert not is_flipped(build(keys=("caption",)), sample(caption="the dog on the left"))
    assert is_flipped(build(keys=("caption",)), sample(text="the dog on the left"))


@pytest.mark.parametrize(
    ("operation", "text", "endangered"),
    [
        ("mirror", "an upright pole", False),
        ("rotate", "an upright pole", True),
        ("vertical_flip", "an upright pole", True),
        ("color", "a red pole", True),
        ("color", "a pole on the left", False),
        ("crop", "the pole in the middle", True),
        ("crop", "the left pole", True),
        ("crop", "a red pole", False),
        ("blur", "a pole in focus", True),
        (["mirror", "color"], "a red pole", True),
        (["mirror", "color"], "the left pole", True),
        (["mirror", "color"], "the middle pole", False),
    ],
)
def test_operations(operation, text, endangered):
    assert build(operation).is_endangered({"text": text}) == endangered


def test_positions_in_names_of_classes_are_none():
    assert not build("crop").is_endangered({"text": {"0": "side table", "1": "other shoes"}})
    assert build("crop").is_endangered({"text": "a side table beside other shoes"})


def test_what_is_done_otherwise():
    """A crop that includes a resize needs the resize all the same."""
    crop = [dict(type="Resize", scale=(12, 8)), dict(type="CenterCrop", crop_size=(4, 4))]
    transform = build("crop", crop, otherwise=dict(type="Resize", scale=(12, 8)))
    assert transform(sample(text="a dog"))["img"].shape == (4, 4, 3)
    assert transform(sample(text="the second dog"))["img"].shape == (8, 12, 3)


def test_inner_transforms_come_from_the_scope_of_the_config():
    @TRANSFORMS.register_module(name="RandomNothing")
    class Root:
        def __call__(self, results):
            return results

    from mmengine.registry import Registry

    child = Registry("transform", scope="made_scope", parent=TRANSFORMS)

    @child.register_module(name="RandomNothing")
    class Child(Root):
        pass

    config = dict(transform=dict(type="RandomNothing"), operation="mirror")
    try:
        assert type(TRANSFORMS.build(dict(type="WordSafeTransform", **config)).transforms[0]) is Root
        DefaultScope.get_instance("made", scope_name="made_scope")
        assert type(TRANSFORMS.build(dict(type="WordSafeTransform", **config)).transforms[0]) is Child
        DefaultScope._instance_dict.clear()
        built = TRANSFORMS.build(dict(type="WordSafeTransform", _scope_="made_scope", **config))
        assert type(built.transforms[0]) is Child
    finally:
        TRANSFORMS.module_dict.pop("RandomNothing")
        TRANSFORMS.children.pop("made_scope")


def test_draws_inside_are_found():
    class Drawer(DrawsFromRun):
        def __call__(self, results):
            return results

    transform = build("crop", transform=[FLIP], otherwise=FLIP)
    transform.transforms[0].transforms.append(drawer := Drawer())
    assert list(drawing_parts(transform)) == [drawer]


def test_bad_input():
    with pytest.raises(ValueError, match="Did you mean 'mirror'"):
        build("miror")
    assert "RandomFlip" in repr(build())
    assert pickle.loads(pickle.dumps(build())).operations == ("mirror",)


def test_expressions_of_place_are_safe():
    """What the grammar says of places and orders is neither mirrored nor cropped, whatever its wording."""
    from sos_mm.referring.phrasing import write
    from tests.referring.scenes import composed

    mirror, crop = (build(each).is_endangered for each in ("mirror", "crop"))
    sides, places = 0, 0
    for index in range(40):
        for each in write(composed("several categories", index), np.random.default_rng(index)):
            meaning = repr(each.meaning)
            if "'left" in meaning or "'right" in meaning:
                assert mirror({"text": each.text}), each
                sides += 1
            if each.kind in ("spatial", "mixed"):
                assert crop({"text": each.text}), each
                places += 1
    assert min(sides, places) > 80
