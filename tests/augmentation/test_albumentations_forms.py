"""`SegmentPasteForAlbumentations` with all forms of samples that the library takes, and with wrong ones."""

import json

import numpy as np
import pytest

pytest.importorskip("mmcv")
albumentations = pytest.importorskip("albumentations")

from sos_mm.augmentation.albumentations_paste import SegmentPasteForAlbumentations  # noqa: E402
from tests.augmentation.samples import CLASSES, LAYOUT, random_sample  # noqa: E402


def build(bank, **options):
    given = {"classes": CLASSES, "options": {"layout": LAYOUT}, "p": 1.0, **options}
    return SegmentPasteForAlbumentations(bank, **given)


def compose(bank, kind=albumentations.Compose, boxes=True, keypoints=False, **options):
    done = kind(
        [build(bank, **options)],
        bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["labels"]) if boxes else None,
        keypoint_params=albumentations.KeypointParams("xy", label_fields=["visibility"]) if keypoints else None,
    )
    done.set_random_seed(0)
    return done


def sample_of(number, seed=1):
    sample = random_sample(seed, number)
    return {
        "image": sample["img"],
        "masks": sample["masks"],
        "bboxes": sample["gt_bboxes"],
        "labels": sample["gt_bboxes_labels"],
    }


EMPTY = {"lists": ([], [], []), "arrays": (np.zeros((0, 90, 110), np.uint8), np.zeros((0, 4)), np.zeros(0, np.int64))}


@pytest.mark.parametrize("form", EMPTY)
def test_images_without_objects(bank_config, form):
    transform = compose(bank_config)
    found = transform(image=sample_of(0)["image"], **dict(zip(("masks", "bboxes", "labels"), EMPTY[form], strict=True)))
    assert len(found["masks"]) == len(found["bboxes"]) == len(found["labels"]) > 0
    assert found["masks"][0].shape == found["image"].shape[:2]
    x0, y0, x1, y1 = np.rint(found["bboxes"][0]).astype(int)
    assert found["masks"][0][y0:y1, x0:x1].sum() == found["masks"][0].sum() > 0
    assert isinstance(found["masks"], list) == isinstance(found["labels"], list) == (form == "lists")
    # What the library remembers of the first sample is that of any other.
    later = transform(**sample_of(2))["labels"]
    assert isinstance(later, list) if form == "lists" else later.dtype == np.int64


def test_images_without_objects_into_which_nothing_is_pasted(bank_config):
    found = compose(bank_config, options={"prob": 0.0})(image=sample_of(0)["image"], masks=[], bboxes=[], labels=[])
    assert (len(found["masks"]), len(found["bboxes"]), len(found["labels"])) == (0, 0, 0)


@pytest.mark.parametrize("form", ["list", "array"])
def test_masks_keep_a_channel(bank_config, form):
    given = sample_of(2)
    plain = compose(bank_config)(**given)["masks"]
    given["masks"] = given["masks"][..., None] if form == "array" else list(given["masks"][..., None])
    found = compose(bank_config)(**given)["masks"]
    assert isinstance(found, np.ndarray) == (form == "array")
    np.testing.assert_array_equal(np.asarray(found), plain[..., None])


def test_map_keeps_a_channel(bank_config):
    image, label_map = sample_of(0)["image"], np.full((90, 110), 2, np.uint8)
    plain = compose(bank_config, boxes=False)(image=image, mask=label_map)["mask"]
    assert len(np.unique(plain)) > 1
    found = compose(bank_config, boxes=False)(image=image, mask=label_map[..., None])["mask"]
    np.testing.assert_array_equal(found, plain[..., None])


@pytest.mark.parametrize("number", [0, 2])
def test_names_in_arrays_are_whole(bank_config, number):
    """An array of names has room for its own longest one alone, which would cut longer ones."""
    given, seen = sample_of(number), set()
    given["labels"] = np.array(["cat", "dog"])[:number]
    transform = compose(bank_config, label_names=True)
    for _ in range(8):
        seen |= set(transform(**given)["labels"].tolist())
    assert {"apple"} < seen <= set(CLASSES)


def test_labels_that_are_too_small(bank_config):
    given = sample_of(2)
    given["labels"] = given["labels"].astype(np.uint8)
    classes = [f"other {number}" for number in range(300)] + list(CLASSES)
    with pytest.raises(ValueError, match=r"`labels` must hold labels up to 30\d, but is uint8"):
        compose(bank_config, classes=classes)(**given)


def test_names_without_the_option(bank_config):
    given = sample_of(2)
    given["labels"] = ["cat", "dog"]
    with pytest.raises(ValueError, match="must be numbers, or names with `label_names=True`"):
        compose(bank_config)(**given)


