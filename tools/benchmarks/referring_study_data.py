"""Composes the images of the referring study, and writes its sentences: those of four arms to train on, and those to
evaluate on.

Training and test images have other objects and other background photographs. A third of the training images and half
of the test images are of a single category, so that words, not the category, tell objects apart. Where a category of
the bundled sample has one held-out object, its copies in an image differ in position, size and overlap alone. The
background photographs (gravel, lawn, stars, ...) show nothing of the ten categories: expressions are unique on that
condition.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from referring_study_words import reworded

from sos_mm.atomic import write_atomic
from sos_mm.composition.scene import Scene
from sos_mm.formats.json_writer import write_json_lines, write_json_lists
from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.formats.odvg import detection_line, instance_record, label_map
from sos_mm.formats.odvg_referring import to_odvg
from sos_mm.formats.phrases import clean_phrase
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.from_scene import annotated
from sos_mm.referring.phrasing import Amounts, write
from sos_mm.referring.verify import verify
from sos_mm.synthesis.recipe import load_recipe
from sos_mm.synthesis.scenes import SceneMaker
from sos_mm.synthesis.writers import encode_image

RECIPES = Path(__file__).resolve().parents[2] / "configs/synthesis"
ARMS = {
    "phrases": "phrases alone",
    "false": "expressions, 20 % made false",
    "proved": "proved expressions",
    "no_target": "proved, with no-target ones",
}
FALSE_SHARE, NO_TARGET_SHARE = 0.2, 0.25
# Sentences of a training image; kinds of sentences of a test image.
MOST_SENTENCES, KINDS = 6, ("attribute", "spatial", "mixed")
# Data sets, by name: recipe, group of backgrounds, seed, and which image of how many is of a single category.
SETS = {"train": ("sample_ten.py", "train", 0, 3), "test": ("sample_ten_held_out.py", "held_out", 1, 2)}
_AMOUNTS = Amounts(each=(3, 6), several=0.2, none=0.3)


@dataclass(frozen=True)
class Sample:
    """An image with what is said of it.

    Attributes:
        id: From 1.
        scene, image: The scene, and the same as the input of referring.
        expressions: All that the grammar wrote.
    """

    id: int
    scene: Scene
    image: AnnotatedImage
    expressions: list[ReferringExpression]


def make_data(out: Path, train: int, test: int) -> None:
    """Writes ``train`` and ``test`` into a folder, unless they are there.

    Each has ``images`` and ``questions.json``, sentences to evaluate on (of about 60 images of ``train``, for choosing
    a score threshold) as an ``mdetr`` file, and ``questions_details.json`` with what the report needs to know of them.
    ``train`` has ``detection.jsonl``, ``labels.json`` and ``sentences_ARM.jsonl``.
    """
    for name, number in (("train", train), ("test", test)):
        folder = out / name
        if (folder / "questions_details.json").is_file():
            continue
        (folder / "images").mkdir(parents=True, exist_ok=True)
        samples = list(make_samples(name, number))
        for each in samples:
            write_atomic(folder / "images" / each.image.file_name, encode_image(each.scene))
        if name == "train":
            write_training(folder, samples)
        asked = samples if name == "test" else samples[:: max(len(samples) // 60, 1)]
        write_questions(folder, asked, np.random.default_rng(3))


def make_samples(name: str, number: int) -> Iterator[Sample]:
    """Composes the images of a set."""
    path, backgrounds, seed, period = SETS[name]
    recipe = load_recipe(RECIPES / path)
    recipe = replace(
        recipe,
        backgrounds={"type": "sample", "group": backgrounds},
        layout={**recipe.layout, "counts": (2, 4), "shares": {"large": 0.8, "medium": 0.2, "small": 0.0}},
    )
    mixed, single = SceneMaker(recipe, seed), SceneMaker(replace(recipe, sampling="single_category"), seed)
    complete = sorted(mixed.bank.categories)
    for index in range(number):
        scene = (single if index % period == period - 1 else mixed).make(index)
        image = annotated(scene, complete, f"{index + 1:06}.jpg", index + 1)
        rng = np.random.default_rng([seed, index])
        yield Sample(index + 1, scene, image, write(image, rng, amounts=_AMOUNTS))


def write_training(folder: Path, samples: Sequence[Sample]) -> None:
    """Writes the lines to train on: categories, and the sentences of each arm."""
    names = sorted({each.category for sample in samples for each in sample.image.instances})
    labels = {name: label for label, name in enumerate(names)}
    write_atomic(folder / "labels.json", json.dumps(label_map(names)).encode())
    write_json_lines(folder / "detection.jsonl", (_detection(each, labels) for each in samples))
    sentences = training_sentences(samples, np.random.default_rng(2))
    for arm, expressions in sentences.items():
        write_json_lines(folder / f"sentences_{arm}.jsonl", to_odvg(expressions))


def _detection(sample: Sample, labels: dict[str, int]) -> dict:
    image = sample.image
    instances = (instance_record(each.box, labels[each.category], each.category) for each in image.instances)
    return detection_line(image.file_name, (image.height, image.width), instances)


def training_sentences(samples: Sequence[Sample], rng: np.random.Generator) -> dict[str, list[Expression]]:
    """Returns the sentences of each arm, by image equally many as far as its phrases suffice.

    Arm 'false' has the sentences of 'proved', but for those that it makes false, and 'no_target' replaces a share of
    them by near misses of them.
    """
    sentences: dict[str, list[Expression]] = {arm: [] for arm in ARMS}
    for sample in samples:
        meant = [each for each in sample.expressions if each.targets]
        chosen = [meant[index] for index in rng.permutation(len(meant))[:MOST_SENTENCES].tolist()]
        parts = {
            "phrases": phrase_pairs(sample, len(chosen), rng),
            "proved": [(each.text, each.targets) for each in chosen],
            "false": [
                (made_false(sample, each, rng) if rng.random() < FALSE_SHARE else None) or (each.text, each.targets)
                for each in chosen
            ],
            "no_target": with_no_target(sample, chosen, rng),
        }
        for arm, pairs in parts.items():
            start = len(sentences[arm])
            sentences[arm] += [_expression(start + index, sample, *pair) for index, pair in enumerate(pairs, 1)]
    return sentences


def phrase_pairs(sample: Sample, number: int, rng: np.random.Generator) -> list[tuple[str, tuple[int, ...]]]:
    """Draws phrases and descriptions of objects, each with all objects that have it."""
    said: dict[str, list[int]] = {}
    for index, each in enumerate(sample.scene.objects):
        for text in {clean_phrase(text).lower() for text in (each.phrase, each.description)} - {""}:
            said.setdefault(text, []).append(index)
    texts = sorted(said)
    return [(texts[index], tuple(said[texts[index]])) for index in rng.permutation(len(texts))[:number].tolist()]


def made_false(
    sample: Sample, expression: ReferringExpression, rng: np.random.Generator
) -> tuple[str, tuple[int, ...]] | None:
    """Returns a false claim: the sentence with a wrong object, or a near miss of it with its targets.

    None if the facts refute neither.
    """
    others = [index for index in range(len(sample.image.instances)) if index not in expression.targets]
    wrong = [(expression.text, (index,)) for index in others]
    near = [(each.text, expression.targets) for each in sample.expressions if each.near == expression.text]
    shuffled = [choices[index] for choices in (wrong, near) for index in rng.permutation(len(choices)).tolist()]
    if near and rng.random() < 0.5:
        shuffled.sort(key=lambda claim: claim not in near)
    return next((claim for claim in shuffled if verify(sample.image, *claim).status == "refused"), None)


def with_no_target(
    sample: Sample, chosen: Sequence[ReferringExpression], rng: np.random.Generator
) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the sentences, of which near misses without target replace a share."""
    absent = [each for each in sample.expressions if not each.targets]
    wanted = len(chosen) * NO_TARGET_SHARE
    number = min(int(wanted) + (rng.random() < wanted % 1), len(absent))
    drawn = [absent[index] for index in rng.permutation(len(absent))[:number].tolist()]
    return [(each.text, each.targets) for each in (*chosen[: len(chosen) - number], *drawn)]


