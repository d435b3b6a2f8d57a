"""COCO's compressed run lengths of masks, from the window where they are alone."""

from collections.abc import Iterable, Sequence
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
    return rles([(mask, offset)], canvas)[0]


def rles(windows: Iterable[tuple[np.ndarray, tuple[int, int]]], canvas: tuple[int, int]) -> list[dict[str, Any]]:
    """The same for several masks of one canvas, at once."""
    lengths = [run_lengths(mask, offset, canvas) for mask, offset in windows]
    return [{"size": list(canvas), "counts": counts} for counts in compress(lengths)]


def run_lengths(mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> np.ndarray:
    """(N,) int64 lengths of the runs of 0 and 1 in turn, down the columns of the whole mask, 0 first."""
    height, width = mask.shape
    # A row of nothing around each column: runs of neighbouring columns then never touch inside the window.
    columns = np.zeros((width, height + 2), bool)
    columns[:, 1:-1] = mask.T
    flat = columns.ravel()
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), height + 2)
    places = (column + offset[0]) * canvas[0] + row + offset[1]
    if height == canvas[0]:
        # Then they touch on the canvas, where a column's last pixel is followed by the next one's first.
        touching = np.flatnonzero(places[1:-1:2] == places[2::2]) * 2 + 1
        places = np.delete(places, [touching, touching + 1])
    ends = np.empty(len(places) + 1, np.int64)
    ends[:-1], ends[-1] = places, canvas[0] * canvas[1]
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    return lengths if lengths[-1] or not len(places) else lengths[:-1]


def compress(runs: Sequence[np.ndarray]) -> list[str]:
    """COCO's strings for run lengths: each from the fourth on as its difference to the one two before."""
    if not runs:
        return []
    changes = [np.concatenate([lengths[:3], lengths[3:] - lengths[1:-2]]) for lengths in runs]
    characters, sizes = _encode_signed(np.concatenate(changes))
    ends = np.cumsum([len(lengths) for lengths in runs])
    ends = np.cumsum(sizes)[ends - 1].tolist()
    text = characters.tobytes().decode()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _encode_signed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) uint8 characters of (N,) signed numbers, and (N,) how many each took.

    Five bits a character, lowest first, until the rest is only sign.
    """
    groups, present, more = [], [], np.ones(len(values), bool)
    while more.any():
        bits, values = values & 31, values >> _BITS
        present.append(more)
        more = more & np.where(bits & 16, values != -1, values != 0)
        groups.append(bits + _SHIFT + np.where(more, _MORE, 0))
    present = np.array(present).T
    return np.array(groups, np.uint8).T[present], present.sum(axis=1)
