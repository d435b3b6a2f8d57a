"""Checks sentences that a language model has written: keeps proved ones, and counts the others by reason."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sos_mm.checks import FaultyInputError
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.claims import claims
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.language import language as words_of
from sos_mm.referring.meaning import Phrase, kind_of
from sos_mm.referring.verify import verify

MOST_CHARACTERS = 300
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*")
_ADJECTIVES = {"color", "word", "size"}


@dataclass
class WritingReport:
    """Counts of kept and refused sentences.

    A kind is a group and a kind of expression: 'single attribute', 'multiple mixed', 'none spatial'.

    Attributes:
        kept: Number of proved sentences by kind.
        relabelled: Number of proved sentences whose kind differs from what the model stated.
        refused: Number of sentences that were not proved, by kind and reason.
        images: Number of images for which there was an answer.
        refused_images: Number of images without sentences because their request was refused, by reason.
    """

    kept: Counter[str] = field(default_factory=Counter)
    relabelled: int = 0
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    images: int = 0
    refused_images: Counter[str] = field(default_factory=Counter)

    def refuse(self, kind: str, reason: str) -> None:
        """Counts a sentence that is not proved; reasons that differ only in numbers are counted together."""
        self.refused.setdefault(kind, Counter())[re.sub(r"\d+(, \d+)*", "N", reason)] += 1

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts as JSON-ready values, with the rejection rate of each kind and of all sentences."""
        kinds = {kind: self._of_kind(kind) for kind in sorted({*self.kept, *self.refused})}
        written = sum(kind["written"] for kind in kinds.values())
        kept = self.kept.total()
        return {
            "images": self.images,
            "refused_images": dict(self.refused_images.most_common()),
            "written": written,
            "kept": kept,
            "relabelled": self.relabelled,
            "rejection_rate": _rate(written - kept, written),
            "kinds": kinds,
        }

    def _of_kind(self, kind: str) -> dict[str, Any]:
        reasons = self.refused.get(kind, Counter())
        written = self.kept[kind] + reasons.total()
        return {
            "written": written,
            "kept": self.kept[kind],
            "rejection_rate": _rate(reasons.total(), written),
            "reasons": dict(reasons.most_common()),
        }


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def group_of(targets: int) -> str:
    """Returns the group for a number of targets: 'none', 'single' or 'multiple'."""
    return ("none", "single")[targets] if targets < 2 else "multiple"


def prove(image: AnnotatedImage, text: str, targets: Iterable[int], language: str = "en") -> ReferringExpression:
    """Converts a sentence to an expression if the facts prove that it means exactly its targets.

    Args:
        image: The image.
        text: The sentence; a full stop at its end is removed.
        targets: Indices into the image's ``instances``; empty for a sentence without target.
        language: The language of the sentence.

    Raises:
        FaultyInputError: If it is not proved.
    """
    text, targets = " ".join(text.split()).rstrip(" ."), tuple(sorted(set(targets)))
    if not text or len(text) > MOST_CHARACTERS or not text.isprintable():
        raise FaultyInputError(
            "no sentence", f"A sentence must be 1 to {MOST_CHARACTERS} letters, but got {text!r:.50}."
        )
    if targets and not 0 <= targets[0] <= targets[-1] < len(image.instances):
        raise FaultyInputError("unknown ids", f"Targets must be ids of objects, but got {targets}.")
    verdict = verify(image, text, targets, language)
    if verdict.status != "true":
        reason = f"{verdict.status}: {verdict.reason}"
        raise FaultyInputError(reason, f"{text!r} is not proved to mean {targets} ({reason}).")
    meaning = verdict.meant[0]
    plural = len(targets) > 1 or meaning["number"] in ("all", "count")
    head = head_span(text, meaning, language, image)
    return ReferringExpression(text, targets, kind_of(meaning), plural, head, meaning, language=language)


def head_span(text: str, meaning: Phrase, language: str, image: AnnotatedImage) -> tuple[int, int]:
    """Finds the half-open character span of the noun that names the targets, including adjectives right before it."""
    tokens = [(each[0].lower().replace("\u2019", "'"), *each.span()) for each in _TOKEN.finditer(text)]
    words = [word for word, _, _ in tokens]
    start, end = _noun(words, {form for form, _, _ in words_of(language).noun_entries(meaning["head"])})
    said = frozenset().union(*(claims(each)[1] for each in image.instances))
    while start and _is_adjective(words[start - 1], language, said):
        start -= 1
    return tokens[start][1], tokens[end - 1][2]


def _noun(words: list[str], forms: set[str]) -> tuple[int, int]:
    """Finds the first occurrence of a noun, in its longest form, as a span of words; all words if there is none."""
    known = sorted((_TOKEN.findall(form.lower()) for form in forms), key=len, reverse=True)
    for start in range(len(words)):
        for form in known:
            if form and words[start : start + len(form)] == form:
                return start, start + len(form)
    return 0, len(words)


def _is_adjective(word: str, language: str, said: frozenset[str]) -> bool:
    return word in said or any(tag in _ADJECTIVES for tag, _ in words_of(language).lexicon.get((word,), ()))
