"""The commands of dataset preparation, run as they are written on little data, make what configs over mmdet read."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.segments.index.arrow import IndexedRecords
from sos_mm.segments.vocabulary import read_vocabulary

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sos_mm/sample"
CATEGORIES = ["car", "cat", "dog"]


def commands() -> dict[str, list[str]]:
    """The commands by their numbers, those of several numbers under each of them."""
    _, block, *others = (ROOT / "configs/dataset_prepare.md").read_text().split("```")
    assert len(others) == 1  # There is no other block.
    found, numbers = {}, []
    for line in block.removeprefix("bash\n").replace("\\\n", " ").splitlines():
        if line.startswith("#"):
            numbers = re.findall(r"\((\d+)\)", line)
        else:
            for number in numbers:
                found.setdefault(number, []).append(line)
    return found


def segments(folder: Path, metadata: Path) -> None:
    """The bundled cut-outs as those of three categories with many sub-categories each."""
    words, given = {}, json.loads((SAMPLE / "metadata.json").read_text())
    for number, sub_category in enumerate(sorted((SAMPLE / "segments").glob("*/*"))):
        category, name = CATEGORIES[number % 3], f"{sub_category.parent.name}_{sub_category.name}"
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / name).symlink_to(sub_category)
        words[f"{category}_{name}"] = given[name]
    metadata.write_text(json.dumps(words))


def coco(folder: Path) -> None:
    """A hundred images, each of one square."""
    ids = read_vocabulary("coco")
    (folder / "train2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 64, "width": 64} for i in range(1, 101)]
    square = {"bbox": [10, 10, 40, 40], "area": 1600, "segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]], "iscrowd": 0}
    annotations = [{"id": i, "image_id": i, "category_id": ids["cat"], **square} for i in range(1, 101)]
    for image in images:
        cv2.imwrite(str(folder / "train2017" / image["file_name"]), np.full((64, 64, 3), image["id"], np.uint8))
    content = {"images": images, "annotations": annotations, "categories": [{"id": ids["cat"], "name": "cat"}]}
    (folder / "annotations/instances_train2017.json").write_text(json.dumps(content))
    pair = [{**each, "bbox": [x, 10, 20, 40]} for each in annotations[:2] for x in (2, 42)]
    for number, each in enumerate(pair, 1):
        del each["segmentation"]
        each["id"] = number
    (folder / "val2017").symlink_to(folder / "train2017")
    content |= {"images": images[:2], "annotations": pair}
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(content))


@pytest.fixture
def place(tmp_path):
    for name in ("tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    data = tmp_path / "data/sos"
    segments(data / "FC/segments", data / "FC/metadata.json")
    segments(data / "GC/segments", data / "GC/metadata.json")
    (data / "backgrounds").mkdir()
    cv2.imwrite(str(data / "backgrounds/grey.png"), np.full((1100, 1100, 3), 128, np.uint8))
    coco(tmp_path / "data/coco")
    segments(tmp_path / "data/subject200k/segments", tmp_path / "data/subject200k/metadata.json")
    return tmp_path


def run(command: str, place: Path) -> None:
    command = re.sub(r"--num \d+", "--num 3", command).replace("--workers 16", "")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_commands_make_what_configs_read(place):
    given = commands()
    assert list(given) == [str(number) for number in range(1, 12)]
    # The last is mmdet's; two numbers that share their lines run once.
    ran = set()
    for command in (command for number in list(given)[:-1] for command in given[number]):
        if command not in ran:
            run(command, place)
        ran.add(command)
    for index in ("sos/FC.arrow", "sos/GC.arrow"):
        assert set(IndexedRecords(place / "data" / index).categories) == set(CATEGORIES)
    assert len(IndexedRecords(place / "data/coco.arrow")) == 100
    assert set(IndexedRecords(place / "data/subject200k.arrow").categories) == set(CATEGORIES)
    composed = place / "data/sos/FC-100K/annotations"
    proved, captions, single = (
        [json.loads(line) for line in (composed / name).read_text().splitlines()]
        for name in ("referring.jsonl", "odvg_referring.jsonl", "odvg_expressions.jsonl")
    )
    assert len(single) == sum(len(line["expressions"]) for line in proved) > len(captions) >= 3
    for file in ("sos/SFC-val/annotations", "coco/referring"):
        intra_class = json.loads((place / "data" / file / "intra_class.json").read_text())
        assert len(intra_class["images"]) > 1
        assert all(image["distractors"] for image in intra_class["images"])
    for percent in (1, 10, 50):
        file = place / f"data/coco/annotations/instances_train2017_{percent}percent.json"
        images = json.loads(file.read_text())["images"]
        assert len(images) == percent
        # The index of a part holds objects of its images alone.
        part = IndexedRecords(place / f"data/coco_{percent}percent.arrow")
        assert len(part) == percent
    mixed = json.loads((place / "data/sos/COCO-mix-1percent-50K/manifest.json").read_text())
    assert mixed["recipe"]["segments"]["banks"][1]["path"] == "data/coco_1percent.arrow"
    coco_ids = set(read_vocabulary("coco").values())
    made = json.loads((place / "data/sos/COCO-mix-1percent-50K/annotations/instances.json").read_text())
    assert {each["id"] for each in made["categories"]} <= coco_ids


def test_paths_in_configs_agree():
    """The comments name the same commands."""
    texts = {name: (ROOT / "configs" / name).read_text() for name in ("_base_/mmdet/paste.py", "synthesis/gc_like.py")}
    for number, text in zip("21", texts.values(), strict=True):
        wanted = next(each for each in commands()[number] if ("FC" if number == "2" else "GC") + ".arrow" in each)
        plain = " ".join(text.replace("#", " ").split())
        assert " ".join(wanted.split()) in plain
