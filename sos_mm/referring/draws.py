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

    def _number(self) -> int:
        """Draws 512 integers in [0, 2**31) when none are left, and returns one of them."""
        self._numbers += self._generator.integers(0, 2**31, 512).tolist()
        return self._numbers.pop()

    def below(self, limit: int) -> int:
        """Draws an integer in [0, limit)."""
        return (self._numbers.pop() if self._numbers else self._number()) % limit

    def one(self, items: Sequence[T]) -> T:
        """Draws one item of a sequence."""
        return items[(self._numbers.pop() if self._numbers else self._number()) % len(items)]

    def many(self, count: int) -> list[int]:
        """Draws ``count`` integers in [0, 2**31)."""
        while len(self._numbers) < count:
            self._numbers.append(self._number())
        chosen = self._numbers[-count:]
        del self._numbers[-count:]
        return chosen

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns a new list of the items in random order."""
        if len(items) <= _FEW:
            if len(items) < 2:
                return list(items)
            return [items[position] for position in self.one(_ORDERS[len(items)])]
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
        return items
