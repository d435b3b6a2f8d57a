"""Checks the expressions of any data set against its annotations: which are true, refused or undecidable, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sos_mm.formats.records import Record
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.matching import Claim, ClaimsByImage, targets_of
from sos_mm.referring.meaning import kind_of
from sos_mm.referring.verify import Verdict, verify

STATUSES = ("true", "refused", "undecidable")
NO_IMAGE, NO_INSTANCE = "the image is not in the data set", "a target is not among the annotations"


@dataclass
class Report:
    """Verdicts on the expressions of a file.

    Attributes:
        counts: Number of expressions by verdict, with all of `STATUSES`.
        reasons: Number of expressions that are not true, by verdict and reason.
        verdicts: Records of the expressions that are not true: id, text, image, verdict and reason.
    """

    counts: Counter = field(default_factory=lambda: Counter(dict.fromkeys(STATUSES, 0)))
    reasons: dict[str, Counter] = field(default_factory=lambda: {status: Counter() for status in STATUSES[1:]})
    verdicts: list[Record] = field(default_factory=list)

    def add(self, id: Any, text: str, image: str, status: str, reason: str) -> None:
        """Counts the verdict on an expression."""
        self.counts[status] += 1
        if status != "true":
            self.reasons[status][reason] += 1
            self.verdicts.append({"id": id, "text": text, "file_name": image, "verdict": status, "reason": reason})

    def describe(self) -> str:
        """Formats the report as text: a line of counts, then the reasons, most frequent first."""
        total = max(self.counts.total(), 1)
        lines = [", ".join(f"{self.counts[each]} {each} ({self.counts[each] / total:.1%})" for each in STATUSES)]
        for status, reasons in self.reasons.items():
            lines += [f"  {status}, {number} x {reason}" for reason, number in reasons.most_common()]
        return "\n".join(lines)

    def to_json(self) -> Record:
        """Returns the report as JSON-ready values."""
        reasons = {status: dict(found.most_common()) for status, found in self.reasons.items()}
        return {"counts": dict(self.counts), "reasons": reasons, "verdicts": self.verdicts}


def check_expressions(images: Iterable[AnnotatedImage], claims: ClaimsByImage, language: str = "en") -> Report:
    """Checks all expressions of a file.

    An expression whose image or target is not annotated is undecidable.

    Args:
        images: The annotated images.
        claims: The expressions.
        language: Language of expressions whose file does not state one.
    """
    report = Report()
    for image in images:
        for each, _, verdict in check_image(image, claims.take(image), language):
            report.add(each.id, each.text, image.file_name, verdict.status, verdict.reason)
    for each in claims.left:
        report.add(each.id, each.text, each.file_name or str(each.image_id), "undecidable", NO_IMAGE)
    return report


def check_image(
    image: AnnotatedImage, claims: Iterable[Claim], language: str = "en"
) -> Iterator[tuple[Claim, tuple[int, ...], Verdict]]:
    """Checks the expressions of one image; yields each with its targets (empty if one is not annotated) and verdict."""
    for each in claims:
        targets = targets_of(each, image)
        if targets is None:
            yield each, (), Verdict("undecidable", NO_INSTANCE)
        else:
            yield each, targets, verify(image, each.text, targets, each.language or language)


def keep_true(
    image: AnnotatedImage, claims: Iterable[Claim], language: str, report: Report
) -> list[ReferringExpression]:
    """Returns the proved expressions of an image, and adds the verdicts on all of them to a report.

    Their kind follows from their meaning. Their ``head`` is the complete text, since it is not known which words name
    the target.
    """
    kept = []
    for each, targets, verdict in check_image(image, claims, language):
        report.add(each.id, each.text, image.file_name, verdict.status, verdict.reason)
        if verdict.status == "true":
            meaning = verdict.meant[0]
            head, spoken = (0, len(each.text)), each.language or language
            about = kind_of(meaning), len(targets) > 1, head, meaning
            kept.append(ReferringExpression(each.text, targets, *about, language=spoken))
    return kept
