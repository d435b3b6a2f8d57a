"""Composes small images, and converts them to training lines and to evaluation sets in the formats of LVIS, RefCOCO,
gRefCOCO and DoD, as `configs/grounding/sample_tiny.py` reads them.

An object's phrase and description are unambiguous if no other object of the image has the same. A phrase of a category
that the image does not show is a negative phrase.
"""

import argparse
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sos_mm.formats.dod import DodFiles
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.formats.objects import OBJECTS_FILE, read_objects
from sos_mm.formats.odvg_referring import to_odvg
from sos_mm.formats.phrases import clean_phrase
from sos_mm.synthesis import synthesize
from sos_mm.synthesis.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "configs/synthesis/sample_grounding.py"


@dataclass(frozen=True)
class Words:
    """The texts about an object.

    Attributes:
        category: Their category.
        phrase, description: In lower case, without a full stop.
    """

    category: str
    phrase: str
    description: str


@dataclass(frozen=True)
class Sample:
    """An image with its objects.

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
        """Returns the objects whose texts are unambiguous."""
        return [each for each in self.objects if sum(each[0] == other[0] for other in self.objects) == 1]


def main() -> None:
    """Generates all sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/grounding_sample"), help="where it goes")
    parser.add_argument("--train", type=int, default=800, help="images to train on")
    parser.add_argument("--val", type=int, default=60, help="images to evaluate on")
    args = parser.parse_args()
    make_sets(args.out, args.train, args.val)


def make_sets(out: Path, train: int, val: int) -> None:
    """Writes ``train`` and ``val``, and ``shuffled``: the sets of ``val`` with mismatched text.

    ``train`` has expressions in gRefCOCO's format as well, for choosing the score threshold.
    """
    recipe = load_recipe(RECIPE)
    for seed, (name, number) in enumerate({"train": train, "val": val}.items()):
        synthesize(recipe, out / name, number, seed=seed, progress=False)
    samples = read_samples(out / "train")
    lines = to_odvg(single_expressions(samples, np.random.default_rng(0)))
    write_json_lines(out / "train/annotations/odvg_referring.jsonl", lines)
    write_json_lists(out / "train/annotations/grefcoco.json", to_mdetr(numbered(present_and_absent(samples[:val]))))
    lvis = read_json_object(out / "val/annotations/lvis_v1.json", "The labels")
    samples = read_samples(out / "val")
    for name, shift in (("val", 0), ("shuffled", 1)):
        folder = out / name / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        write_evaluations(folder, samples, shift)
        names = [each["name"] for each in lvis["categories"]]
        renamed = [each | {"name": new} for each, new in zip(lvis["categories"], rolled(names, shift), strict=True)]
        write_json_lists(folder / "lvis_v1.json", lvis | {"categories": renamed})


def write_evaluations(folder: Path, samples: list[Sample], shift: int) -> None:
    """Writes the sets in the formats of RefCOCO, gRefCOCO and DoD, with the texts of the
    ``shift``-th next expression.
    """
    sets = {
        "refcoco": [*found(samples, "phrase", "refcoco"), *found(samples, "description", "refcocog")],
        "grefcoco": present_and_absent(samples),
    }
    for name, expressions in sets.items():
        texts = rolled([each.text for each in expressions], shift)
        made = [reworded(each, text) for each, text in zip(expressions, texts, strict=True)]
        write_json_lists(folder / f"{name}.json", to_mdetr(numbered(made)))
    write_dod(folder, samples, shift)


def reworded(expression: Expression, text: str) -> Expression:
    """Returns an expression with another text, which refers to its targets as a unit."""
    targets = [replace(each, spans=[[0, len(text)]]) for each in expression.targets]
    return replace(expression, text=text, targets=targets)


def present_and_absent(samples: list[Sample]) -> list[Expression]:
    """Returns expressions with one target, and as many negative phrases."""
    return [*found(samples, "phrase", "refcoco"), *absent(samples, np.random.default_rng(1))]


def numbered(expressions: list[Expression]) -> list[Expression]:
    """Returns the expressions with ids from 1."""
    return [replace(each, id=number) for number, each in enumerate(expressions, 1)]


