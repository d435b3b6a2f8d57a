"""Counts a detector's failures: by category, by the conditions of an object, and by pairs of categories."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sos_mm.steering.conditions import (
    CROWDING,
    SIZES,
    VISIBILITY,
    crowding_class,
    size_class,
    visibility_class,
)
from sos_mm.steering.judging import Judgement, Outcome

# Condition -> its classes, in the order of reports.
CONDITIONS: dict[str, Sequence[str]] = {"size": SIZES, "crowding": tuple(CROWDING), "visibility": tuple(VISIBILITY)}


@dataclass(frozen=True)
class Tally:
    """Number of objects, and how many of them a detector missed and confused with another category."""

    objects: int = 0
    missed: int = 0
    confused: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Tally":
        """Counts outcomes."""
        counts = Counter(each.outcome for each in outcomes)
        return cls(sum(counts.values()), counts["missed"], counts["confused"])

    @property
    def failed(self) -> int:
        """Number of objects that were missed or confused."""
        return self.missed + self.confused

    @property
    def rate(self) -> float:
        """Share of objects that were missed or confused; 0 without objects."""
        return self.failed / self.objects if self.objects else 0.0


@dataclass(frozen=True)
class Failures:
    """The failures of a detector on a labelled set.

    Attributes:
        total: All objects.
        by_category: Tally by name of the category, for all categories of the labelled set.
        by_condition: Tally by condition and class, such as ``by_condition["size"]["small"]``.
        by_category_and_condition: The same for each category.
        pairs: Number of objects of one category with a detection of the other, by names in alphabetical order, most
            frequent first.
        crowding: Mean number of objects in the image, over all objects and over those that failed.
        visible_share: Mean visible share, likewise.
        score: Detections below this score were not counted.
        visibility: Where visible shares come from: 'objects' or 'boxes'.
    """

    total: Tally
    by_category: Mapping[str, Tally]
    by_condition: Mapping[str, Mapping[str, Tally]]
    by_category_and_condition: Mapping[str, Mapping[str, Mapping[str, Tally]]]
    pairs: Mapping[tuple[str, str], int]
    crowding: tuple[float, float]
    visible_share: tuple[float, float]
    score: float
    visibility: str

    def to_json(self) -> dict[str, Any]:
        """Returns all figures as JSON can hold them."""
        pairs = [[*names, number] for names, number in self.pairs.items()]
        return asdict(self) | {"pairs": pairs}


def count_failures(judgement: Judgement, areas: Mapping[str, Sequence[float]] | None = None) -> Failures:
    """Counts the failures of a detector.

    Args:
        judgement: The outcomes of all objects.
        areas: The size classes of the recipe's layout, as for `size_class`; None for COCO's.
    """
    outcomes, names = judgement.outcomes, judgement.categories

    def conditions(some: Sequence[Outcome]) -> dict[str, dict[str, Tally]]:
        keys: dict[str, Callable[[Outcome], str]] = {
            "size": lambda each: size_class(each.area, each.image_area, areas),
            "crowding": lambda each: crowding_class(each.crowding),
            "visibility": lambda each: visibility_class(each.visible_share),
        }
        return {name: _tallies(some, keys[name], CONDITIONS[name]) for name in CONDITIONS}

    of_category = defaultdict(list)
    for each in outcomes:
        of_category[names[each.category_id]].append(each)
    by_category = {name: of_category[name] for name in names.values()}
    pairs = Counter(
        _in_order(names[each.category_id], names[each.taken_for]) for each in outcomes if each.taken_for is not None
    )
    failed = [each for each in outcomes if each.outcome != "found"]
    return Failures(
        total=Tally.of(outcomes),
        by_category={name: Tally.of(some) for name, some in by_category.items()},
        by_condition=conditions(outcomes),
        by_category_and_condition={name: conditions(some) for name, some in by_category.items()},
        pairs={pair: pairs[pair] for pair in sorted(pairs, key=lambda pair: (-pairs[pair], pair))},
        crowding=_means([each.crowding for each in outcomes], [each.crowding for each in failed]),
        visible_share=_means([each.visible_share for each in outcomes], [each.visible_share for each in failed]),
        score=judgement.score,
        visibility=judgement.visibility,
    )


def _in_order(name: str, other: str) -> tuple[str, str]:
    return (name, other) if name <= other else (other, name)


def _tallies(outcomes: Sequence[Outcome], key: Callable[[Outcome], str], classes: Sequence[str]) -> dict[str, Tally]:
    found = defaultdict(list)
    for each in outcomes:
        found[key(each)].append(each)
    return {name: Tally.of(found[name]) for name in classes}


def _means(values: Sequence[float], failed: Sequence[float]) -> tuple[float, float]:
    """Returns the mean of all values and of those that failed; the first twice if none did."""
    mean = sum(values) / len(values)
    return mean, sum(failed) / len(failed) if failed else mean
