"""The rules of steering: which changes of a recipe follow from a detector's failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sos_mm.checks import check_integer, check_range
from sos_mm.composition.layouts.prior import LayoutPrior, OcclusionOptions
from sos_mm.composition.layouts.structured import SIZE_CLASSES, StructuredLayout
from sos_mm.formats.phrases import category_key
from sos_mm.segments.factory import category_weights
from sos_mm.segments.protocol import Bank
from sos_mm.steering.failures import Failures, Tally
from sos_mm.synthesis.recipe import Recipe

# A size class that the recipe lacks, but the labelled set has, gets at most this share before it is steered.
_NEW_SHARE = 0.1
# Layouts change their numbers of objects by at most this factor.
_MOST_CROWDING = 1.5


@dataclass(frozen=True)
class Rules:
    """How strongly failures change a recipe.

    Args:
        strength: Exponent of the ratio of a failure rate to the mean of these rates: 0 changes nothing but pairs, 1
            draws a category that fails twice as often twice as often. Rates of weak detectors lie close together, hence
            2.
        limit: Largest factor, and inverse of the smallest, by which a round changes the weight of a category or of a
            size.
        prior: Number of objects, failing at the mean rate, that are added to each class, so that a class of few objects
            changes little.
        pairs: Largest number of pairs of confused categories; 0 for none.
        pair_share: Largest share of images that get a pair; the share is that of confused objects among the failed
            ones.

    Raises:
        ValueError: If a value is out of its range.
    """

    strength: float = 2.0
    limit: float = 4.0
    prior: float = 5.0
    pairs: int = 10
    pair_share: float = 0.5

    def __post_init__(self):
        check_range("strength", self.strength, 0, 10)
        check_range("limit", self.limit, 1, 1000)
        check_range("prior", self.prior, 0, 1e9)
        check_integer("pairs", self.pairs, 0, 10_000)
        check_range("pair_share", self.pair_share, 0, 1)

    def factors(self, tallies: Mapping[str, Tally]) -> dict[str, float]:
        """Computes the factor of each class from its failure rate, relative to the mean of these rates.

        Classes without objects get 1. If nothing failed, all do.
        """
        seen = {name: tally for name, tally in tallies.items() if tally.objects}
        objects, failed = (sum(getattr(tally, key) for tally in seen.values()) for key in ("objects", "failed"))
        if not failed:
            return dict.fromkeys(tallies, 1.0)
        mean = failed / objects
        rates = {name: (each.failed + self.prior * mean) / (each.objects + self.prior) for name, each in seen.items()}
        middle = sum(rates.values()) / len(rates)
        return {name: self._limited(rates[name] / middle) if name in rates else 1.0 for name in tallies}

    def _limited(self, ratio: float) -> float:
        low = 1 / self.limit
        return min(max(ratio**self.strength, low), self.limit) if ratio else (low if self.strength else 1.0)

    def certainty(self, tally: Tally) -> float:
        """Returns the weight in [0, 1) of a mean over the failed objects; the mean over all objects has the rest.

        It grows with the number of failed objects, and is 0.5 for ``prior`` of them.
        """
        return tally.failed / (tally.failed + self.prior) if tally.failed else 0.0


@dataclass(frozen=True)
class Changes:
    """The changes of a recipe that follow from failures.

    Attributes:
        category_weights: Weight by category of the bank, for the strategy 'weighted'; 1 for all others.
        category_pairs: Options of `CategoryPairs`; None for no pairs.
        layout: Changed options of the layout.
        unused: Categories of the labelled set that the bank lacks.
    """

    category_weights: Mapping[str, float]
    category_pairs: Mapping[str, Any] | None
    layout: Mapping[str, Any]
    unused: tuple[str, ...]


def next_changes(recipe: Recipe, bank: Bank, failures: Failures, rules: Rules | None = None) -> Changes:
    """Derives the changes of a recipe from the failures of a detector.

    Weights of categories and shares of sizes are multiplied by their factors, so that the rounds add up. Pairs are
    those of this round alone.

    Args:
        recipe: The recipe of the last round.
        bank: Its segments.
        failures: The failures on a labelled set, with the sizes of the recipe's layout if it is a `StructuredLayout`.
        rules: How strongly they change it.

    Raises:
        ValueError: If no category of the bank is in the labelled set, or the recipe draws segments by another strategy
            than 'category' and 'weighted'.
    """
    rules = rules or Rules()
    weights = _present_weights(recipe)
    of_key = {category_key(name): name for name in bank.categories}
    known = {name: of_key[category_key(name)] for name in failures.by_category if category_key(name) in of_key}
    if not known:
        raise ValueError(
            f"The labels must have categories of the recipe's segments, such as {bank.categories[0]!r}, but have "
            f"{', '.join(map(repr, list(failures.by_category)[:3]))}."
        )
    factors = rules.factors({name: tally for name, tally in failures.by_category.items() if name in known})
    for name, factor in factors.items():
        weights[known[name]] = weights.get(known[name], 1.0) * factor
    return Changes(
        {name: round(weight, 4) for name, weight in sorted(weights.items())},
        _pairs(failures, known, rules),
        _layout_changes(recipe.build_layout(), failures, rules),
        tuple(name for name in failures.by_category if name not in known),
    )


def _present_weights(recipe: Recipe) -> dict[str, float]:
    """Returns the weights of categories of a recipe, by the bank's names; those that are not named have 1."""
    if recipe.sampling not in ("category", "weighted"):
        raise ValueError(
            "Steering needs a recipe whose `sampling` is 'category' or 'weighted', since weights of categories replace "
            f"it, but got {recipe.sampling!r}: set one of them."
        )
    if recipe.sampling == "category":
        return {}
    if any(bank.get("category_weights") for bank in recipe.segments.get("banks", ())):
        raise ValueError(
            "`category_weights` of single banks of a mix cannot be steered: give them once, in `segments` itself."
        )
    bank = recipe.build_bank()
    by_key = {category_key(name): name for name in bank.categories}
    given = category_weights(recipe.segments.get("category_weights") or {})
    return {by_key[category_key(name)]: weight for name, weight in given.items() if category_key(name) in by_key}


