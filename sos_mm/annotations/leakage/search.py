"""The search for near hashes: all pairs are compared, in blocks that fit into the processor's cache."""

from dataclasses import dataclass

import numpy as np

from sos_mm.annotations.leakage.hashing import distances

# Hashes of each side in a block.
_ROWS, _COLUMNS = 64, 4096


@dataclass(frozen=True)
class Nearest:
    """The nearest hash of each query, and how many are near.

    Attributes:
        index: (M,) int64, the first of the nearest; -1 if none is near.
        distance: (M,) int64 number of different bits, of the nearest; 129 if none is near.
        number: (M,) int64 number of near ones.
    """

    index: np.ndarray
    distance: np.ndarray
    number: np.ndarray


def nearest(hashes: np.ndarray, queries: np.ndarray, limit: int) -> Nearest:
    """Finds the nearest hash of each query; 100,000 hashes and 10,000 queries take some seconds.

    Args:
        hashes: (N, 2) uint64.
        queries: (M, 2) uint64.
        limit: Hashes are near from this number of different bits down.
    """
    found = Nearest(np.full(len(queries), -1), np.full(len(queries), 129), np.zeros(len(queries), np.int64))
    for top in range(0, len(queries), _ROWS):
        rows = slice(top, top + _ROWS)
        for left in range(0, len(hashes), _COLUMNS):
            apart = distances(queries[rows, None], hashes[None, left : left + _COLUMNS])
            best = apart.argmin(axis=1)
            least = np.take_along_axis(apart, best[:, None], 1)[:, 0].astype(np.int64)
            better = (least < found.distance[rows]) & (least <= limit)
            found.index[rows][better] = best[better] + left
            found.distance[rows][better] = least[better]
            if better.any() or (least <= limit).any():
                found.number[rows] += (apart <= limit).sum(axis=1)
    return found
