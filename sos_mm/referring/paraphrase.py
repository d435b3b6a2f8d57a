"""Proved expressions in other words: a language model writes them, and only those that mean the same are kept."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.checks import FaultyInputError, check_integer
from sos_mm.language_model import Answer, LanguageModel, Request, ask_each
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.free_writing import PROMPTS, named_prompt
from sos_mm.referring.written import MOST_CHARACTERS, WritingReport, group_of, prove

Described = tuple[AnnotatedImage, Sequence[ReferringExpression]]


@dataclass(eq=False)
class Paraphrasing:
    """Lets a language model reword proved expressions.

    A new wording is kept if it can be parsed and is true and unique for the same targets. It may leave out details of
    the original.

    Args:
        model: The language model.
        number: Number of requested wordings of each expression.
        prompts: A file with the prompt 'paraphrase', which has the gaps ``expressions``, ``language`` and ``number``.

    Attributes:
        report: Counts of kept and refused wordings by the kind of the original; 'unknown' for ids of no expression.

    Raises:
        ValueError: If an argument is out of its range, or the file has no such prompt.
    """

    model: LanguageModel
    number: int = 2
    prompts: str | Path = PROMPTS
    report: WritingReport = field(default_factory=WritingReport, init=False)

    def __post_init__(self):
        check_integer("number", self.number, 1, 20)
        self._prompt = named_prompt(self.prompts, "paraphrase")

    def reword(self, described: Iterable[Described]) -> Iterator[list[ReferringExpression]]:
        """Yields the new expressions of each image, in order; an empty list if its request is refused.

        Args:
            described: Images and their proved expressions; all expressions of an image are in one language.

        Raises:
            EndpointError, ImportError, OSError: As `LanguageModel.ask`.
        """
        for (image, expressions), answer in ask_each(self.model, described, self.request):
            yield self.proved(image, expressions, answer) if answer else []

    def request(self, described: Described) -> Request | None:
        """Builds the request about an image; None if it has no expressions."""
        _, expressions = described
        if not expressions:
            return None
        listed = [{"id": index, "text": each.text} for index, each in enumerate(expressions)]
        gaps = {
            "expressions": json.dumps(listed, ensure_ascii=False),
            "language": expressions[0].language,
            "number": str(self.number),
        }
        check = _Check(len(expressions))
        return Request(self._prompt.messages(gaps), self._schema(len(expressions)), check, "paraphrases")

    def _schema(self, expressions: int) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS}
        paraphrase = {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "texts": {"type": "array", "items": text, "maxItems": 40}},
            "required": ["id", "texts"],
            "additionalProperties": False,
        }
        listed = {"type": "array", "items": paraphrase, "minItems": 1, "maxItems": 2 * expressions}
        return {
            "type": "object",
            "properties": {"paraphrases": listed},
            "required": ["paraphrases"],
            "additionalProperties": False,
        }

    def proved(
        self, image: AnnotatedImage, expressions: Sequence[ReferringExpression], answer: Answer
    ) -> list[ReferringExpression]:
        """Returns the new wordings of an answer that the facts prove, and counts all in the report."""
        self.report.images += 1
        if answer.reason:
            self.report.refused_images[answer.reason] += 1
            return []
        known, found = {each.text.casefold() for each in expressions}, []
        for rewording in answer.value["paraphrases"]:
            if not 0 <= rewording["id"] < len(expressions):
                for _ in rewording["texts"]:
                    self.report.refuse("unknown", "unknown ids")
                continue
            old = expressions[rewording["id"]]
            kind = f"{group_of(len(old.targets))} {old.kind}"
            for text in rewording["texts"]:
                try:
                    new = prove(image, text, old.targets, old.language)
                    if new.text.casefold() in known:
                        raise FaultyInputError("not new", "The wording is there already.")
                except FaultyInputError as error:
                    self.report.refuse(kind, error.reason)
                    continue
                self.report.kept[kind] += 1
                known.add(new.text.casefold())
                found.append(new)
        return found


@dataclass(frozen=True)
class _Check:
    """Refuses an answer without any usable wording."""

    expressions: int

    def __call__(self, answer: dict[str, Any]) -> None:
        rewordings = answer["paraphrases"]
        if not any(each["texts"] for each in rewordings):
            raise FaultyInputError("empty lists", "The lists of wordings are empty.")
        if not any(0 <= each["id"] < self.expressions for each in rewordings):
            raise FaultyInputError("unknown ids", f"The ids must be from 0 to {self.expressions - 1}.")
