"""Composes small images, and makes of them training lines and evaluation sets in the forms of LVIS, RefCOCO, gRefCOCO
and DoD, as `configs/grounding/sample_tiny.py` reads them.

An object's phrase and description are true of it alone where no other object of the image has the same. What is said of
a category that an image does not show is true of nothing in it.
"""

import argparse
import json
import pickle
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.formats.odvg_referring import to_odvg
from sos_mm.formats.phrases import clean_phrase
from sos_mm.synthesis import synthesize
from sos_mm.synthesis.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "configs/synthesis/sample_grounding.py"


@dataclass(frozen=True)
class Words:
    """What can be said of objects.

    Attributes:
        category: Their category.
        phrase, description: In lower case, without a stop.
    """

    category: str
    phrase: str
    description: str


@dataclass(frozen=True)
class Picture:
    """An image.

    Attributes:
        id: From 1.
        image: ``file_name``, ``height`` and ``width``.
        objects: Words, category id and half-open xyxy box of each object.
    """

    id: int
    image: dict
    objects: list[tuple[Words, int, list[int]]]

    @cached_property
    def alone(self) -> list[tuple[Words, int, list[int]]]:
        """The objects whose words are true of no other one."""
        return [each for each in self.objects if sum(each[0] == other[0] for other in self.objects) == 1]


def main() -> None:
    """Makes all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/grounding_sample"), help="where it goes")
    parser.add_argument("--train", type=int, default=800, help="images to train on")
    parser.add_argument("--val", type=int, default=60, help="images to evaluate on")
    args = parser.parse_args()
    make_sets(args.out, args.train, args.val)


def make_sets(out: Path, train: int, val: int) -> None:
    """Writes ``train`` and ``val``, and ``shuffled``: the sets of ``val`` with mismatched text.

    There are expressions in gRefCOCO's form for ``train`` as well, to choose by from which score on an answer counts.
    """
    recipe = load_recipe(RECIPE)
    for seed, (name, number) in enumerate({"train": train, "val": val}.items()):
        synthesize(recipe, out / name, number, seed=seed, progress=False)
    pictures = read_pictures(out / "train")
    lines = to_odvg(single_expressions(pictures, np.random.default_rng(0)))
    write_json_lines(out / "train/annotations/odvg_referring.jsonl", lines)
    write_json_lists(out / "train/annotations/grefcoco.json", to_mdetr(numbered(present_and_absent(pictures[:val]))))
    lvis = json.loads((out / "val/annotations/lvis_v1.json").read_text())
    pictures = read_pictures(out / "val")
    for name, shift in (("val", 0), ("shuffled", 1)):
        folder = out / name / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        write_evaluations(folder, pictures, shift)
        names = [each["name"] for each in lvis["categories"]]
        renamed = [each | {"name": new} for each, new in zip(lvis["categories"], rolled(names, shift), strict=True)]
        write_json_lists(folder / "lvis_v1.json", lvis | {"categories": renamed})


def write_evaluations(folder: Path, pictures: list[Picture], shift: int) -> None:
    """Writes the sets in RefCOCO's, gRefCOCO's and DoD's form; words are those of the ``shift``-th next expression."""
    sets = {
        "refcoco": [*found(pictures, "phrase", "refcoco"), *found(pictures, "description", "refcocog")],
        "grefcoco": present_and_absent(pictures),
    }
    for name, expressions in sets.items():
        texts = rolled([each.text for each in expressions], shift)
        made = [reworded(each, text) for each, text in zip(expressions, texts, strict=True)]
        write_json_lists(folder / f"{name}.json", to_mdetr(numbered(made)))
    write_dod(folder, pictures, shift)


def reworded(expression: Expression, text: str) -> Expression:
    """Returns the same with other words, all of which mean its targets."""
    targets = [replace(each, spans=[[0, len(text)]]) for each in expression.targets]
    return replace(expression, text=text, targets=targets)


def present_and_absent(pictures: list[Picture]) -> list[Expression]:
    """Expressions that mean one object, and as many that mean none."""
    return [*found(pictures, "phrase", "refcoco"), *absent(pictures, np.random.default_rng(1))]


def numbered(expressions: list[Expression]) -> list[Expression]:
    """Returns the same with ids from 1."""
    return [replace(each, id=number) for number, each in enumerate(expressions, 1)]


def read_pictures(folder: Path) -> list[Picture]:
    """Returns the images of a composed data set, from ``annotations/objects.jsonl``."""
    pictures = []
    for number, line in enumerate((folder / "annotations/objects.jsonl").read_text().splitlines(), 1):
        record = json.loads(line)
        height, width = record["canvas"]
        objects = [(words_of(each), each["category_id"], each["box"]) for each in record["objects"]]
        image = {"file_name": record["file_name"], "height": height, "width": width}
        pictures.append(Picture(number, image, objects))
    return pictures


