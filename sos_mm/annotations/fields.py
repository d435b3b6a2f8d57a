"""Checks of single members that annotation files have in common: sizes, boxes, spans, masks.

Each gives what is wrong, as a reason and a detail, or None.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Complaint = tuple[str, str] | None
# Of run lengths: their sum, the sum of those inside the mask, and the least.
Totals = tuple[int, int, int]
_NUMBERS = {int, float}
# Sizes are below: what has no known one is given this.
NO_LIMIT = 2**31


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, which true and false are not."""
    return type(value) is int


def is_size(value: Any) -> bool:
    """Whether a value can be the height or width of an image."""
    return is_whole(value) and 0 < value < NO_LIMIT


def are_finite(values: list) -> bool:
    """Whether all of a list are numbers, and finite, as a float holds them."""
    try:
        return set(map(type, values)) <= _NUMBERS and math.isfinite(sum(values))
    except OverflowError:
        # A whole number in JSON may have any number of digits.
        return False


def is_box(value: Any) -> bool:
    """Whether a value is a list of four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and are_finite(value)


def size_complaint(record: dict[str, Any]) -> Complaint:
    """Of ``height`` and ``width``."""
    height, width = record.get("height"), record.get("width")
    if is_size(height) and is_size(width):
        return None
    found = f"height {height!r}, width {width!r}"
    return "`height` and `width` must be whole numbers over 0, below 2**31", found[:80]


def box_complaint(box: Any, size: tuple[int, int], tolerance: float, corners: bool = False) -> Complaint:
    """Of a box in an image.

    Args:
        box: xywh, or xyxy with ``corners``.
        size: Height and width of the image.
        tolerance: How far it may reach over the image's edge, in pixels.
        corners: Which of both it is.
    """
    if not is_box(box):
        return "a box must be four finite numbers", repr(box)[:80]
    x0, y0, x1, y1 = box
    if not corners:
        x1, y1 = x0 + x1, y0 + y1
    if x1 <= x0 or y1 <= y0:
        return "a box must have an area", f"{box}"
    if min(x0, y0) < -tolerance or x1 > size[1] + tolerance or y1 > size[0] + tolerance:
        return "a box must be inside its image", f"{box} in {size[1]}x{size[0]}"
    return None


def spans_complaint(spans: Any, text: str) -> Complaint:
    """Of half-open spans of characters in a text."""
    if not isinstance(spans, list) or not spans:
        return "`tokens_positive` must be a list of spans", repr(spans)
    for span in spans:
        if not isinstance(span, list) or len(span) != 2 or not all(map(is_whole, span)):
            return "a span must be two whole numbers", repr(span)
        if not 0 <= span[0] < span[1] <= len(text):
            return "a span must be inside its caption", f"{span} in a caption of {len(text)} characters"
    return None


def phrase_complaint(phrase: Any, spans: Sequence[Sequence[int]], text: str) -> Complaint:
    """Of spans that are to give back a phrase, or each part of one that is a list."""
    words = [phrase] if isinstance(phrase, str) else phrase
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        return "`phrase` must be words, or a list of them", repr(phrase)
    given = " ".join(text[start:end] for start, end in spans)
    if given != " ".join(words):
        return "spans must give back their phrase", f"{spans} give {given!r}, the phrase is {phrase!r}"
    return None


def mask_complaint(mask: Any, size: tuple[int, int], area: Any, tolerance: float) -> Complaint:
    """Of a segmentation: polygons, or run lengths as a list or compressed."""
    if isinstance(mask, dict):
        return rle_complaint(mask, size, area)
    if not isinstance(mask, list) or not mask:
        return "`segmentation` must be polygons or run lengths; leave it out where there is no mask", repr(mask)
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return "a polygon must be at least three points", f"{polygon}"[:80]
        if not are_finite(polygon):
            return "a polygon must be finite numbers", f"{polygon}"[:80]
        xs, ys = polygon[::2], polygon[1::2]
        outside = min(min(xs), min(ys)) < -tolerance or max(xs) > size[1] + tolerance or max(ys) > size[0] + tolerance
        if outside:
            bounds = [min(xs), min(ys), max(xs), max(ys)]
            return "a polygon must be inside its image", f"{bounds} in {size[1]}x{size[0]}"
    return None


def rle_complaint(mask: dict[str, Any], size: tuple[int, int], area: Any, totals: Totals | None = None) -> Complaint:
    """Of run lengths; ``totals`` are those of its string, if they are known already."""
    if mask.get("size") != list(size):
        return "run lengths must have their image's size", f"{mask.get('size')}, the image has {list(size)}"
    counts = mask.get("counts")
    try:
        if totals is None:
            totals = _totals_of_list(counts) if isinstance(counts, list) else rle_totals([counts])[0]
    except (TypeError, ValueError, OverflowError):
        return "run lengths must be numbers, or COCO's string of them", repr(counts)[:80]
    covered, pixels, least = totals
    if least < 0 or covered != size[0] * size[1]:
        return "run lengths must cover the image", f"they cover {covered} of {size[0] * size[1]} pixels"
    if type(area) in _NUMBERS and abs(area - pixels) > 0.5:
        return "`area` must be that of the mask", f"{area}, the mask has {pixels} pixels"
    return None


def _totals_of_list(counts: list) -> Totals:
    if not all(map(is_whole, counts)):
        raise ValueError("Not whole numbers.")
    return sum(counts), sum(counts[1::2]), min(counts, default=0)


def rle_totals(strings: Sequence[str]) -> list[Totals]:
    """Of each of COCO's strings of run lengths: their sum, the sum of those inside the mask, and the least.

    Raises:
        TypeError: If one is not a string.
        ValueError: If one is not a string of run lengths.
    """
    lengths, firsts = decompress(strings)
    places = np.arange(len(lengths)) - firsts.repeat(np.diff(firsts, append=len(lengths)))
    inside = np.add.reduceat(np.where(places % 2, lengths, 0), firsts)
    sums, least = np.add.reduceat(lengths, firsts), np.minimum.reduceat(lengths, firsts)
    return list(zip(sums.tolist(), inside.tolist(), least.tolist(), strict=True))


def decompress(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Run lengths of COCO's strings, as pycocotools decodes them, all at once.

    Returns:
        (N,) int64 lengths, those of one string after those of the other; (M,) int64 where each string's begin.

    Raises:
        TypeError: If one is not a string.
        ValueError: If one is not a string of run lengths.
    """
    values = np.frombuffer("".join(strings).encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.cumsum([len(each) for each in strings]) - 1
    if not all(strings) or values.min() < 0 or values.max() > 63 or values[last].max() > 31:
        raise ValueError("Not a string of run lengths.")
    ends = np.flatnonzero(values < 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > 12:
        raise ValueError("A run length has too many characters.")
    # Five bits a character, lowest first; the highest bit of the last is the sign.
    shifts = 5 * (np.arange(len(values)) - starts.repeat(sizes))
    changes = np.add.reduceat((values & 31) << shifts, starts) - ((values[ends] & 16) << (5 * sizes - 4))
    firsts = np.searchsorted(ends, np.concatenate([[0], last[:-1] + 1]))
    return _summed(changes, firsts), firsts


def _summed(changes: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """From the fourth of a string on, each is the difference to the one two before."""
    numbers = np.diff(firsts, append=len(changes))
    places, lengths = np.arange(len(changes)) - firsts.repeat(numbers), changes.copy()
    for chain in (np.flatnonzero(places % 2), np.flatnonzero((places % 2 == 0) & (places > 0))):
        sums = np.cumsum(changes[chain])
        # What the strings before it have summed up to.
        before = np.concatenate([[0], sums])[np.searchsorted(chain, firsts)]
        lengths[chain] = sums - before.repeat(numbers)[chain]
    return lengths
