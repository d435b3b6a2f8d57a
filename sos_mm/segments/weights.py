"""Relative weights, as cumulative distributions from which categories and banks are drawn."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import numpy as np

from sos_mm.formats.phrases import category_key


def category_edges(categories: Sequence[str], category_weights: Mapping[str, float]) -> np.ndarray:
    """Computes the cumulative distribution of categories; those without a weight have 1.

    Raises:
        ValueError: As `cumulative`; names the category whose weight is negative or not finite.
    """
    _check_numbers("category_weights", category_weights.values())
    for name, weight in category_weights.items():
        if not 0 <= weight < np.inf:
            raise ValueError(f"`category_weights` must be at least 0 and finite, but has {weight!r} for {name!r}.")
    by_key = {category_key(name): weight for name, weight in category_weights.items()}
    weights = np.array([by_key.get(category_key(name), 1.0) for name in categories], np.float64)
    return cumulative("category_weights", weights)


def _check_numbers(name: str, values: Iterable[float]) -> None:
    """Raises ValueError unless all values are numbers: numpy would take a text such as '2' for one."""
    for each in values:
        if not isinstance(each, Real) or isinstance(each, bool):
            raise ValueError(f"`{name}` must be numbers, but got {each!r}.")


def cumulative(name: str, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Computes the cumulative distribution of weights, ending with 1, for `searchsorted` on uniform draws.

    Raises:
        ValueError: If a weight is negative or not finite, or all are 0.
    """
    _check_numbers(name, weights)
    values = np.asarray(weights, np.float64)
    if not values.size or not np.isfinite(values).all() or values.min() < 0 or not values.sum():
        raise ValueError(f"`{name}` must be at least 0 and not all 0, but got {values.tolist()[:8]}.")
    edges = np.cumsum(values) / values.sum()
    # The largest possible draw must not fall behind a last weight of 0.
    edges[np.flatnonzero(values)[-1] :] = 1
    return edges
