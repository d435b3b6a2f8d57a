"""The photographs' annotations by task, for `photograph_detection.py`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sos_mm.atomic import write_atomic
from sos_mm.formats.coco import LISTS
from sos_mm.formats.json_reader import read_lists

PARTS = ("train", "val")


@dataclass(frozen=True)
class Task:
    """The classes of a task, which are names of COCO's categories or of its supercategories."""

    classes: tuple[str, ...]
    key: str


SUPERCATEGORIES = (
    "person", "vehicle", "outdoor", "animal", "accessory", "sports", "kitchen", "food", "furniture", "electronic",
    "appliance", "indoor",
)  # fmt: skip
TASKS = {"person": Task(("person",), "name"), "supercategories": Task(SUPERCATEGORIES, "supercategory")}


def prepare(photos: Path, folder: Path, task: Task) -> None:
    """Writes the annotations with the task's classes, and folders of backgrounds that show none of them.

    Args:
        photos: The photographs.
        folder: Gets `train.json`, `val.json` and `backgrounds/`: links to the unlabelled photographs and to those of
            the training part without any object of the classes.
        task: Its classes.

    Raises:
        FileNotFoundError: If a file or folder of the photographs is missing.
    """
    needed = [photos / f"{kind}{part}{end}" for part in PARTS for kind, end in (("instances_", ".json"), ("", ""))]
    for path in (*needed, photos / "train_unlabelled"):
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist: --photos must name a folder with train/, val/, instances_train.json, "
                "instances_val.json and train_unlabelled/, such as a sample of COCO 2017 (https://cocodataset.org)."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        labels = with_classes(read_lists(photos / f"instances_{part}.json", *LISTS), task)
        write_atomic(folder / f"{part}.json", json.dumps(labels).encode())
    backgrounds = folder / "backgrounds"
    backgrounds.mkdir(exist_ok=True)
    labels = read_lists(folder / "train.json", *LISTS)
    shown = {each["image_id"] for each in labels["annotations"]}
    free = [photos / "train" / each["file_name"] for each in labels["images"] if each["id"] not in shown]
    for path in (*free, *sorted((photos / "train_unlabelled").iterdir())):
        if not (backgrounds / path.name).exists():
            os.symlink(path.absolute(), backgrounds / path.name)


def with_classes(labels: dict, task: Task) -> dict:
    """Returns COCO annotations whose categories are a task's classes, numbered from 1; other objects are left out.

    >>> labels = {"images": [], "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}]}
    >>> labels["annotations"] = [{"id": 1, "category_id": 7}]
    >>> with_classes(labels, TASKS["supercategories"])["annotations"]
    [{'id': 1, 'category_id': 4}]
    >>> with_classes(labels, TASKS["person"])["annotations"]
    []
    """
    number = {name: place for place, name in enumerate(task.classes, start=1)}
    new = {each["id"]: number.get(each[task.key]) for each in labels["categories"]}
    kept = [each for each in labels["annotations"] if new[each["category_id"]] is not None]
    return {
        "images": labels["images"],
        "annotations": [{**each, "category_id": new[each["category_id"]]} for each in kept],
        "categories": [{"id": place, "name": name} for name, place in number.items()],
    }