def write_questions(folder: Path, samples: Sequence[Sample], rng: np.random.Generator) -> None:
    """Writes the sentences to evaluate on.

    Of each image: for each kind one of a single target, in hand-written words and in those of the grammar, one of
    several targets and two without target, these in hand-written words.
    """
    expressions, details = [], []
    for sample in samples:
        for each, text, wording in _questions(sample, rng):
            id = len(expressions) + 1
            expressions.append(_expression(id, sample, text, each.targets))
            details.append({"id": id, "image": sample.id, "text": text, "kind": each.kind, "wording": wording})
            details[-1] |= _boxes(sample.image, each.targets)
    write_json_lists(folder / "questions.json", to_mdetr(expressions))
    write_atomic(folder / "questions_details.json", json.dumps(details, indent=1).encode())


def _questions(sample: Sample, rng: np.random.Generator) -> Iterator[tuple[ReferringExpression, str, str]]:
    groups = [
        ([each for each in sample.expressions if each.kind == kind and len(each.targets) == 1], 1) for kind in KINDS
    ]
    groups.append(([each for each in sample.expressions if len(each.targets) > 1], 1))
    groups.append(([each for each in sample.expressions if not each.targets], 2))
    for expressions, number in groups:
        found = 0
        for index in rng.permutation(len(expressions)).tolist():
            text = reworded(sample.image, expressions[index], rng) if found < number else None
            if text is not None:
                found += 1
                yield expressions[index], text, "hand-written"
                if len(expressions[index].targets) == 1:
                    yield expressions[index], expressions[index].text, "grammar"


def _boxes(image: AnnotatedImage, targets: tuple[int, ...]) -> dict:
    """The boxes of targets; of a single one also those of the others of its category, and numbers for chance."""
    boxes = [list(each.box) for each in image.instances]
    found = {"targets": [boxes[target] for target in targets], "distractors": [], "objects": len(boxes)}
    if len(targets) == 1:
        category = image.instances[targets[0]].category
        others = [index for index, each in enumerate(image.instances) if each.category == category]
        found["distractors"] = [boxes[index] for index in others if index != targets[0]]
    return found


def _expression(id: int, sample: Sample, text: str, targets: Sequence[int]) -> Expression:
    image = sample.image
    spans = [[0, len(text)]]
    found = [Target(image.instances[index].box, 1, spans) for index in targets]
    part = {"file_name": image.file_name, "height": image.height, "width": image.width}
    return Expression(id, text, part, sample.id, "refcoco", found)
