"""Data set and transforms: what they load, and what they say of broken data."""

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from mmengine.registry import DATASETS, TRANSFORMS

from sos_mm.engine.hooks import drawing_parts
from sos_mm.engine.randomness import RunRandomness
from sos_mm.saliency import (
    FlipSaliency,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
    SaliencyDataset,
)

PIPELINE = [
    dict(type="LoadSaliencyImage"),
    dict(type="LoadSaliencyMask"),
    dict(type="ResizeSaliency", scale=(32, 32), keep_ratio=False),
    dict(type="FlipSaliency"),
    dict(type="PackSaliencyInputs"),
]


def build(root, pipeline=PIPELINE, **options) -> SaliencyDataset:
    # Serialising collects garbage, which takes seconds beside torch.
    options = dict(data_root=str(root), pipeline=pipeline, serialize_data=False) | options
    dataset = DATASETS.build(dict(type="SaliencyDataset", **options))
    for part in drawing_parts(dataset):
        part.draws = RunRandomness(0)
    return dataset


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
    flip.draws = RunRandomness(7)
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


@pytest.mark.parametrize("top", [1, 20])
def test_mask_of_labels_is_named(data_root, top):
    cv2.imwrite(str(data_root / "masks/2.png"), np.eye(40, 48, dtype=np.uint8) * top)
    with pytest.raises(ValueError, match=rf"masks/2\.png holds values up to {top}, .*write 255"):
        build(data_root, PIPELINE[:2])[2]


def test_mask_in_colour_is_named(data_root):
    mask = np.zeros((40, 48, 3), np.uint8)
    cv2.imwrite(str(data_root / "masks/2.png"), mask + 255)
    assert build(data_root, PIPELINE[:2])[2]["gt_saliency"].min() == 1
    mask[5:9, 5:9, 2] = 128
    cv2.imwrite(str(data_root / "masks/2.png"), mask)
    with pytest.raises(ValueError, match=r"masks/2\.png is in colour, but must be grey"):
        build(data_root, PIPELINE[:2])[2]


@pytest.mark.parametrize("kind", ["grey", "16-bit", "rgba", "cmyk", "1x1", "wide"])
def test_all_kinds_of_images_are_read(data_root, kind, tmp_path):
    """Each becomes 8-bit BGR of its size; the content is that of Pillow."""
    rng, path, shape = np.random.default_rng(0), data_root / "images/2.png", (40, 48)
    if kind in ("1x1", "wide"):
        shape = (1, 1) if kind == "1x1" else (3, 10_000)
        cv2.imwrite(str(data_root / "masks/2.png"), np.full(shape, 255, np.uint8))
    grey = rng.integers(0, 256, shape, dtype=np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=2)
    if kind == "cmyk":
        path.unlink()
        path = path.with_suffix(".jpg")
        PIL.Image.new("CMYK", shape[::-1], (0, 255, 255, 0)).save(path)
        pixels = np.full((*shape, 3), (0, 0, 255), np.uint8)
    else:
        written = {"grey": grey, "16-bit": grey.astype(np.uint16) * 257, "rgba": np.dstack([pixels, 255 - grey])}
        cv2.imwrite(str(path), written.get(kind, pixels))
    results = build(data_root, PIPELINE[:2])[2]
    assert results["img"].dtype == np.uint8
    assert results["img"].shape == (*shape, 3)
    assert np.abs(results["img"].astype(int) - pixels).max() <= (40 if kind == "cmyk" else 1)
    assert build(data_root)[2]["inputs"].shape == (3, 32, 32)


def test_turned_photographs_are_turned_back(data_root):
    """As their EXIF data say, so that they lie under masks that were drawn on what a viewer shows."""
    (data_root / "images/2.png").unlink()
    image = PIL.Image.fromarray(np.zeros((48, 40, 3), np.uint8))
    image.paste((255, 255, 255), (0, 0, 40, 10))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image.save(data_root / "images/2.jpg", exif=exif)
    shown = build(data_root, PIPELINE[:2])[2]["img"]
    assert shown.shape == (40, 48, 3)
    assert shown[:, 40:].min() > 200 > 50 > shown[:, :36].max()


def test_chosen_stems(data_root, tmp_path):
    (tmp_path / "list.txt").write_text("3.png 1\n\n1\n")
    for stems in (["3", "1"], str(tmp_path / "list.txt")):
        assert [item["img_path"][-5] for item in build(data_root, [], stems=stems).load_data_list()] == ["1", "3"]
    with pytest.raises(FileNotFoundError, match=r"1 of the 2 `stems` have no image .* 99 first"):
        build(data_root, stems=["1", "99"])
    with pytest.raises(FileNotFoundError, match="text file"):
        build(data_root, stems="none.txt")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        build(data_root, stems=str(tmp_path / "list.txt"))


def test_second_modality(data_root):
    """It goes the same ways as the image, and lies behind it in the input."""
    rng = np.random.default_rng(0)
    (data_root / "depth").mkdir()
    for path in (data_root / "images").iterdir():
        image = cv2.imread(str(path))
        cv2.imwrite(
            str(data_root / "depth" / path.name), np.repeat(image.mean(axis=2).astype(np.uint8)[..., None], 3, 2)
        )
    prefix = dict(img_path="images", mask_path="masks", aux_path="depth")
    steps = [
        PIPELINE[0],
        dict(type="LoadAuxiliaryImage"),
        *PIPELINE[1:-1],
        dict(type="PackSaliencyInputs", to_rgb=True),
    ]
    steps[-2] = dict(type="FlipSaliency", prob=1.0)
    dataset = build(data_root, steps, data_prefix=prefix)
    item = dataset[1]
    assert item["inputs"].shape == (6, 32, 32)
    assert item["data_samples"].aux_path.endswith("depth/1.png")
    plain = build(data_root, [*PIPELINE[:3], steps[-2], PIPELINE[-1]])[1]["inputs"]
    np.testing.assert_array_equal(item["inputs"][:3].flip(0), plain)
    difference = item["inputs"][3:].float() - item["inputs"][:3].float().mean(0)
    assert difference.abs().max() < 4
    deep = rng.integers(1000, 5000, (80, 96), dtype=np.uint16)
    cv2.imwrite(str(data_root / "depth/1.png"), deep)
    steps[1] = dict(type="LoadAuxiliaryImage", stretch=True)
    loaded = build(data_root, steps[:2], data_prefix=prefix)[1]["aux"]
    assert loaded.shape == (40, 48, 3)
    assert loaded.max() - loaded.min() > 128
    (data_root / "depth/1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 6 images have no second image .*images/1\.png"):
        build(data_root, steps, data_prefix=prefix)


def test_empty_folder_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        build(tmp_path)


def test_transforms_are_registered_under_their_names():
    for transform in (LoadSaliencyImage, LoadSaliencyMask, ResizeSaliency, FlipSaliency, PackSaliencyInputs):
        assert TRANSFORMS.get(transform.__name__) is transform
