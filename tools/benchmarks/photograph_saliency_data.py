"""The data of `photograph_saliency.py`: photographs of one main object to judge on, and what is composed of the others.

The rule: a photograph has a main object if its largest annotated object is no group, covers 4 to 60 % of it, and is at
least three times as large as the next one, groups included. `MAIN_OBJECTS` lists the photographs that it chooses. Those
of the training part are neither cut out nor used as backgrounds. Another photograph is a background if no annotated
object covers 4 % or more of it, which would be salient, too.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from photograph_links import link, photographic_stamps
from saliency_study_data import paste_among

from sos_mm.atomic import write_atomic
from sos_mm.augmentation import SegmentPaste
from sos_mm.cutouts.writing import save_png
from sos_mm.engine.randomness import RunRandomness
from sos_mm.formats.rle import decode_mask
from sos_mm.synthesis import synthesize
from sos_mm.synthesis.recipe import Recipe

COVERED = (0.04, 0.6)
TIMES_THE_NEXT = 3
MAIN_OBJECTS = {
    "train": (
        *("000000000025", "000000000034", "000000000042", "000000000071", "000000000073", "000000000078"),
        *("000000000081", "000000000089", "000000000092", "000000000133", "000000000151", "000000000154"),
        *("000000000196", "000000000208", "000000000247", "000000000294", "000000000307", "000000000322"),
        *("000000000326", "000000000349", "000000000370", "000000000384", "000000000395", "000000000415"),
        *("000000000419", "000000000428", "000000000431", "000000000446", "000000000459", "000000000471"),
        *("000000000474", "000000000502", "000000000514", "000000000532"),
    ),
    "val": (
        *("000000000724", "000000000785", "000000001675", "000000001993", "000000002157", "000000003553"),
        *("000000003661", "000000004495", "000000005060", "000000005477", "000000005529", "000000006040"),
        *("000000007511", "000000007784", "000000007818", "000000007977", "000000008532", "000000008844"),
        *("000000009483", "000000009769"),
    ),
}
# Folders of tuxpaint-stamps-default whose PNG files are photographs.
STAMPS = ("animals", "food", "hobbies", "household", "plants", "sports", "vehicles")
CANVAS = (280, 374)
# Of the crops: the border cuts off many main objects of photographs.
SIZE = (240, 320)
SEED = 0
# Sizes are of boxes, of which an object fills about 60 %.
MAIN = dict(
    type="StructuredLayout",
    counts=(1, 1),
    shares=dict(large=1.0, medium=0.0, small=0.0),
    areas=dict(large=(0.25, 0.95), medium=(0.25, 0.95), small=(0.25, 0.95)),
    aspect=(0.5, 2.0),
    flip=0.5,
    max_enlargement=4.0,
)
DISTRACTORS = dict(
    type="StructuredLayout",
    counts=(1, 5),
    shares=dict(large=0.0, medium=0.0, small=1.0),
    areas=dict(large=(0.004, 0.04), medium=(0.004, 0.04), small=(0.004, 0.04)),
    flip=0.5,
    crowded="fewer",
    max_enlargement=2.0,
)


def main_object(objects: Sequence[Mapping[str, Any]], pixels: int) -> Mapping[str, Any] | None:
    """Returns the annotation of a photograph's main object; None if it has none.

    Args:
        objects: COCO annotations of all objects of the photograph.
        pixels: Its number of pixels.

    >>> dog, cat = dict(area=600, iscrowd=0), dict(area=200, iscrowd=0)
    >>> main_object([cat, dog], 1000) is dog, main_object([cat, dog], 999), main_object([dog, dog], 2000)
    (True, None, None)
    """
    if not objects:
        return None
    first, *others = sorted(objects, key=lambda each: -each["area"])
    rest = max((each["area"] for each in others), default=0)
    chosen = (
        not first.get("iscrowd")
        and COVERED[0] <= first["area"] / pixels <= COVERED[1]
        and first["area"] >= TIMES_THE_NEXT * rest
    )
    return first if chosen else None


def prepare(
    photos: Path, folder: Path, stamps: Path | None, expected: Mapping[str, Sequence[str]] = MAIN_OBJECTS
) -> None:
    """Writes the test set and what training images are composed of.

    Args:
        photos: The photographs.
        folder: Gets `test/` with images and masks, `cutouts.json` with the objects that may be cut out, and
            `backgrounds/` and `stamps/`, links.
        stamps: Folder of Tux Paint's stamps; None for none.
        expected: Stems of the photographs that the rule must choose.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If the rule chooses other photographs, which would be another test set.
    """
    check_complete(photos)
    labels = {part: json.loads((photos / f"instances_{part}.json").read_text()) for part in expected}
    chosen = {part: main_objects(each) for part, each in labels.items()}
    found = {part: sorted(Path(name).stem for name in names) for part, names in chosen.items()}
    for part, stems in expected.items():
        if found[part] != sorted(stems):
            other = sorted(set(found[part]) ^ set(stems))
            raise ValueError(
                f"{photos}/instances_{part}.json must give the {len(stems)} photographs of a main object that this "
                f"study lists, but {len(other)} differ, {other[0]} first: give the sample of COCO 2017 that the study "
                "was made for."
            )
    for part, objects in chosen.items():
        write_test(photos / part, folder / "test", labels[part], objects)
    left = [each for each in labels["train"]["images"] if each["file_name"] not in chosen["train"]]
    pixels = {each["id"]: each["width"] * each["height"] for each in left}
    objects = [each for each in labels["train"]["annotations"] if each["image_id"] in pixels]
    write_atomic(
        folder / "cutouts.json", json.dumps({**labels["train"], "images": left, "annotations": objects}).encode()
    )
    crowded = {each["image_id"] for each in objects if each["area"] >= COVERED[0] * pixels[each["image_id"]]}
    free = [photos / "train" / each["file_name"] for each in left if each["id"] not in crowded]
    for path in (*free, *sorted((photos / "train_unlabelled").iterdir())):
        link(path, folder / "backgrounds" / path.name)
    if stamps is not None:
        link_stamps(stamps, folder / "stamps")


def check_complete(photos: Path) -> None:
    """Raises FileNotFoundError with what is missing."""
    for name in ("instances_train.json", "instances_val.json", "train", "val", "train_unlabelled"):
        if not (photos / name).exists():
            raise FileNotFoundError(
                f"{photos / name} does not exist: --photos must name a folder with train/, val/, train_unlabelled/, "
                "instances_train.json and instances_val.json, the sample of COCO 2017 (https://cocodataset.org) that "
                "this study was made for."
            )


def main_objects(labels: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the main objects of COCO annotations by the photographs' file names, for those that have one."""
    of_image = defaultdict(list)
    for each in labels["annotations"]:
        of_image[each["image_id"]].append(each)
    found = {
        image["file_name"]: main_object(of_image[image["id"]], image["width"] * image["height"])
        for image in labels["images"]
    }
    return {name: each for name, each in found.items() if each is not None}


