"""The photographs' annotations by task, and other banks of the task's classes, for `photograph_detection.py`."""

import json
from dataclasses import dataclass
from pathlib import Path

from photograph_links import link, photographic_stamps

from sos_mm.atomic import write_atomic
from sos_mm.formats.coco import LISTS
from sos_mm.formats.json_reader import read_lists
from sos_mm.segments.sample import SAMPLE_FOLDER

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
# Folders of tuxpaint-stamps-default whose PNG files are photographs of a supercategory.
STAMPS = {
    **{f"animals/{kind}": "animal" for kind in ("amphibians", "birds", "fish", "insects", "mammals", "marsupials")},
    **{f"food/{kind}": "food" for kind in ("fruit", "nuts", "vegetables")},
    **{f"vehicles/{kind}": "vehicle" for kind in ("auto", "construction", "cycle", "emergency", "flight", "ship")},
    "household/dishes": "kitchen",
    "sports": "sports",
}
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
    labels = read_lists(folder / "train.json", *LISTS)
    shown = {each["image_id"] for each in labels["annotations"]}
    free = [photos / "train" / each["file_name"] for each in labels["images"] if each["id"] not in shown]
    for path in (*free, *sorted((photos / "train_unlabelled").iterdir())):
        link(path, folder / "backgrounds" / path.name)


def with_classes(labels: dict, task: Task) -> dict:
    """Returns COCO annotations whose categories are a task's classes, numbered from 1; other objects are left out.

    >>> labels = {"images": [], "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}]}
    >>> labels["annotations"] = [{"id": 1, "category_id": 7}]
    >>> with_classes(labels, TASKS["supercategories"])["annotations"]
    [{'id': 1, 'category_id': 4}]
    >>> with_classes(labels, TASKS["person"])["annotations"]
    []
    """
    number = {name: id for id, name in enumerate(task.classes, start=1)}
    new = {each["id"]: number.get(each[task.key]) for each in labels["categories"]}
    kept = [each for each in labels["annotations"] if new[each["category_id"]] is not None]
    return {
        "images": labels["images"],
        "annotations": [{**each, "category_id": new[each["category_id"]]} for each in kept],
        "categories": [{"id": id, "name": name} for name, id in number.items()],
    }


def link_banks(photos: Path, stamps: Path | None, folder: Path) -> None:
    """Links cut-outs from elsewhere, in folders of COCO's supercategories.

    Args:
        photos: The photographs, whose annotations say the supercategory of each category.
        stamps: Folder of Tux Paint's stamps; None for none.
        folder: Gets `sample/`, what the bundled segments show of COCO's categories, and `stamps/`.

    Raises:
        FileNotFoundError: If the stamps are not there.
    """
    categories = read_lists(photos / "instances_train.json", *LISTS)["categories"]
    known = {each["name"].replace(" ", "_"): each["supercategory"] for each in categories}
    segments = SAMPLE_FOLDER / "segments"
    for path in sorted(segments.glob("*/*/*.webp")):
        name = path.relative_to(segments).parts[0]
        if name in known:
            link(path, folder / "sample" / known[name] / name / path.name)
    for name, paths in photographic_stamps(stamps, STAMPS).items() if stamps is not None else ():
        for path in paths:
            link(path, folder / "stamps" / STAMPS[name] / path.parent.name / path.name)