def words_of(record: dict) -> Words:
    """Returns what is said of an object."""
    phrase, description = (clean_phrase(record[key]).lower() for key in ("phrase", "description"))
    return Words(record["category"], phrase, description)


def found(pictures: list[Picture], kind: str, dataset_name: str) -> list[Expression]:
    """For each image an expression that means one object, where there is such an object."""
    return [
        expression(picture, getattr(picture.alone[0][0], kind), picture.alone[:1], dataset_name)
        for picture in pictures
        if picture.alone
    ]


def absent(pictures: list[Picture], rng: np.random.Generator) -> list[Expression]:
    """For each image an expression that means nothing in it."""
    texts = [draw(elsewhere(picture, lexicon(pictures)), rng).phrase for picture in pictures]
    return [expression(picture, text, []) for picture, text in zip(pictures, texts, strict=True)]


def single_expressions(pictures: list[Picture], rng: np.random.Generator) -> list[Expression]:
    """For each image one: a phrase or a description of an object, or a phrase of what is not there."""
    known, made = lexicon(pictures), []
    for picture in pictures:
        kind = rng.choice(["phrase", "description", "absent"])
        if kind == "absent" or not picture.alone:
            made.append(expression(picture, draw(elsewhere(picture, known), rng).phrase, []))
        else:
            chosen = draw(picture.alone, rng)
            made.append(expression(picture, getattr(chosen[0], kind), [chosen]))
    return made


def expression(picture: Picture, text: str, objects: list, dataset_name: str = "refcoco") -> Expression:
    """Returns an expression of some objects."""
    targets = [Target([float(side) for side in box], category, [[0, len(text)]]) for _, category, box in objects]
    return Expression(picture.id, text, picture.image, picture.id, dataset_name, targets)


def lexicon(pictures: list[Picture]) -> list[Words]:
    """Returns all that is said anywhere, sorted."""
    return sorted({words for picture in pictures for words, _, _ in picture.objects}, key=lambda each: each.phrase)


def elsewhere(picture: Picture, known: list[Words]) -> list[Words]:
    """Returns what is said of categories that an image does not show."""
    here = {words.category for words, _, _ in picture.objects}
    return [words for words in known if words.category not in here]


def draw(things: list, rng: np.random.Generator):
    """Returns one of some things."""
    return things[int(rng.integers(len(things)))]


def rolled(things: list, shift: int) -> list:
    """Returns each thing in the place of one before it."""
    return [*things[shift:], *things[:shift]]


def write_dod(folder: Path, pictures: list[Picture], shift: int) -> None:
    """Writes ``dod.json``, and in ``dod`` the four pickles that mmdet's `DODDataset` reads.

    Of each image, which is a group of its own, all phrases and descriptions of its objects are asked, and those of two
    things that it does not show.
    """
    known, rng = lexicon(pictures), np.random.default_rng(2)
    texts = sorted({text for words in known for text in (words.phrase, words.description)})
    ids = {text: number for number, text in enumerate(texts, 1)}
    images, groups, annotations = {}, {}, []
    for picture in pictures:
        others = [draw(elsewhere(picture, known), rng) for _ in range(2)]
        asked = {*(words for words, _, _ in picture.objects), *others}
        sentences = sorted({ids[text] for words in asked for text in (words.phrase, words.description)})
        images[picture.id] = {"id": picture.id, **picture.image, "anno_id": [], "group_id": picture.id}
        groups[picture.id] = {"id": picture.id, "img_id": [picture.id], "inner_sent_id": sentences}
        for words, _, (x0, y0, x1, y1) in picture.objects:
            for text in (words.phrase, words.description):
                annotations.append({"id": len(annotations) + 1, "image_id": picture.id, "category_id": ids[text]})
                annotations[-1] |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
    categories = [{"id": number, "name": text} for text, number in ids.items()]
    write_json_lists(
        folder / "dod.json", {"images": list(images.values()), "annotations": annotations, "categories": categories}
    )
    asked = {
        number: {"id": number, "raw_sent": text, "anno_id": [], "group_id": []}
        for number, text in zip(ids.values(), rolled(texts, shift), strict=True)
    }
    (folder / "dod").mkdir(exist_ok=True)
    for name, content in (("sentences", asked), ("images", images), ("groups", groups), ("annotations", {})):
        (folder / "dod" / f"{name}.pkl").write_bytes(pickle.dumps(content))


if __name__ == "__main__":
    main()
