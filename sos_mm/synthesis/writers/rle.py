"""COCO's compressed run lengths of masks, from the window where they are alone."""

from typing import Any

import numpy as np

# Each character carries five bits, then whether more follow, and is shifted into printable ASCII.
_BITS, _MORE, _SHIFT = 5, 32, 48


def rle(mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> dict[str, Any]:
    """Encodes a mask that is nothing outside a window, as `pycocotools.mask.encode` does the whole one.

    Args:
        mask: (h, w) bool, the window; inside the canvas.
        offset: x and y of the window's first pixel on the canvas.
        canvas: Height and width of the whole mask.

    Returns:
        ``size``, height and width, and ``counts``, the run lengths down the columns as a string.
    """
    return {"size": list(canvas), "counts": compress(run_lengths(mask, offset, canvas))}


def run_lengths(mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> np.ndarray:
    """(N,) int64 lengths of the runs of 0 and 1 in turn, down the columns of the whole mask, 0 first."""
    height, width = mask.shape
    # A row of nothing around each column: runs of neighbouring columns then never touch inside the window.
    columns = np.zeros((width, height + 2), np.int8)
    columns[:, 1:-1] = mask.T
    edges = np.flatnonzero(np.diff(columns.ravel()))
    column, row = np.divmod(edges, height + 2)
    places = (column + offset[0]) * canvas[0] + row + offset[1]
    # On the whole canvas they touch where the window is as high as the canvas.
    touching = np.flatnonzero(places[1:-1:2] == places[2::2]) * 2 + 1
    places = np.delete(places, [touching, touching + 1])
    lengths = np.diff(places, prepend=0, append=canvas[0] * canvas[1])
    return lengths if lengths[-1] or not len(places) else lengths[:-1]


def compress(lengths: np.ndarray) -> str:
    """COCO's string for run lengths: each from the fourth on as its difference to the one two before."""
    values = lengths.astype(np.int64)
    values[3:] -= lengths[1:-2]
    # Signed numbers of five bits a character, lowest first, until the rest is only sign.
    groups, more = [], np.ones(len(values), bool)
    present = []
    rest = values
    while more.any():
        bits, rest = rest & 31, rest >> _BITS
        present.append(more)
        more = more & np.where(bits & 16, rest != -1, rest != 0)
        groups.append(bits + _SHIFT + np.where(more, _MORE, 0))
    return np.array(groups, np.uint8).T[np.array(present).T].tobytes().decode()
