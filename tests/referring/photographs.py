"""Checks the expressions of labelled photographs by the independent evaluator.

    python -m tests.referring.photographs instances_val.json val/ [--number 60]

Crowds are filled with people and things at random places: no expression may become false or ambiguous by them.
"""

import argparse
import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle

from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.phrasing import write
from sos_mm.referring.verify import facts_of, parser_of
from tests.referring.brute_force import BruteForce, broader_terms, name_of

WORLDS = 5


def instance(annotation: dict, name: str, size: tuple[int, int]) -> Instance | None:
    """An annotation as an instance; None if it has no area."""
    x, y, w, h = annotation["bbox"]
    if w <= 0 or h <= 0:
        return None
    shape = annotation.get("segmentation")
    close = max(1, 0.0045 * max(size))
    cut = min(x, y, size[1] - x - w, size[0] - y - h) < close
    if not shape:
        return Instance(annotation["id"], name, (x, y, x + w, y + h), truncated=cut)
    if isinstance(shape, list):
        shape = rle.merge(rle.frPyObjects(shape, *size))
    elif isinstance(shape["counts"], list):
        shape = rle.frPyObjects(shape, *size)
    mask = rle.decode(shape).astype(bool)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    part = mask[box[1] : box[3], box[0] : box[2]]
    return Instance(annotation["id"], name, tuple(map(float, box)), part, box[:2], truncated=cut)


def photographs(annotations: Path, folder: Path):
    """The images of a COCO file."""
    content = json.loads(annotations.read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    by_image = defaultdict(list)
    for each in content["annotations"]:
        by_image[each["image_id"]].append(each)
    for image in content["images"]:
        pixels = cv2.cvtColor(cv2.imread(str(folder / image["file_name"])), cv2.COLOR_BGR2RGB)
        size, found = pixels.shape[:2], ([], [])
        for each in by_image[image["id"]]:
            one = instance(each, names[each["category_id"]], size)
            if one is not None:
                found[bool(each.get("iscrowd"))].append(one)
        yield AnnotatedImage(
            size[1], size[0], tuple(found[0]), tuple(found[1]), frozenset(names.values()), pixels,
            file_name=image["file_name"],
        )  # fmt: skip


def worlds(image: AnnotatedImage, rng: np.random.Generator):
    """The image with its crowds empty, and with things in them."""
    yield replace(image, ignored=(), complete=image.complete | {"object"})
    for _ in range(WORLDS if image.ignored else 0):
        more = []
        for region in image.ignored:
            for _ in range(rng.integers(1, 4)):
                (x0, x1), (y0, y1) = (np.sort(rng.uniform(*region.box[axis::2], 2)) for axis in (0, 1))
                if x1 - x0 > 1 and y1 - y0 > 1:
                    more.append(Instance(f"more {len(more)}", region.category, tuple(map(float, (x0, y0, x1, y1)))))
        instances = (*image.instances, *more)
        yield replace(image, instances=instances, ignored=(), complete=image.complete | {"object"})


def heads(meaning: dict):
    """Its head and those of its landmarks."""
    yield meaning["head"]
    owners = [*meaning.get("relations", ()), *([meaning["rank"]] if "to" in meaning.get("rank", {}) else [])]
    for owner in owners:
        for each in owner["to"]:
            yield from heads(each)


def main() -> None:
    """Prints numbers by type, and each expression that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=None)
    options = parser.parse_args()
    counts, wrong, rng = Counter(), 0, np.random.default_rng(0)
    for index, image in enumerate(photographs(options.annotations, options.folder)):
        if index == options.number:
            break
        out = write(image, np.random.default_rng(index))
        counts["images"] += 1
        possible = [BruteForce(each, [(set(), set())] * len(each.instances)) for each in worlds(image, rng)]
        complete = {name_of(each) for each in image.complete}
        for each in out:
            number = "none" if not each.targets else "several" if each.plural else "one"
            counts[f"{each.kind}, {number}"] += 1
            readings = parser_of(facts_of(image), "en").readings(each.text)
            known = all(complete & {head, *broader_terms(head)} for head in heads(each.meaning))
            holds = (
                known
                and each.meaning in readings
                and all(
                    world.verdict(meaning, each.targets) == "true"
                    for world in possible
                    for meaning in world.counting(readings, each.targets)
                )
            )
            if not holds:
                wrong += 1
                print("WRONG", image.file_name, each)
    for key in sorted(counts):
        print(key, counts[key])
    print("wrong", wrong)


if __name__ == "__main__":
    main()
