"""Masks from what annotation files hold: COCO's run lengths and polygons, without pycocotools."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Polygons are walked in fifths of a pixel, as COCO's own code does.
_STEPS = 5


def decode_outline(segmentation: Any, size: tuple[int, int], name: str) -> np.ndarray:
    """The mask that COCO's ``segmentation`` stands for, with the very pixels that pycocotools gives.

    Args:
        segmentation: A dict of ``size`` and ``counts`` (a string, or a list of run lengths), or a list of polygons.
        size: Height and width of the image.
        name: What an error names.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: If it is neither, or is meant for another size.
    """
    if isinstance(segmentation, dict):
        return _decode_runs(segmentation, size, name)
    if isinstance(segmentation, list) and all(_is_polygon(each) for each in segmentation):
        mask = np.zeros(size, bool)
        for polygon in segmentation:
            mask |= fill_polygon(polygon, size)
        return mask
    raise ValueError(f"The outline of {name} must be polygons or run lengths, but got {str(segmentation)[:80]}.")


def decompress(counts: str) -> np.ndarray:
    """(N,) int64 run lengths from COCO's string for them, the inverse of `writers.rle.compress`.

    Raises:
        ValueError: If the string is not one of run lengths.
    """
    groups = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    if not groups.size or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise ValueError(f"Run lengths must be a string as COCO writes it, but got {counts[:40]!r}.")
    # Five bits a character, lowest first; the sixth says that more follow, the fifth of the last one is the sign.
    ends = np.flatnonzero(groups & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 7:
        raise ValueError(f"Run lengths must be below 2**34, but {counts[:40]!r} holds longer ones.")
    places = np.arange(len(groups)) - np.repeat(starts, digits)
    values = np.add.reduceat((groups & 31) << 5 * places, starts) - ((groups[ends] >> 4 & 1) << 5 * digits)
    # From the fourth on they are differences to the one two before.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def fill_polygon(polygon: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pixels of a polygon, by the rule of pycocotools' ``frPyObjects``.

    Args:
        polygon: x0, y0, x1, y1, ... in pixels, where pixel (0, 0) reaches from 0 to 1.
        size: Height and width of the mask.

    Returns:
        (H, W) bool.
    """
    height, width = size
    # Truncated, not floored: that is what the conversion to int does in C.
    corners = np.trunc(np.asarray(polygon, float).reshape(-1, 2) * _STEPS + 0.5).astype(np.int64)
    walk = np.concatenate([_edge(*pair) for pair in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    (before, after), y = (walk[:-1, 0], walk[1:, 0]), np.minimum(walk[:-1, 1], walk[1:, 1])
    x = np.where(after < before, after, after - 1)
    # Only where the walk crosses the middle of a column does the mask change in it.
    crossing = (after != before) & (x % _STEPS == _STEPS // 2) & (x >= 0) & (x < width * _STEPS)
    rows = np.ceil(np.clip((y[crossing] + 0.5) / _STEPS - 0.5, 0, height)).astype(np.int64)
    changes = np.bincount(x[crossing] // _STEPS * height + rows, minlength=height * width + 1)
    return (np.cumsum(changes[: height * width]) % 2).astype(bool).reshape(width, height).T


def _edge(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 2) points of an edge from start to end, one a step along its longer side."""
    length = np.abs(end - start)
    along = 0 if length[0] >= length[1] else 1
    steps = int(length[along])
    if not steps:
        return start[None]
    flipped = start[along] > end[along]
    low, high = (end, start) if flipped else (start, end)
    t = np.arange(steps + 1)[:: -1 if flipped else 1]
    points = np.empty((steps + 1, 2), np.int64)
    points[:, along] = low[along] + t
    across = 1 - along
    points[:, across] = np.trunc(low[across] + (high[across] - low[across]) / steps * t + 0.5)
    return points


def _decode_runs(runs: dict, size: tuple[int, int], name: str) -> np.ndarray:
    counts = runs.get("counts")
    if list(runs.get("size", ())) != list(size):
        raise ValueError(
            f"The outline of {name} is for an image of {runs.get('size')} (height, width), but that has {list(size)}."
        )
    try:
        lengths = decompress(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The outline of {name} cannot be read: {error}") from error
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"The run lengths of {name} must add up to {size[0] * size[1]} pixels, but do not.")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[1], size[0]).T


def _is_polygon(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 6 and len(value) % 2 == 0
