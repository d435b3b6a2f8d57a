"""Pairs of categories that are put into one image, such as those that a detector confuses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sos_mm.checks import check_choice, check_range
from sos_mm.formats.phrases import category_key
from sos_mm.segments.vocabulary import find_categories

KEYS = ("pairs", "share")


@dataclass(frozen=True)
class CategoryPairs:
    """Pairs of categories, and the share of images that hold one of them.

    Args:
        pairs: Name, other name and relative weight of each pair; both names may be the same.
        share: Probability that an image of two objects or more gets a pair, in [0, 1].

    Raises:
        ValueError: If there is no pair, an entry is not of that form, a weight is negative or all are 0, or the share
            is out of its range.
    """

    pairs: tuple[tuple[str, str, float], ...]
    share: float = 0.5

    def __post_init__(self):
        check_range("category_pairs.share", self.share, 0, 1)
        object.__setattr__(self, "pairs", tuple(map(_checked, self.pairs)))
        weights = [weight for _, _, weight in self.pairs]
        if not weights or not max(weights):
            raise ValueError(
                "`category_pairs.pairs` must hold a pair with a weight over 0, but has none: leave it out."
            )

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "CategoryPairs":
        """Builds them from the dict of a recipe, with ``pairs`` and optionally ``share``.

        Raises:
            ValueError: If a key is unknown or ``pairs`` is missing, or a value is invalid.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("pairs"), list | tuple):
            raise ValueError(f"`category_pairs` must be a dict with a list `pairs`, but got {config!r}.")
        for key in config:
            check_choice("key of category_pairs", key, KEYS)
        return cls(tuple(config["pairs"]), config.get("share", cls.share))

    def check_categories(self, categories: Sequence[str]) -> None:
        """Raises ValueError, with the nearest name, unless both categories of each pair are among those of a bank."""
        find_categories((name for pair in self.pairs for name in pair[:2]), categories, "category_pairs")

    def within(self, categories: Iterable[str]) -> "CategoryPairs | None":
        """Returns the pairs with a weight whose categories are both among these; None if there is none."""
        keys = {category_key(name) for name in categories}
        left = [pair for pair in self.pairs if pair[2] and {category_key(name) for name in pair[:2]} <= keys]
        return CategoryPairs(tuple(left), self.share) if left else None

    def put_into(
        self, rng: np.random.Generator, drawn: np.ndarray, draw_of: Callable[[np.random.Generator, str], int]
    ) -> np.ndarray:
        """Replaces two of the segments drawn for an image by a pair, with probability ``share``.

        Args:
            rng: Source of the random draws.
            drawn: (N,) int64 indices of segments; not changed. Fewer than two are returned as they are.
            draw_of: Draws the index of a segment of a category.

        Returns:
            (N,) int64 indices.
        """
        if len(drawn) < 2 or rng.random() >= self.share:
            return drawn
        weights = np.array([weight for _, _, weight in self.pairs], float)
        pair = self.pairs[int(rng.choice(len(weights), p=weights / weights.sum()))]
        paired = drawn.copy()
        for position, name in zip(rng.choice(len(drawn), 2, replace=False), pair[:2], strict=True):
            paired[position] = draw_of(rng, name)
        return paired


def _checked(pair: Any) -> tuple[str, str, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 3 or not all(isinstance(name, str) for name in pair[:2]):
        raise ValueError(f"A pair of `category_pairs` must be two names and a weight, but got {pair!r}.")
    check_range("weight of a pair of category_pairs", pair[2], 0, 1e12)
    return pair[0], pair[1], float(pair[2])