def read_samples(folder: Path) -> list[Sample]:
    """Reads the images of a composed data set from ``annotations/objects.jsonl``."""
    samples = []
    for number, (_, record) in enumerate(read_objects(folder / "annotations" / OBJECTS_FILE), 1):
        height, width = record["canvas"]
        objects = [(words_of(each), each["category_id"], each["box"]) for each in record["objects"]]
        image = {"file_name": record["file_name"], "height": height, "width": width}
        samples.append(Sample(number, image, objects))
    return samples


def words_of(record: dict) -> Words:
    """Reads the texts of an object."""
    phrase, description = (clean_phrase(record[key]).lower() for key in ("phrase", "description"))
    return Words(record["category"], phrase, description)


def found(samples: list[Sample], kind: str, dataset_name: str) -> list[Expression]:
    """Returns an expression with one target for each image that has an unambiguous object."""
    return [
        expression(sample, getattr(sample.alone[0][0], kind), sample.alone[:1], dataset_name)
        for sample in samples
        if sample.alone
    ]


def absent(samples: list[Sample], rng: np.random.Generator) -> list[Expression]:
    """Returns a negative phrase for each image."""
    texts = [draw(elsewhere(sample, lexicon(samples)), rng).phrase for sample in samples]
    return [expression(sample, text, []) for sample, text in zip(samples, texts, strict=True)]


def single_expressions(samples: list[Sample], rng: np.random.Generator) -> list[Expression]:
    """Returns one expression for each image: a phrase or description of an object, or a negative phrase."""
    known, made = lexicon(samples), []
    for sample in samples:
        kind = rng.choice(["phrase", "description", "absent"])
        if kind == "absent" or not sample.alone:
            made.append(expression(sample, draw(elsewhere(sample, known), rng).phrase, []))
        else:
            chosen = draw(sample.alone, rng)
            made.append(expression(sample, getattr(chosen[0], kind), [chosen]))
    return made


def expression(sample: Sample, text: str, objects: list, dataset_name: str = "refcoco") -> Expression:
    """Builds an expression of some objects."""
    targets = [Target([float(side) for side in box], category, [[0, len(text)]]) for _, category, box in objects]
    return Expression(sample.id, text, sample.image, sample.id, dataset_name, targets)


def lexicon(samples: list[Sample]) -> list[Words]:
    """Returns the texts of all images, sorted."""
    return sorted({words for sample in samples for words, _, _ in sample.objects}, key=lambda each: each.phrase)


def elsewhere(sample: Sample, known: list[Words]) -> list[Words]:
    """Returns the texts of categories that an image does not show."""
    here = {words.category for words, _, _ in sample.objects}
    return [words for words in known if words.category not in here]


def draw(things: list, rng: np.random.Generator):
    """Draws one element uniformly."""
    return things[int(rng.integers(len(things)))]


def rolled(things: list, shift: int) -> list:
    """Rotates a list by ``shift`` positions."""
    return [*things[shift:], *things[:shift]]


def write_dod(folder: Path, samples: list[Sample], shift: int) -> None:
    """Writes the files that mmdet's `DODDataset` reads: ``dod.json``, and four pickles in ``dod``.

    Each image is a separate group, with all phrases and descriptions of its objects and those of two objects that it
    does not show.
    """
    known, rng = lexicon(samples), np.random.default_rng(2)
    texts = sorted({text for words in known for text in (words.phrase, words.description)})
    written = dict(zip(texts, rolled(texts, shift), strict=True))
    files = DodFiles(list(written.values()))
    for sample in samples:
        others = [draw(elsewhere(sample, known), rng) for _ in range(2)]
        asked = {*(words for words, _, _ in sample.objects), *others}
        made = []
        for text in sorted({text for words in asked for text in (words.phrase, words.description)}):
            meant = [each for each in sample.objects if text in (each[0].phrase, each[0].description)]
            made.append(expression(sample, written[text], meant))
        files.add(made)
    files.write(folder, "dod")


if __name__ == "__main__":
    main()
