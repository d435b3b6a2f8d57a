"""Draws random integers, items and orders for the grammar."""

from collections.abc import Sequence
from itertools import permutations
from typing import TypeVar

import numpy as np

T = TypeVar("T")
# All orders of up to so many items, by number of items.
_FEW = 4
_ORDERS = [list(permutations(range(number))) for number in range(_FEW + 1)]


class Draws:
    """Draws random integers from a generator, in blocks for speed.

    Args:
        generator: The generator.
    """

    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._numbers: list[int] = []

    def _refill(self) -> None:
        self._numbers += self._generator.integers(0, 2**31, 512).tolist()

    def below(self, limit: int) -> int:
        """Draws an integer in [0, limit)."""
        if not self._numbers:
            self._refill()
        return self._numbers.pop() % limit

    def one(self, items: Sequence[T]) -> T:
        """Draws one item of a sequence."""
        if not self._numbers:
            self._refill()
        return items[self._numbers.pop() % len(items)]

    def many(self, count: int) -> list[int]:
        """Draws ``count`` integers in [0, 2**31)."""
        while len(self._numbers) < count:
            self._refill()
        chosen = self._numbers[-count:]
        del self._numbers[-count:]
        return chosen

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns a new list of the items in random order."""
        if len(items) <= _FEW:
            return [items[position] for position in self.one(_ORDERS[len(items)])]
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            if not self._numbers:
                self._refill()
            other = self._numbers.pop() % (last + 1)
            items[last], items[other] = items[other], items[last]
        return items
