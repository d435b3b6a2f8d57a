"""Verifies that a sentence is true and unique, whether the grammar, an annotator or a language model wrote it."""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sos_mm.checks import check_integer
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.facts import Facts
from sos_mm.referring.meaning import Phrase, has_landmarks, judge
from sos_mm.referring.parse import Parser, parser

_facts: "WeakKeyDictionary[AnnotatedImage, Facts]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Verdict:
    """The result of verifying a sentence.

    Attributes:
        status: 'true' if the sentence means exactly the targets; 'refused' if it surely does not mean them, or also
            means other instances; 'undecidable' if neither is sure.
        reason: Why it is not 'true'; empty if it is.
        meant: All readings of the sentence, see `sos_mm.referring.meaning`; empty if it is not understood.
    """

    status: str
    reason: str
    meant: tuple[Phrase, ...] = ()


def facts_of(image: AnnotatedImage) -> Facts:
    """Returns the facts of an image with the default thresholds, cached as long as the image exists."""
    if image not in _facts:
        _facts[image] = Facts(image)
    return _facts[image]


def parser_of(facts: Facts, language: str) -> Parser:
    """Returns the parser that knows the words of an image's annotations."""
    attributes = frozenset(word for _, words in facts.claims for word in words)
    return parser(language, facts.vocabulary, attributes)


def verify(
    image: AnnotatedImage, text: str, targets: Iterable[int], language: str = "en", facts: Facts | None = None
) -> Verdict:
    """Checks that a sentence means exactly its targets.

    Args:
        image: The image.
        text: The sentence.
        targets: Indices into the image's ``instances`` that it should mean; empty if it should mean nothing in the
            image.
        language: The language of the sentence, as an ISO 639-1 code.
        facts: The facts of the image, to use other thresholds; those of `facts_of` if None.

    Raises:
        ValueError: If a target is not a valid index, or the language is unknown.
    """
    facts = facts or facts_of(image)
    targets = tuple(sorted(set(targets)))
    for target in targets:
        check_integer("targets", target, 0, facts.number - 1)
    readings = parser_of(facts, language).readings(text)
    if not readings:
        return Verdict("undecidable", "not understood")
    return judge_readings(readings, facts, targets)


def judge_readings(readings: tuple[Phrase, ...], facts: Facts, targets: tuple[int, ...]) -> Verdict:
    """Combines the verdicts on all readings of a sentence, which must agree.

    If there are targets, a reading is ignored beside others if the image surely shows no object of one of its
    landmarks: "closest to the camera" refers to a camera in the image only if the image may show one.
    """
    if targets and len(readings) > 1:
        readings = tuple(each for each in readings if has_landmarks(each, facts)) or readings
    found = [judge(each, facts, targets) for each in readings]
    statuses = {status for status, _ in found}
    if len(statuses) == 1:
        return Verdict(*found[0], readings)
    reason = next(reason for status, reason in found if status != "true")
    return Verdict("undecidable", f"it can be read in several ways, and in one {reason}", readings)
