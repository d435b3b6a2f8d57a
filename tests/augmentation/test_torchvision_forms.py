"""`SegmentPasteForTorchvision` with forms of samples that torchvision's users have, and with wrong ones."""

import numpy as np
import pytest

pytest.importorskip("mmcv")
pytest.importorskip("torchvision.tv_tensors")

import torch
from torchvision import tv_tensors

from sos_mm.augmentation.torchvision_paste import SegmentPasteForTorchvision
from tests.augmentation.samples import CLASSES, LAYOUT, random_sample


@pytest.fixture(autouse=True)
def drawn_from_a_seed():
    """As torchvision's own transforms, it draws from torch's generator."""
    torch.manual_seed(0)


def build(bank, **options):
    given = {"classes": CLASSES, "options": {"layout": LAYOUT, "prob": 1.0}, **options}
    return SegmentPasteForTorchvision(bank, **given)


def sample_of(number=2):
    sample = random_sample(1, number)
    size = sample["img"].shape[:2]
    target = {
        "boxes": tv_tensors.BoundingBoxes(sample["gt_bboxes"], format="XYXY", canvas_size=size),
        "labels": torch.tensor(sample["gt_bboxes_labels"]),
        "masks": tv_tensors.Mask(sample["masks"]),
    }
    return tv_tensors.Image(sample["img"].transpose(2, 0, 1)), target


def test_classes_are_needed_for_labels_alone(bank_config):
    image, target = sample_of()
    free = build(bank_config, classes=None)
    assert not torch.equal(free(image), image)
    assert len(free(image, {"masks": target["masks"]})[1]["masks"]) > 2
    with pytest.raises(ValueError, match=r"`classes` must name .* where a sample has `labels`") as caught:
        free(image, target)
    assert "VisitHook" not in str(caught.value)


def test_labels_that_are_too_small(bank_config):
    image, target = sample_of()
    classes = [f"other {number}" for number in range(300)] + list(CLASSES)
    with pytest.raises(ValueError, match=r"`labels` must hold labels up to 30\d, but is torch.uint8"):
        build(bank_config, classes=classes)(image, target | {"labels": target["labels"].to(torch.uint8)})


@pytest.mark.parametrize("target", [3, [{}], "a", torch.zeros(90, 110), tv_tensors.Mask(torch.zeros(90, 110))])
def test_targets_that_are_no_dict(bank_config, target):
    with pytest.raises(ValueError, match="`target` must be a dict"):
        build(bank_config)(sample_of()[0], target)


@pytest.mark.parametrize("key", ["boxes", "labels", "masks", "keypoints", "area", "iscrowd"])
@pytest.mark.parametrize("form", [list, np.array])
def test_entries_that_are_no_tensors(bank_config, key, form):
    """Such as the lists of `wrap_dataset_for_transforms_v2`."""
    image, target = sample_of()
    with pytest.raises(ValueError, match=f"`{key}` must be a tensor, but got .*torch.as_tensor"):
        build(bank_config)(image, target | {key: form([[1, 2, 3, 4]] * 2)})


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"image": 1}, "got dict: .*image and target"),
        (np.zeros((9, 9, 3), np.uint8), "got ndarray: .*ToImage"),
        (torch.zeros(1, 9, 9, dtype=torch.uint8), r"got torch.uint8 \(1, 9, 9\): .*RGB"),
        (torch.zeros(3, 9, 9), r"got torch.float32 \(3, 9, 9\): .*before"),
    ],
)
def test_images_of_other_kinds(bank_config, image, said):
    with pytest.raises(ValueError, match=said):
        build(bank_config)(image)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masks": torch.zeros(2, 4, 4)}, r"`masks` must be 2 of height and width \(90, 110\)"),
        ({"masks": torch.zeros(90, 110)}, r"`masks` must be \(N, H, W\)"),
        ({"masks": torch.zeros(2, 1, 90, 110)}, r"`masks` must be \(N, H, W\)"),
        ({"boxes": torch.full((2, 4), float("nan"))}, "`boxes` must be finite"),
        ({"boxes": torch.zeros(2, 5)}, r"`boxes` must be \(N, 4\)"),
        ({"labels": torch.zeros(2, 1)}, r"`labels` must be \(N\)"),
        ({"keypoints": torch.zeros(2, 5, 2)}, r"`keypoints` must be \(N, K, 3\)"),
    ],
)
def test_errors_name_what_the_library_calls_it(bank_config, changes, said):
    image, target = sample_of()
    with pytest.raises(ValueError, match=said) as caught:
        build(bank_config)(image, target | changes)
    assert "gt_" not in str(caught.value)