def write_test(images: Path, folder: Path, labels: Mapping[str, Any], objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Links the photographs of main objects, and writes their masks."""
    sizes = {each["file_name"]: (each["height"], each["width"]) for each in labels["images"]}
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for name, each in objects.items():
        link(images / name, folder / "images" / name)
        mask = decode_mask(each["segmentation"], sizes[name], name)
        cv2.imwrite(str(folder / "masks" / f"{Path(name).stem}.png"), 255 * np.ascontiguousarray(mask, np.uint8))


def link_stamps(stamps: Path, folder: Path) -> None:
    """Links the stamps that are photographs, in folders of their categories."""
    for path in chain.from_iterable(photographic_stamps(stamps, STAMPS).values()):
        link(path, folder / path.parent.name / path.name)


def bank(photos: Path, folder: Path, least: int, stamps: bool) -> dict[str, Any]:
    """Returns the bank of cut-outs of at least so many pixels: the photographs' objects, and the stamps as often."""
    own = dict(
        type="coco",
        annotations=str(folder / "cutouts.json"),
        images=str(photos / "train"),
        truncated=False,
        max_bordering=0.3,
        filters=dict(area=(least, 1e9)),
    )
    if not stamps:
        return own
    return dict(type="mix", banks=[own, dict(type="folder", root=str(folder / "stamps"))], weights=[1, 1])


def compose(photos: Path, folder: Path, number: int) -> None:
    """Composes the training images, unless that is done: a large object, which is salient, and small ones, which are
    not.
    """
    if (folder / "train/done").exists():
        return
    stamps, plain = (folder / "stamps").exists(), folder / "without_distractors"
    recipe = Recipe.from_dict(main_recipe(photos, folder, stamps))
    synthesize(recipe, folder / "whole", number, seed=SEED, progress=False)
    crop_all(folder / "whole", plain)
    paste = SegmentPaste(**distractor_options(photos, folder, stamps))
    paste.draws = RunRandomness(SEED)
    paste_among(plain, folder / "train", {"masks": paste})


def main_recipe(photos: Path, folder: Path, stamps: bool) -> dict[str, Any]:
    """Returns the recipe of images with one large object."""
    return {
        "canvas": CANVAS,
        "segments": bank(photos, folder, 4000, stamps),
        "backgrounds": dict(type="folder", root=str(folder / "backgrounds")),
        "layout": MAIN,
        "sampling": "uniform",
        "effects": "default",
        "formats": ["saliency"],
        "image_format": "png",
    }


def distractor_options(photos: Path, folder: Path, stamps: bool) -> dict[str, Any]:
    """Returns the options of `SegmentPaste` that add small objects."""
    return dict(
        bank=bank(photos, folder, 400, stamps),
        prob=1.0,
        layout=DISTRACTORS,
        sampling="uniform",
        effects="default",
        saliency=0.0,
    )


def recipes(stamps: bool) -> dict[str, dict[str, Any]]:
    """Returns what the training images depend on, as `same_recipes` takes it: their folders are the same for all."""
    photos, folder = Path("/photos"), Path("/data")
    made_of = dict(main=main_recipe(photos, folder, stamps), distractors=distractor_options(photos, folder, stamps))
    return {"train": dict(**made_of, crop=SIZE, seed=SEED, covered=COVERED, times_the_next=TIMES_THE_NEXT)}


def crop_all(whole: Path, folder: Path) -> None:
    """Crops images and their masks at random to `SIZE`."""
    for index, path in enumerate(sorted((whole / "images").iterdir())):
        rng = np.random.default_rng((SEED, index))
        top, left = (int(rng.integers(side - size + 1)) for side, size in zip(CANVAS, SIZE, strict=True))
        for kind in ("images", "masks"):
            pixels = cv2.imread(str(whole / kind / path.name), cv2.IMREAD_UNCHANGED)
            save_png(folder / kind / path.name, pixels[top : top + SIZE[0], left : left + SIZE[1]])