def _pairs(failures: Failures, known: Mapping[str, str], rules: Rules) -> dict[str, Any] | None:
    pairs = [
        [known[name], known[other], number]
        for (name, other), number in failures.pairs.items()
        if name in known and other in known
    ]
    if not pairs or not rules.pairs or not failures.total.failed:
        return None
    share = min(failures.total.confused / failures.total.failed, rules.pair_share)
    return {"share": round(share, 3), "pairs": pairs[: rules.pairs]} if share else None


def _layout_changes(layout: LayoutPrior, failures: Failures, rules: Rules) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if isinstance(layout, StructuredLayout):
        changes["shares"] = _shares(layout.shares, failures.by_condition["size"], rules)
    certainty = rules.strength * rules.certainty(failures.total)
    counts = getattr(layout, "counts", None)
    if counts is not None:
        ratio = (failures.crowding[1] / failures.crowding[0]) ** certainty
        ratio = min(max(ratio, 1 / _MOST_CROWDING), _MOST_CROWDING)
        low, high = (max(round(count * ratio), 1) for count in counts)
        changes["counts"] = (low, max(low, high))
    if isinstance(layout, OcclusionOptions):
        gap = certainty * (failures.visible_share[1] - failures.visible_share[0])
        changes["min_mean_visible"] = round(min(max(layout.min_mean_visible + gap, layout.min_visible), 1.0), 3)
    return {key: value for key, value in changes.items() if value != getattr(layout, key)}


def _shares(shares: Mapping[str, float], tallies: Mapping[str, Tally], rules: Rules) -> dict[str, float]:
    """Multiplies the shares of size classes by their factors; they add up to 1 in thousandths."""
    objects = sum(tally.objects for tally in tallies.values())
    factors = rules.factors(tallies)
    if set(factors.values()) == {1.0}:
        return dict(shares)
    steered = {
        name: factors[name] * (shares[name] or min(tallies[name].objects / objects, _NEW_SHARE))
        for name in SIZE_CLASSES
    }
    return _thousandths(steered)


def _thousandths(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    rounded = {name: round(1000 * share / total) for name, share in shares.items()}
    rounded[max(rounded, key=lambda name: rounded[name])] += 1000 - sum(rounded.values())
    return {name: share / 1000 for name, share in rounded.items()}


def size_areas(recipe: Recipe) -> Mapping[str, Sequence[float]] | None:
    """Returns the size classes of a recipe's layout for `count_failures`; None if it has none."""
    layout = recipe.build_layout()
    return layout.areas if isinstance(layout, StructuredLayout) else None
