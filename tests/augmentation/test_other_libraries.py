"""The transforms for Albumentations and torchvision, against `SegmentPaste` itself."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("mmcv")
import torch

from sos_mm.augmentation import SegmentPaste
from sos_mm.augmentation.array_paste import paste_arrays
from sos_mm.engine.randomness import RepeatIndex
from tests.augmentation.samples import CLASSES, LAYOUT, random_sample

OPTIONS = {"layout": LAYOUT, "prob": 1.0}


def reference(bank, sample, visit, **given):
    """What `SegmentPaste` makes of a sample, and where it pasted."""
    paste = SegmentPaste(bank, classes=CLASSES, channel_order="rgb", **OPTIONS)
    keys = ("img", "gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags")
    results = {key: sample[key] for key in keys} | {"sample_idx": RepeatIndex(0, visit)} | given
    return paste(results | {"gt_saliency": np.zeros(sample["img"].shape[:2], np.float32)})


def grid_of_points(sample):
    """Points at the centres and corners of some pixels, and outside."""
    height, width = sample["img"].shape[:2]
    points = [(x, y) for y in np.arange(0.5, height, 7) for x in np.arange(0.25, width, 5)]
    return np.array(points, np.float32)


def covers(results, points):
    return np.array([results["gt_saliency"][int(y), int(x)] > 0 for x, y in points])


def test_points_outside_are_not_covered(bank_config):
    sample = random_sample(1, 3)
    paste = SegmentPaste(bank_config, classes=CLASSES, channel_order="rgb", **OPTIONS)
    pasted = paste_arrays(paste, sample["img"], 5, masks=sample["masks"])
    assert pasted.cover.any()
    assert pasted.number_pasted
    outside = np.array([[-0.5, 3], [3, -1], [110, 3], [3, 90], [np.nan, 3], [1e30, 1e30]])
    assert not pasted.hides(outside).any()
    row, column = np.argwhere(pasted.cover)[0]
    inside = np.array([[[column, row], [column + 0.99, row + 0.99]]])
    assert pasted.hides(inside).all()
    np.testing.assert_array_equal(pasted.boxes[: len(pasted.kept)] >= 0, True)


@pytest.mark.parametrize("name", ["bank", "seed", "channel_order", "start_epoch", "nonsense"])
def test_options_that_are_not_for_adapters(bank_config, name):
    from sos_mm.augmentation.torchvision_paste import SegmentPasteForTorchvision

    with pytest.raises(ValueError, match=r"`options` must hold .*"):
        SegmentPasteForTorchvision(bank_config, options={name: 1})


class TestTorchvision:
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")

    def transform(self, bank, **options):
        from sos_mm.augmentation.torchvision_paste import SegmentPasteForTorchvision

        return SegmentPasteForTorchvision(bank, classes=CLASSES, options=OPTIONS, **options)

    def sample(self, sample):
        height, width = sample["img"].shape[:2]
        points = grid_of_points(sample)
        number = len(sample["masks"])
        keypoints = np.concatenate([points, np.resize([0, 1, 2, 2], (len(points), 1))], axis=1)
        target = {
            "boxes": self.tv_tensors.BoundingBoxes(sample["gt_bboxes"], format="XYXY", canvas_size=(height, width)),
            "labels": torch.tensor(sample["gt_bboxes_labels"]),
            "masks": self.tv_tensors.Mask(sample["masks"]),
            "iscrowd": torch.zeros(number, dtype=torch.int64),
            "area": torch.tensor(sample["masks"].sum(axis=(1, 2), dtype=np.int64), dtype=torch.float32),
            "keypoints": torch.tensor(keypoints, dtype=torch.float32).repeat(number, 1, 1),
            "image_id": torch.tensor([7]),
        }
        return self.tv_tensors.Image(sample["img"].transpose(2, 0, 1)), target

    @pytest.mark.parametrize("hidden", [0, 1])
    def test_equals_segment_paste(self, bank_config, hidden):
        dropped = 0
        for seed in range(15):
            sample = random_sample(seed)
            image, target = self.sample(sample)
            before = pickle.dumps((image, target))
            torch.manual_seed(seed)
            visit = int(torch.randint(2**31, ()))
            numbers = np.arange(1, len(sample["masks"]) + 1)
            wanted = reference(bank_config, sample, visit, gt_masks=sample["masks"], gt_ignore_flags=numbers)
            torch.manual_seed(seed)
            new_image, new = self.transform(bank_config, first_label=1, hidden=hidden)(image, target)
            assert pickle.dumps((image, target)) == before
            assert type(new_image) is self.tv_tensors.Image
            assert type(new["masks"]) is self.tv_tensors.Mask
            assert type(new["boxes"]) is self.tv_tensors.BoundingBoxes
            np.testing.assert_array_equal(new_image.numpy().transpose(1, 2, 0), wanted["img"])
            np.testing.assert_array_equal(new["masks"].numpy(), wanted["gt_masks"])
            np.testing.assert_array_equal(new["boxes"].numpy(), wanted["gt_bboxes"])
            kept = int((wanted["gt_ignore_flags"] > 0).sum())
            dropped += len(numbers) - kept
            old = np.repeat([0, 1], [kept, len(wanted["gt_bboxes"]) - kept])
            np.testing.assert_array_equal(new["labels"].numpy(), wanted["gt_bboxes_labels"] + old)
            np.testing.assert_array_equal(new["area"].numpy(), (wanted["gt_masks"] > 0).sum(axis=(1, 2)))
            assert len(new["iscrowd"]) == len(new["keypoints"]) == len(new["boxes"])
            assert new["image_id"] is target["image_id"]
            assert not new["keypoints"][kept:].any()
            if kept:
                points = grid_of_points(sample)
                levels = np.resize([0, 1, 2, 2], len(points))
                wanted_levels = np.where(covers(wanted, points), np.minimum(levels, hidden), levels)
                np.testing.assert_array_equal(new["keypoints"][0, :, 2], wanted_levels)
                np.testing.assert_array_equal(new["keypoints"][0, :, :2], points)
        assert dropped

    def test_image_alone_and_in_compose(self, bank_config):
        from torchvision.transforms import v2

        sample = random_sample(3, 2)
        image, target = self.sample(sample)
        torch.manual_seed(0)
        alone = self.transform(bank_config)(image)
        torch.manual_seed(0)
        within = v2.Compose([v2.ToImage(), self.transform(bank_config), v2.ToDtype(torch.float32, scale=True)])
        made, _ = within(sample["img"], {"image_id": 3})
        assert torch.allclose(alone.float() / 255, made, rtol=0, atol=1e-6)
        assert not torch.equal(alone, image)
        boxes = {key: target[key] for key in ("boxes", "labels")}
        assert len(self.transform(bank_config)(image, boxes)[1]["boxes"]) > 2

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"labels": torch.zeros(9)}, "`labels` must be 2"),
            ({"keypoints": torch.zeros(2, 5)}, "`keypoints` must be"),
            ({"depth": tv_tensors.Mask(np.zeros((1, 4, 4)))}, "`depth` cannot be updated"),
            ({"boxes": None}, "`boxes`|NoneType"),
        ],
    )
    def test_targets_that_do_not_fit(self, bank_config, changes, said):
        image, target = self.sample(random_sample(3, 2))
        with pytest.raises((ValueError, TypeError), match=said):
            self.transform(bank_config)(image, target | changes)


class TestAlbumentations:
    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("albumentations")

    def compose(self, bank, seed=0, names=False, keypoints=False, **options):
        import albumentations

        from sos_mm.augmentation.albumentations_paste import SegmentPasteForAlbumentations

        transform = SegmentPasteForAlbumentations(
            bank, classes=CLASSES, label_names=names, options={"layout": LAYOUT}, p=1.0, **options
        )
        return albumentations.Compose(
            [transform],
            bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["labels"]),
            keypoint_params=albumentations.KeypointParams("xy", label_fields=["visibility"]) if keypoints else None,
            seed=seed,
        )

    @pytest.mark.parametrize("names", [False, True])
    def test_equals_segment_paste(self, bank_config, names):
        pasted = 0
        for seed in range(10):
            sample = random_sample(seed)
            labels = sample["gt_bboxes_labels"].tolist()
            compose = self.compose(bank_config, seed, names)
            twin = self.compose(bank_config, seed, names)
            # The first number of the generator that the library gives the transform.
            visit = int(twin.transforms[0].random_generator.integers(2**31))
            label_map = (sample["masks"].any(axis=0) if len(sample["masks"]) else np.zeros(sample["img"].shape[:2])) * 7
            label_map = label_map.astype(np.uint8)
            wanted = reference(bank_config, sample, visit, gt_masks=sample["masks"], gt_seg_map=label_map)
            found = compose(
                image=sample["img"],
                masks=sample["masks"],
                mask=label_map,
                bboxes=sample["gt_bboxes"],
                labels=[CLASSES[label] for label in labels] if names else labels,
            )
            np.testing.assert_array_equal(found["image"], wanted["img"])
            np.testing.assert_array_equal(found["masks"], wanted["gt_masks"])
            np.testing.assert_array_equal(found["mask"], wanted["gt_seg_map"])
            np.testing.assert_allclose(found["bboxes"], wanted["gt_bboxes"], atol=1e-4)
            new = [CLASSES[label] for label in wanted["gt_bboxes_labels"]] if names else wanted["gt_bboxes_labels"]
            assert list(found["labels"]) == list(new)
            pasted += len(wanted["gt_bboxes"]) - len(labels)
        assert pasted > 8

    @pytest.mark.parametrize("hidden", [0, 1])
    def test_covered_keypoints_are_marked(self, bank_config, hidden):
        for seed in range(4):
            sample = random_sample(seed, 2)
            points = grid_of_points(sample)
            levels = np.resize([0, 1, 2, 2], len(points))
            compose = self.compose(bank_config, seed, keypoints=True, hidden=hidden)
            visit = int(self.compose(bank_config, seed, keypoints=True).transforms[0].random_generator.integers(2**31))
            wanted = reference(bank_config, sample, visit)
            found = compose(
                image=sample["img"],
                bboxes=sample["gt_bboxes"],
                labels=sample["gt_bboxes_labels"],
                keypoints=points,
                visibility=levels,
            )
            np.testing.assert_allclose(found["keypoints"], points, atol=1e-4)
            covered = covers(wanted, points)
            assert covered.any()
            np.testing.assert_array_equal(found["visibility"], np.where(covered, np.minimum(levels, hidden), levels))

    def test_image_alone_the_same_seed_and_another(self, bank_config):
        image = random_sample(0, 0)["img"]
        given = {"image": image, "bboxes": np.zeros((0, 4), np.float32), "labels": []}
        first, again, other = (self.compose(bank_config, seed)(**given)["image"] for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_keypoints_without_visibility(self, bank_config):
        import albumentations

        inner = self.compose(bank_config).transforms[0]
        compose = albumentations.Compose([inner], keypoint_params=albumentations.KeypointParams("xy"))
        with pytest.raises(ValueError, match="visibility"):
            compose(image=random_sample(0, 0)["img"], keypoints=np.array([[3.0, 4.0]], np.float32))

    def test_labels_of_another_kind(self, bank_config):
        sample = random_sample(0, 2)
        with pytest.raises(ValueError, match="must be numbers, or names with `label_names=True`"):
            self.compose(bank_config, names=True)(
                image=sample["img"], bboxes=sample["gt_bboxes"], labels=sample["gt_bboxes_labels"]
            )

    def test_is_pickled(self, bank_config):
        sample = random_sample(0, 2)
        given = {"image": sample["img"], "bboxes": sample["gt_bboxes"], "labels": sample["gt_bboxes_labels"]}
        copy = pickle.loads(pickle.dumps(self.compose(bank_config)))
        assert np.array_equal(copy(**given)["image"], self.compose(bank_config)(**given)["image"])


@pytest.mark.parametrize("module", ["albumentations", "torchvision"])
def test_without_the_library(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "import sos_mm.augmentation\n"
        f"assert 'sos_mm.augmentation.{module}_paste' not in sys.modules\n"
        f"import sos_mm.augmentation.{module}_paste"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"needs `{module}" in done.stderr
    assert "get " in done.stderr
