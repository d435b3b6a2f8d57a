"""Whether a sentence is true and unique: of our own grammar, of a data set's annotators or of a language model."""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sos_mm.checks import check_integer
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.claims import claims
from sos_mm.referring.facts import Facts
from sos_mm.referring.meaning import Phrase, has_landmarks, judge
from sos_mm.referring.parse import Parser, parser

_facts: "WeakKeyDictionary[AnnotatedImage, Facts]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Verdict:
    """What is known of a sentence and its targets.

    Attributes:
        status: 'true' if it means exactly the targets; 'refused' if it surely does not, or means others as well;
            'undecidable' if neither is sure.
        reason: Why not 'true'; empty otherwise.
        meant: Every reading of the sentence, as `sos_mm.referring.meaning` describes it; empty if it is not understood.
    """

    status: str
    reason: str
    meant: tuple[Phrase, ...] = ()


def facts_of(image: AnnotatedImage) -> Facts:
    """The facts of an image under the default thresholds; kept as long as the image is."""
    if image not in _facts:
        _facts[image] = Facts(image)
    return _facts[image]


def parser_of(facts: Facts, language: str) -> Parser:
    """The parser that knows the words of an image's annotations."""
    attributes = frozenset(word for each in facts.image.instances for word in claims(each)[1])
    return parser(language, facts.vocabulary, attributes)


def verify(
    image: AnnotatedImage, text: str, targets: Iterable[int], language: str = "en", facts: Facts | None = None
) -> Verdict:
    """Checks that a sentence means exactly its targets.

    Args:
        image: The image.
        text: The sentence.
        targets: Positions in the image's ``instances`` that it is said to mean; none if it is said to mean nothing
            that the image shows.
        language: The language of the sentence, as an ISO 639-1 code.
        facts: The facts of the image, to use other thresholds; those of `facts_of` if None.

    Raises:
        ValueError: If a target is no position, or there are no words of the language.
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
    """The verdict on a sentence with these readings: all must agree.

    Who speaks of something speaks of its landmarks as well: with targets, a reading with a landmark of which the image
    surely shows none does not count beside others. "Closest to the camera" is one to a camera only if there is any.
    """
    if targets and len(readings) > 1:
        readings = tuple(each for each in readings if has_landmarks(each, facts)) or readings
    found = [judge(each, facts, targets) for each in readings]
    statuses = {status for status, _ in found}
    if len(statuses) == 1:
        return Verdict(*found[0], readings)
    reason = next(reason for status, reason in found if status != "true")
    return Verdict("undecidable", f"it can be read in several ways, and in one {reason}", readings)
