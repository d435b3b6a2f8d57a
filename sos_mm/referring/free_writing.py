"""Lets a language model write expressions from an image's facts; only those that the facts prove are kept."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.checks import FaultyInputError, check_choice, check_integer
from sos_mm.language_model import Answer, LanguageModel, Prompt, Request, ask_each, load_prompts
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.claims import claims
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.facts import Facts
from sos_mm.referring.geometry import POSITIONS
from sos_mm.referring.language import LANGUAGES
from sos_mm.referring.verify import facts_of
from sos_mm.referring.written import MOST_CHARACTERS, WritingReport, group_of, prove

PROMPTS = Path(__file__).with_name("prompts.txt")
GROUPS = ("single", "multiple", "none")
ASKED_KINDS = ("attribute", "spatial", "mixed")
_PHRASE_CHARACTERS = 120


@dataclass(eq=False)
class FreeWriting:
    """Lets a language model write expressions about images.

    Args:
        model: The language model.
        single: Number of requested expressions with one target, for each of `ASKED_KINDS`.
        multiple: The same number with several targets.
        none: The same number without a target.
        most_objects: Most objects that the prompt describes; of more, the largest.
        language: Language of the expressions, as an ISO 639-1 code.
        prompts: A file with the prompt 'free_writing', which has the gaps ``facts``, ``language`` and ``wanted``.

    Attributes:
        report: Counts of kept and refused sentences.

    Raises:
        ValueError: If an argument is out of its range, or the file has no such prompt.
    """

    model: LanguageModel
    single: int = 6
    multiple: int = 3
    none: int = 2
    most_objects: int = 40
    language: str = "en"
    prompts: str | Path = PROMPTS
    report: WritingReport = field(default_factory=WritingReport, init=False)

    def __post_init__(self):
        for name in GROUPS:
            check_integer(name, getattr(self, name), 0, 100)
        if not any(getattr(self, name) for name in GROUPS):
            raise ValueError("One of `single`, `multiple` and `none` must be at least 1, but all are 0.")
        check_integer("most_objects", self.most_objects, 1, 1000)
        check_choice("language", self.language, LANGUAGES)
        self._prompt = named_prompt(self.prompts, "free_writing")

    def write(self, images: Iterable[AnnotatedImage]) -> Iterator[list[ReferringExpression]]:
        """Yields the proved expressions of each image, in order; an empty list if its request is refused.

        No request is sent for an image without instances.

        Raises:
            EndpointError, ImportError, OSError: As `LanguageModel.ask`.
        """
        for image, answer in ask_each(self.model, images, self.request):
            yield self.proved(image, answer) if answer else []

    def request(self, image: AnnotatedImage) -> Request | None:
        """Builds the request about an image; None if it has no instances."""
        if not image.instances:
            return None
        wanted = {name: getattr(self, name) for name in GROUPS if getattr(self, name)}
        gaps = {
            "facts": json.dumps(describe(facts_of(image), self.most_objects), ensure_ascii=False),
            "language": self.language,
            "wanted": ", ".join(
                f"{number} {kind} expressions of group {name}"
                for name, number in wanted.items()
                for kind in ASKED_KINDS
            ),
        }
        check = _Check(len(image.instances))
        return Request(self._prompt.messages(gaps), answer_schema(wanted), check, "expressions")

    def proved(self, image: AnnotatedImage, answer: Answer) -> list[ReferringExpression]:
        """Returns the expressions of an answer that the facts prove, and counts all in the report."""
        self.report.images += 1
        if answer.reason:
            self.report.refused_images[answer.reason] += 1
            return []
        found: dict[str, ReferringExpression] = {}
        for group, written in answer.value.items():
            for each in written:
                kind = f"{group} {each['kind']}"
                try:
                    expression = self._proved(image, group, each)
                    if expression.text.casefold() in found:
                        raise FaultyInputError("written twice", "An expression is written twice.")
                except FaultyInputError as error:
                    self.report.refuse(kind, error.reason)
                    continue
                self.report.kept[kind] += 1
                self.report.relabelled += expression.kind != each["kind"]
                found[expression.text.casefold()] = expression
        return list(found.values())

    def _proved(self, image: AnnotatedImage, group: str, written: dict[str, Any]) -> ReferringExpression:
        if group_of(len(set(written["targets"]))) != group:
            raise FaultyInputError(
                "wrong number of targets", f"Of group {group!r}, but of {len(written['targets'])} targets."
            )
        return prove(image, written["text"], written["targets"], self.language)


@dataclass(frozen=True)
class _Check:
    """Refuses an answer without any usable expression: empty, or with unknown ids only."""

    instances: int

    def __call__(self, answer: dict[str, list[dict[str, Any]]]) -> None:
        written = [each for group in answer.values() for each in group]
        if not written:
            raise FaultyInputError("empty lists", "The lists of expressions are empty.")
        if not any(set(each["targets"]) <= set(range(self.instances)) for each in written):
            raise FaultyInputError("unknown ids", f"The targets must be ids from 0 to {self.instances - 1}.")


def named_prompt(path: str | Path, name: str) -> Prompt:
    """Reads one prompt of a file by its name.

    Raises:
        FileNotFoundError, ValueError: As `load_prompts`, and if there is no prompt of this name.
    """
    prompts = load_prompts(path)
    check_choice(f"prompt in {path}", name, prompts)
    return prompts[name]


def answer_schema(wanted: dict[str, int]) -> dict[str, Any]:
    """Builds the JSON Schema of an answer: for each group a list of at most twice the requested expressions."""
    expression = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS},
            "kind": {"type": "string", "enum": list(ASKED_KINDS)},
            "targets": {"type": "array", "items": {"type": "integer"}, "maxItems": 1000},
        },
        "required": ["text", "kind", "targets"],
        "additionalProperties": False,
    }
    groups = {
        name: {"type": "array", "items": expression, "maxItems": 2 * number * len(ASKED_KINDS)}
        for name, number in wanted.items()
    }
    return {"type": "object", "properties": groups, "required": list(groups), "additionalProperties": False}


def describe(facts: Facts, most_objects: int) -> dict[str, Any]:
    """Describes the sure facts of an image for a prompt, as JSON-ready values; boxes are in percent of the image.

    Args:
        facts: Facts of the image.
        most_objects: Most objects that are listed, the largest ones; all are counted.
    """
    instances = facts.image.instances
    largest = sorted(range(len(instances)), key=lambda index: -_area(instances[index]))[:most_objects]
    listed = sorted(largest)
    return {
        "objects": [_object(facts, index, listed) for index in listed],
        "counts": dict(Counter(each.category for each in instances).most_common()),
    }


def _area(instance: Instance) -> float:
    x0, y0, x1, y1 = instance.box
    return (x1 - x0) * (y1 - y0)


def _object(facts: Facts, index: int, listed: list[int]) -> dict[str, Any]:
    """Describes one object; empty values are left out."""
    instance, image = facts.image.instances[index], facts.image
    scale = (100 / image.width, 100 / image.height)
    told = {
        "category": instance.category,
        "phrase": instance.phrase[:_PHRASE_CHARACTERS],
        "colors": facts.colors_of(index),
        "words": sorted(claims(instance)[1]),
        "place": [name for name in POSITIONS if facts.position(name).sure >> index & 1],
        "touches": _related(facts, "touching", index, listed),
        "in_front_of": _related(facts, "in front of", index, listed),
    }
    box = [round(value * scale[axis % 2]) for axis, value in enumerate(instance.box)]
    return {"id": index, **{key: value for key, value in told.items() if value}, "box": box}


def _related(facts: Facts, relation: str, index: int, listed: list[int]) -> list[int]:
    """Returns the listed objects to which an object surely has a relation."""
    return [other for other in listed if other != index and facts.relation(relation, other).sure >> index & 1]
