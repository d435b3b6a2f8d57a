"""Sentences that a language model has written: kept if the facts prove them, else refused and counted by reason."""

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
    """What became of the sentences that were written.

    Kinds are such as 'single attribute' or 'multiple mixed'; those without targets begin with 'none'.

    Attributes:
        kept: How many were proved, by kind.
        relabelled: Those of them that are of another kind than the model said.
        refused: How many were not proved, by kind and reason.
        images: How many images were written about.
        refused_images: How many images have no sentences since their request was refused, by reason.
    """

    kept: Counter[str] = field(default_factory=Counter)
    relabelled: int = 0
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    images: int = 0
    refused_images: Counter[str] = field(default_factory=Counter)

    def refuse(self, kind: str, reason: str) -> None:
        """Counts a sentence that is not proved; numbers in the reason do not count."""
        self.refused.setdefault(kind, Counter())[re.sub(r"\d+(, \d+)*", "N", reason)] += 1

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON-ready values, with the rate of rejection of each kind and of all."""
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
    """'none', 'single' or 'multiple', by the number of targets."""
    return ("none", "single")[targets] if targets < 2 else "multiple"


def prove(image: AnnotatedImage, text: str, targets: Iterable[int], language: str = "en") -> ReferringExpression:
    """The expression that a sentence is, if the facts prove that it means exactly these targets.

    Args:
        image: The image.
        text: The sentence; a full stop at its end is taken off.
        targets: Positions in the image's ``instances``; none if it is said to mean nothing there.
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
    """Half-open span of the noun that names the targets, with the adjectives right before it."""
    tokens = [(each[0].lower().replace("\u2019", "'"), *each.span()) for each in _TOKEN.finditer(text)]
    words = [word for word, _, _ in tokens]
    start, end = _noun(words, {form for form, _, _ in words_of(language).noun_entries(meaning["head"])})
    said = frozenset().union(*(claims(each)[1] for each in image.instances))
    while start and _is_adjective(words[start - 1], language, said):
        start -= 1
    return tokens[start][1], tokens[end - 1][2]


def _noun(words: list[str], forms: set[str]) -> tuple[int, int]:
    """Where a noun first stands: the longest of its forms that begin there."""
    known = sorted((_TOKEN.findall(form.lower()) for form in forms), key=len, reverse=True)
    for start in range(len(words)):
        for form in known:
            if form and words[start : start + len(form)] == form:
                return start, start + len(form)
    return 0, len(words)


def _is_adjective(word: str, language: str, said: frozenset[str]) -> bool:
    return word in said or any(tag in _ADJECTIVES for tag, _ in words_of(language).lexicon.get((word,), ()))