def test_replay_pastes_into_another_image(bank_config):
    first, other = sample_of(2), sample_of(3, seed=2)
    transform = compose(bank_config, albumentations.ReplayCompose)
    done = transform(**first)
    saved = done["replay"]
    assert json.loads(json.dumps(saved["transforms"][0]["params"]))["visit"] >= 0
    again = albumentations.ReplayCompose.replay(saved, **first)
    assert np.array_equal(again["image"], done["image"])
    replayed = albumentations.ReplayCompose.replay(saved, **other)
    wanted = compose(bank_config)(**other)
    for key in ("image", "masks", "bboxes", "labels"):
        np.testing.assert_array_equal(replayed[key], wanted[key])
    assert not np.array_equal(replayed["image"], done["image"])


def test_replay_pastes_into_images_of_another_size(bank_config):
    image = sample_of(0)["image"]
    saved = compose(bank_config, albumentations.ReplayCompose, boxes=False)(image=image)["replay"]
    narrow = np.ascontiguousarray(image[:, :60])
    assert albumentations.ReplayCompose.replay(saved, image=narrow)["image"].shape == narrow.shape


def test_is_serialised(bank_config):
    given, transform = sample_of(2), compose(bank_config, hidden=0)
    copy = albumentations.from_dict(json.loads(json.dumps(albumentations.to_dict(transform))))
    copy.set_random_seed(0)
    assert np.array_equal(copy(**given)["image"], transform(**given)["image"])


@pytest.mark.parametrize("kind", ["image", "mask", "masks"])
def test_additional_targets_are_refused(bank_config, kind):
    image = sample_of(0)["image"]
    given = {"image": image, "mask": image[..., 0], "masks": image.transpose(2, 0, 1)}
    transform = albumentations.Compose([build(bank_config)], additional_targets={"second": kind})
    with pytest.raises(ValueError, match="`second` cannot be updated by pasting"):
        transform(image=image, second=given[kind])


@pytest.mark.parametrize("more", [{}, {"image": np.zeros((90, 110, 3), np.uint8)}])
def test_films_are_refused(bank_config, more):
    images = np.zeros((2, 90, 110, 3), np.uint8)
    with pytest.raises(ValueError, match="`images` cannot be updated by pasting"):
        compose(bank_config, boxes=False)(images=images, **more)


@pytest.mark.parametrize("visibility", [["yes"], np.array(["yes"]), np.array([True])])
def test_visibility_that_is_no_number(bank_config, visibility):
    with pytest.raises(ValueError, match="`visibility` must hold numbers"):
        compose(bank_config, boxes=False, keypoints=True)(
            image=sample_of(0)["image"], keypoints=[[3, 4]], visibility=visibility
        )


def test_keypoints_with_names_beside_their_visibility(bank_config):
    transform = albumentations.Compose(
        [build(bank_config)], keypoint_params=albumentations.KeypointParams("xy", label_fields=["names", "visibility"])
    )
    points = [[x, y] for x in range(110) for y in range(90)]
    names = [f"point {number}" for number in range(len(points))]
    found = transform(image=sample_of(0)["image"], keypoints=points, names=names, visibility=[2] * len(points))
    assert found["names"] == names
    assert set(found["visibility"]) == {1, 2}


def test_classes_are_needed_for_labels_alone(bank_config):
    given = sample_of(2)
    free = albumentations.Compose([build(bank_config, classes=None)], seed=0)
    assert len(free(image=given["image"], masks=given["masks"])["masks"]) > 2
    assert not np.array_equal(free(image=given["image"])["image"], given["image"])
    for key, more in (("bboxes", given), ("mask", {"image": given["image"], "mask": given["masks"][0]})):
        with pytest.raises(ValueError, match=f"`classes` must name .* where a sample has `{key}`") as caught:
            compose(bank_config, boxes=key == "bboxes", classes=None)(**more)
        assert "VisitHook" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": np.zeros((90, 110), np.uint8)}, r"`image` must be of shape \(H, W, 3\)"),
        ({"image": np.zeros((90, 110, 3), np.float32)}, "`image` must be uint8"),
        ({"mask": np.zeros((90, 110), np.float32)}, "`mask` must hold integers"),
        ({"mask": np.zeros((90, 110, 3), np.uint8)}, "`mask` must be of the image's shape"),
        ({"masks": np.zeros((2, 90, 110, 3), np.uint8)}, r"`masks` must be \(N, H, W\)"),
        ({"masks": np.zeros((3, 90, 110), np.uint8)}, "`masks` must be 2 of height and width"),
    ],
)
def test_errors_name_what_the_library_calls_it(bank_config, changes, said):
    with pytest.raises(ValueError, match=said) as caught:
        compose(bank_config)(**{**sample_of(2), **changes})
    assert "gt_" not in str(caught.value)


@pytest.mark.parametrize("options", [[1], "layout", 3])
def test_options_that_are_no_dict(bank_config, options):
    with pytest.raises(ValueError, match=r"`options` must be a dict .*, but got"):
        build(bank_config, options=options)
