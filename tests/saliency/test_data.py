"""Data set and transforms: what they load, and what they say of broken data."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, TRANSFORMS

from sos_mm.saliency import (
    FlipSaliency,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
    SaliencyDataset,
)
from sos_mm.visits import Draws, drawing_parts

PIPELINE = [
    dict(type="LoadSaliencyImage"),
    dict(type="LoadSaliencyMask"),
    dict(type="ResizeSaliency", scale=(32, 32), keep_ratio=False),
    dict(type="FlipSaliency"),
    dict(type="PackSaliencyInputs"),
]


def build(root, pipeline=PIPELINE, **options) -> SaliencyDataset:
    return DATASETS.build(dict(type="SaliencyDataset", data_root=str(root), pipeline=pipeline, **options))


def test_pairs_are_packed_as_they_lie_on_disk(data_root):
    dataset = build(data_root, [step for step in PIPELINE if step["type"] not in ("ResizeSaliency", "FlipSaliency")])
    assert len(dataset) == 6
    item = dataset[3]
    sample = item["data_samples"]
    assert np.array_equal(item["inputs"].permute(1, 2, 0).numpy(), cv2.imread(str(data_root / "images/3.png")))
    mask = cv2.imread(str(data_root / "masks/3.png"), cv2.IMREAD_GRAYSCALE)
    assert torch.equal(sample.gt_saliency.data[0], torch.from_numpy(mask / 255).float())
    assert (sample.sample_idx, sample.ori_shape) == (3, (40, 48))


def test_mask_keeps_its_size_when_loaded_after_resizing(data_root):
    order = [PIPELINE[0], PIPELINE[2], PIPELINE[1], PIPELINE[4]]
    item = build(data_root, order)[0]
    assert item["inputs"].shape == (3, 32, 32)
    assert item["data_samples"].gt_saliency.data.shape == (1, 40, 48)


def test_resizing_keeps_the_mask_under_the_image():
    mask = np.zeros((40, 60), np.float32)
    mask[10:30, 15:45] = 1
    results = dict(img=(mask[..., None] * 255).repeat(3, 2).astype(np.uint8), gt_saliency=mask, img_shape=(40, 60))
    resized = ResizeSaliency(scale=(30, 20), keep_ratio=False)(results)
    expected = np.zeros((20, 30), np.float32)
    expected[5:15, 7:23] = 1
    expected[5:15, 7] = expected[5:15, 22] = 0.5
    np.testing.assert_allclose(resized["gt_saliency"], expected, atol=1e-6)


def test_flip_turns_image_and_mask_alike_and_repeats():
    flip = FlipSaliency(prob=0.5)
    flip.draws = Draws(7)
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)

    def run(index: int, epoch: int) -> dict:
        flip.draws.epoch = epoch
        return flip(dict(img=image, gt_saliency=image[..., 0].astype(np.float32), sample_idx=index))

    flipped = {(i, e): run(i, e)["flip"] for i in range(20) for e in range(5)}
    assert 20 < sum(flipped.values()) < 80
    assert flipped == {(i, e): run(i, e)["flip"] for i in range(20) for e in range(5)}
    assert len({tuple(flipped[i, e] for i in range(20)) for e in range(5)}) == 5
    turned = next(run(i, e) for (i, e), yes in flipped.items() if yes)
    assert np.array_equal(turned["img"], image[:, ::-1])
    assert np.array_equal(turned["gt_saliency"], image[:, ::-1, 0])


def test_flip_refuses_a_wrong_probability():
    with pytest.raises(ValueError, match=r"\[0, 1\], but got 2"):
        FlipSaliency(prob=2)


def test_drawing_parts_are_found_through_wrappers(data_root):
    wrapped = DATASETS.build(
        dict(
            type="RepeatDataset",
            times=2,
            dataset=dict(
                type="ConcatDataset",
                datasets=[
                    dict(
                        type="SaliencyDataset",
                        data_root=str(data_root),
                        pipeline=[
                            dict(type="RandomApply", transforms=[dict(type="FlipSaliency")]),
                        ],
                    ),
                ],
            ),
        )
    )
    assert [type(part) for part in drawing_parts(wrapped)] == [FlipSaliency]


@pytest.mark.parametrize(
    ("name", "contents", "error", "words"),
    [
        ("masks/2.png", None, FileNotFoundError, r"images/2\.png: add 2\.png"),
        ("masks/2.png", b"", ValueError, r"masks/2\.png \(0 bytes\) cannot be decoded"),
        ("masks/2.png", b"\x89PNG\r\n\x1a\nbroken", ValueError, r"masks/2\.png .* cannot be decoded"),
        ("images/2.png", b"", ValueError, r"images/2\.png \(0 bytes\) cannot be decoded"),
        ("images/2.png", b"no image", ValueError, r"images/2\.png .* cannot be decoded"),
        ("images", None, FileNotFoundError, "images does not exist"),
        ("masks", None, FileNotFoundError, "masks does not exist"),
        ("images/2.jpg", b"", ValueError, "same stem"),
    ],
)
def test_broken_data_is_named(data_root, name, contents, error, words):
    path = data_root / name
    if contents is not None:
        path.write_bytes(contents)
    elif path.is_dir():
        path.rename(path.with_name("elsewhere"))
    else:
        path.unlink()
    with pytest.raises(error, match=words):
        build(data_root, PIPELINE[:3])[2]


def test_mask_of_another_size_is_named(data_root):
    cv2.imwrite(str(data_root / "masks/2.png"), np.zeros((10, 12), np.uint8))
    with pytest.raises(ValueError, match=r"masks/2\.png is 12x10, but its image .*2\.png is 48x40"):
        build(data_root, PIPELINE[:2])[2]


def test_mask_of_zeros_and_ones_is_named(data_root):
    cv2.imwrite(str(data_root / "masks/2.png"), np.eye(40, 48, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"masks/2\.png holds 0 and 1.*multiply it by 255"):
        build(data_root, PIPELINE[:2])[2]


def test_empty_folder_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        build(tmp_path)


def test_transforms_are_registered_under_their_names():
    for transform in (LoadSaliencyImage, LoadSaliencyMask, ResizeSaliency, FlipSaliency, PackSaliencyInputs):
        assert TRANSFORMS.get(transform.__name__) is transform
