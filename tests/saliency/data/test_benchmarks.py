"""The public data sets are found as they were distributed and as they are repacked, and checked."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.cli.check import main
from sos_mm.saliency import SaliencyDataset
from sos_mm.saliency.apis.inspection import describe, inspect_dataset
from sos_mm.saliency.data.benchmarks import BENCHMARKS, find_folders

DISTRIBUTED = [
    ("DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask", ".jpg"),
    ("DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask", ".jpg"),
    ("DUT-OMRON", "DUT-OMRON-image", "pixelwiseGT-new-PNG", ".jpg"),
    ("ECSSD", "images", "ground_truth_mask", ".jpg"),
    ("PASCAL-S", "datasets/imgs/pascal", "datasets/masks/pascal", ".jpg"),
    ("HKU-IS", "imgs", "gt", ".png"),
    ("ECSSD", "Image", "Mask", ".jpg"),
    ("ECSSD", "Imgs", "Imgs", ".jpg"),
    ("NJU2K", "RGB", "GT", ".jpg"),
    ("VT5000", "RGB", "GT", ".jpg"),
]


def write(root: Path, images: str, masks: str, suffix: str, extra: str = "", number: int = 3) -> None:
    for index in range(number):
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 5 + index : 20] = 255
        for folder, name, pixels in ((images, f"{index}{suffix}", mask // 2), (masks, f"{index}.png", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / name), pixels)
        if extra:
            (root / extra).mkdir(exist_ok=True)
            cv2.imwrite(str(root / extra / f"{index}.png"), mask)
    # What archives of other systems leave behind.
    (root / images / f"._0{suffix}").write_bytes(b"Mac OS X")
    (root / images / "Thumbs.db").write_bytes(b"")


@pytest.mark.parametrize(("name", "images", "masks", "suffix"), DISTRIBUTED)
@pytest.mark.parametrize("nested", [False, True])
def test_folders_are_found(tmp_path, name, images, masks, suffix, nested):
    root = tmp_path / name
    extra = (*BENCHMARKS[name].auxiliary, "")[0]
    write(root / name if nested else root, images, masks, suffix, extra)
    # Serialising collects garbage, which takes seconds beside torch.
    dataset = SaliencyDataset(str(root), serialize_data=False)
    assert len(dataset) == 3
    for index in range(3):
        info = dataset.get_data_info(index)
        assert (Path(info["img_path"]).name, Path(info["mask_path"]).name) == (f"{index}{suffix}", f"{index}.png")
        assert info["dataset_name"] == name
        assert ("aux_path" in info) == bool(extra)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data_root` of ECSSD must be an existing folder"):
        find_folders("ECSSD", tmp_path / "ECSSD")
    (tmp_path / "NLPR/images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"NLPR as one of: images \+ masks"):
        find_folders("NLPR", tmp_path / "NLPR")
    (tmp_path / "NLPR/masks").mkdir()
    with pytest.raises(FileNotFoundError, match="second images of NLPR as one of: depth"):
        find_folders("NLPR", tmp_path / "NLPR")
    with pytest.raises(ValueError, match="Did you mean 'ECSSD'"):
        find_folders("ECSD", tmp_path)


def test_inspection(tmp_path):
    root = tmp_path / "HKU-IS"
    write(root, "imgs", "gt", ".png", number=6)
    (root / "imgs/1.png").write_bytes(b"")
    cv2.imwrite(str(root / "gt/2.png"), np.zeros((9, 9), np.uint8))
    cv2.imwrite(str(root / "gt/3.png"), np.full((20, 30), 180, np.uint8))
    cv2.imwrite(str(root / "gt/4.png"), np.zeros((20, 30), np.uint8))
    found = inspect_dataset(SaliencyDataset(str(root), benchmark="HKU-IS"), progress=False)
    assert [("1.png" in fault, "2.png" in fault) for fault in found.faults] == [(True, False), (False, True)]
    assert (found.grey, found.empty) == (["3.png"], ["4.png"])
    assert not found.complete
    text = describe([found])
    for words in ("HKU-IS: 6 of 4447 pairs, 2 FAULTS", "1 grey masks: 3.png", "0 bytes"):
        assert words in text


def test_tool(tmp_path, monkeypatch, capsys):
    write(tmp_path / "mine", "images", "masks", ".jpg")
    write(tmp_path / "ECSSD", "images", "ground_truth_mask", ".jpg")
    monkeypatch.setattr(sys, "argv", ["check_dataset.py", str(tmp_path / "mine")])
    assert main() == 0
    assert capsys.readouterr().out == "mine: 3 pairs, complete\n"
    monkeypatch.setattr(sys, "argv", ["check_dataset.py", *(str(tmp_path / name) for name in ("ECSSD", "DUTS-TE"))])
    assert main() == 1
    told = capsys.readouterr().out
    assert "ECSSD: 3 of 1000 pairs, INCOMPLETE" in told
    assert "DUTS-TE: MISSING: `data_root` of DUTS-TE must be an existing folder" in told
