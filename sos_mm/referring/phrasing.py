"""Writes referring expressions by a grammar; the facts of the image prove each to be true and unique.

The grammar proposes a meaning for a target, checks by the facts that it means exactly the target, and converts it to a
sentence. The sentence is parsed again, and all its readings must pass the same check.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sos_mm.checks import check_integer
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.draws import Draws
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.facts import Facts, as_bits
from sos_mm.referring.language import language as read_language
from sos_mm.referring.locations import Locations
from sos_mm.referring.meaning import Phrase, judge, kind_of
from sos_mm.referring.near_misses import NearMisses, twins
from sos_mm.referring.noun_phrases import NounPhrases
from sos_mm.referring.one_target import OneTarget
from sos_mm.referring.several_targets import SeveralTargets
from sos_mm.referring.verify import facts_of, judge_readings, parser_of
from sos_mm.referring.wording import Unsayable, Worded, Wording

_KINDS = ("attribute", "spatial", "mixed")
_PICKS = 24


@dataclass(frozen=True)
class Amounts:
    """Numbers of expressions for an image.

    Attributes:
        each: Least and most expressions of each of the kinds attribute, spatial and mixed, if the image allows it.
        least: Least number of expressions in total, if the image allows it.
        several: Share of expressions with several targets.
        none: Share of expressions without target.
        tries: Most proposals for one expression.

    Raises:
        ValueError: If a number is out of its range.
    """

    each: tuple[int, int] = (3, 6)
    least: int = 9
    several: float = 0.25
    none: float = 0.25
    tries: int = 6

    def __post_init__(self):
        low, high = self.each
        check_integer("each", low, 0, 1000)
        check_integer("each", high, low, 1000)
        check_integer("least", self.least, 0, 3000)
        check_integer("tries", self.tries, 1, 1000)
        if self.several < 0 or self.none < 0 or not self.several + self.none <= 1:
            raise ValueError(
                "`several` and `none` must be at least 0 and together at most 1, but got "
                f"{self.several} and {self.none}."
            )


def write(
    image: AnnotatedImage,
    generator: np.random.Generator,
    language: str = "en",
    amounts: Amounts | None = None,
    facts: Facts | None = None,
) -> list[ReferringExpression]:
    """Writes proved expressions for an image, with one target, several or none.

    Only expressions that can be proved are written. There are none for an image without instances, none with one target
    for objects that cannot be distinguished, none without target if no category is annotated completely, and none
    for objects that the language has no words for.

    Args:
        image: The image.
        generator: Source of all random choices.
        language: Language of the expressions, as an ISO 639-1 code.
        amounts: Numbers of expressions; the default ones if None.
        facts: The facts of the image, to use other thresholds; those with the default ones if None.

    Raises:
        ValueError: If the language is unknown.
    """
    return _Writer(generator, language, amounts or Amounts(), facts or facts_of(image)).write()


class _Writer:
    def __init__(self, generator, language: str, amounts: Amounts, facts: Facts):
        self._language, self._amounts, self._facts = read_language(language), amounts, facts
        self._draws = Draws(generator)
        self._phrases = NounPhrases(facts, self._language, self._draws)
        locations = Locations(self._phrases)
        self._one_target = OneTarget(self._phrases, locations)
        self._several_targets = SeveralTargets(self._phrases, locations)
        self._near_misses = NearMisses(facts, self._language, self._draws)
        self._parser = parser_of(facts, language)
        self._written: dict[str, ReferringExpression] = {}
        self._counts: Counter[str] = Counter()
        self._said: list[Phrase] = []
        self._failed: set[tuple[Callable, str]] = set()
        # By text, the picks of `Wording` and its ``of_two``, which near misses and minimal pairs reuse.
        self._source: dict[str, tuple[list[int], bool]] = {}

    def write(self) -> list[ReferringExpression]:
        if not self._facts.number:
            return []
        low, high = self._amounts.each
        for kind in _KINDS:
            self._fill(kind, low + self._draws.below(high - low + 1))
        for kind in (*_KINDS, "category"):
            missing = self._amounts.least - len(self._written)
            if missing > 0:
                self._fill(kind, self._count(kind) + min(missing, max(high - self._count(kind), 0)))
        return list(self._written.values())

    def _count(self, kind: str) -> int:
        return self._counts[kind]

    def _fill(self, kind: str, wanted: int) -> None:
        """Writes expressions of a kind until there are ``wanted`` ones, or no more are found."""
        amounts = self._amounts
        none, several = (self._rounded(share * wanted) for share in (amounts.none, amounts.several))
        ways: list[tuple[int, Callable[[str], bool]]] = [
            (max(wanted - none - several, 1), self._single), (several, self._several), (none, self._none),
        ]  # fmt: skip
        for number, way in ways:
            for _ in range(number):
                if self._count(kind) < wanted:
                    way(kind)
        # If one way finds too few, the others fill up; but sentences without target remain the minority.
        for way in (self._single, self._several):
            while self._count(kind) < wanted and way(kind):
                pass
        while self._count(kind) < wanted and self._has_few_without_target(kind) and self._none(kind):
            pass

    def _has_few_without_target(self, kind: str) -> bool:
        of_kind = [bool(each.targets) for each in self._written.values() if each.kind == kind]
        return 2 * of_kind.count(False) < of_kind.count(True)

    def _rounded(self, number: float) -> int:
        """Rounds a number randomly, up with the probability of its fraction."""
        return int(number) + (self._draws.below(1000) < 1000 * (number % 1))

    def _single(self, kind: str) -> bool:
        return self._propose(self._one_target.propose, kind)

    def _several(self, kind: str) -> bool:
        return self._propose(self._several_targets.propose, kind)

    def _propose(self, propose: Callable, kind: str) -> bool:
        """Writes the first proposal that is true; returns whether there was one. A failed kind is not tried again."""
        if (propose, kind) in self._failed:
            return False
        for _ in range(self._amounts.tries):
            proposal = propose(kind)
            if proposal is not None and self._try(*proposal):
                return True
        self._failed.add((propose, kind))
        return False

    def _none(self, kind: str) -> bool:
        """Writes a near miss of a true expression; returns whether one was found."""
        bases = [each for each in self._written.values() if each.kind == kind and each.targets]
        if not bases:
            return False
        for _ in range(self._amounts.tries):
            base = self._draws.one(bases)
            found = self._near_misses.near(base.meaning)
            if found is not None and self._try(found[0], (), base, found[1]):
                return True
        return False

    def _try(
        self, meaning: Phrase, targets: tuple[int, ...], base: ReferringExpression | None = None, changed: str = ""
    ) -> bool:
        """Writes a meaning as an expression if it is true, new and has words; returns whether it was written."""
        if (
            meaning in self._said
            or not self._phrases.may_mean(as_bits(targets))
            or judge(meaning, self._facts, targets)[0] != "true"
        ):
            return False
        picks, of_two = self._source[base.text] if base else (self._draws.many(_PICKS), self._is_of_two(meaning))
        worded = self._word(meaning, picks, of_two)
        if worded is None or worded.text in self._written:
            return False
        readings = self._parser.readings(worded.text)
        # The words must not mean something else alone: "die Jeans" does not say how many.
        if readings != (meaning,) and (
            meaning not in readings or judge_readings(readings, self._facts, targets).status != "true"
        ):
            return False
        self._said.append(meaning)
        kind = kind_of(meaning)
        self._counts[kind] += 1
        self._source[worded.text] = picks, of_two
        self._written[worded.text] = ReferringExpression(
            text=worded.text,
            targets=targets,
            kind=kind,
            plural=meaning["number"] in ("all", "count"),
            head=worded.head,
            meaning=meaning,
            near=base.text if base and not targets else "",
            changed=changed if not targets else "",
            pair=base.text if base and targets else "",
            language=self._language.name,
        )
        if base is None and len(targets) == 1:
            self._pair(self._written[worded.text])
        return True

    def _pair(self, base: ReferringExpression) -> None:
        """Writes the counterpart of an expression in a minimal pair.

        It differs in one attribute or relation and means another instance of the same category.
        """
        category = self._facts.categories[base.targets[0]]
        high = self._amounts.each[1]
        if self._facts.categories.count(category) < 2 or self._count(base.kind) >= high or self._draws.below(3):
            return
        for meaning, target in twins(base.meaning, self._facts, self._draws):
            if target != base.targets[0] and self._try(meaning, (target,), base):
                return

    def _is_of_two(self, meaning: Phrase) -> bool:
        """Returns whether a meaning ranks exactly two objects."""
        if "rank" not in meaning:
            return False
        kind = self._facts.head(meaning["head"])
        return kind.may == kind.sure and kind.sure.bit_count() == 2 and set(meaning) == {"number", "head", "rank"}

    def _word(self, meaning: Phrase, picks: list[int], of_two: bool) -> Worded | None:
        try:
            return Wording(self._language, picks).say(meaning, of_two)
        except Unsayable:
            return None
