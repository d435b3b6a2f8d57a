"""COCO masks: run-length encoding from the window that holds a mask, checks, and decoding by pycocotools."""

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
from pycocotools import mask as mask_tools

from sos_mm.checks import FaultyInputError
from sos_mm.compiled import loops
from sos_mm.formats.records import MOST_PIXELS, NO_LIMIT, Complaint, are_finite, is_integer

# Totals of run lengths: their sum, the sum of the runs inside the mask, and the smallest run.
Totals = tuple[int, int, int]
# A polygon may reach so far beyond an image that is smaller, in pixels.
_LEAST_MARGIN = 256
_REMEDY = "correct or remove the annotation"
# Each character holds five bits, of which the highest of the last character is the sign, and a continuation bit; it is
# shifted into printable ASCII.
_BITS, _LOW, _SIGN, _MORE, _SHIFT = 5, 31, 16, 32, 48


def encode_mask(mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> dict[str, Any]:
    """Encodes a mask that is empty outside a window; the result equals `pycocotools.mask.encode` of the full mask.

    Args:
        mask: (h, w) bool, the window, which lies inside the canvas.
        offset: x and y of the window's first pixel on the canvas.
        canvas: Height and width of the full mask.

    Returns:
        ``size`` (height and width) and ``counts`` (the column-wise run lengths as a compressed string).

    >>> encode_mask(np.ones((2, 2), bool), offset=(1, 0), canvas=(3, 4))
    {'size': [3, 4], 'counts': '32103'}
    """
    return encode_masks([(mask, offset)], canvas)[0]


def encode_masks(
    windows: Iterable[tuple[np.ndarray, tuple[int, int]]], canvas: tuple[int, int]
) -> list[dict[str, Any]]:
    """Encodes several masks of one canvas at once."""
    fast = loops("sos_mm.formats.run_loops")
    if fast:
        encoded = (_encode_window(fast, mask, offset, canvas) for mask, offset in windows)
        return [{"size": list(canvas), "counts": counts} for counts in encoded]
    lengths = [run_lengths(mask, offset, canvas) for mask, offset in windows]
    return [{"size": list(canvas), "counts": counts} for counts in compress(lengths)]


def _encode_window(fast: ModuleType, mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> str:
    """Encodes a mask in its window by compiled loops."""
    positions = fast.changes(np.ascontiguousarray(mask).view(np.uint8), *offset, canvas[0])
    return fast.characters(positions, canvas[0] * canvas[1]).tobytes().decode()


def run_lengths(mask: np.ndarray, offset: tuple[int, int], canvas: tuple[int, int]) -> np.ndarray:
    """Computes the (N,) int64 alternating run lengths of 0 and 1, starting with 0, down the
    columns of the full mask.
    """
    height, width = mask.shape
    # Pad with an empty row above and below, so that runs of neighbouring columns never touch inside the window.
    rows = np.zeros((height + 2, width), np.uint8)
    rows[1:-1] = mask
    flat = cv2.transpose(rows).ravel()
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), height + 2)
    positions = (column + offset[0]) * canvas[0] + row + offset[1]
    if height == canvas[0]:
        # On the full canvas they touch, since the last pixel of a column is followed by the first pixel of the next.
        touching = np.flatnonzero(positions[1:-1:2] == positions[2::2]) * 2 + 1
        positions = np.delete(positions, [touching, touching + 1])
    ends = np.empty(len(positions) + 1, np.int64)
    ends[:-1], ends[-1] = positions, canvas[0] * canvas[1]
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    return lengths if lengths[-1] or not len(positions) else lengths[:-1]


def compress(runs: Sequence[np.ndarray]) -> list[str]:
    """Encodes run lengths as COCO's compressed strings: from the fourth on, each is stored as its difference to the run
    two before.
    """
    if not runs:
        return []
    changes = [np.concatenate([lengths[:3], lengths[3:] - lengths[1:-2]]) for lengths in runs]
    characters, sizes = _encode_signed(np.concatenate(changes))
    ends = np.cumsum([len(lengths) for lengths in runs])
    ends = np.cumsum(sizes)[ends - 1].tolist()
    text = characters.tobytes().decode()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _encode_signed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encodes (N,) signed integers as (M,) uint8 characters; also returns (N,) how many characters each took.

    Five bits a character, lowest first, until only the sign is left.
    """
    sizes, groups = np.ones(len(values), np.int64), []
    positions: np.ndarray = np.arange(len(values))
    while len(positions):
        # Only the sign is left once the rest fits into the five bits of the character.
        more = (values < -_SIGN) | (values >= _SIGN)
        groups.append((positions, (values & _LOW) + _SHIFT + more * _MORE))
        positions, values = positions[more], values[more] >> _BITS
        sizes[positions] += 1
    starts = np.cumsum(sizes) - sizes
    characters = np.empty(sizes.sum(), np.uint8)
    for turn, (positions, group) in enumerate(groups):
        characters[starts[positions] + turn] = group
    return characters, sizes


class MaskWindow(NamedTuple):
    """A mask cropped to its tight box.

    Attributes:
        mask: (h, w) uint8 of 0 and 1.
        x, y: Left and top edge of the box in the image, in pixels.
    """

    mask: np.ndarray
    x: int
    y: int

    def grown(self, margin: int, size: tuple[int, int]) -> "MaskWindow":
        """Returns the same mask with ``margin`` more pixels on each side, clipped to an image (height, width)."""
        height, width = self.mask.shape
        left, top = min(margin, self.x), min(margin, self.y)
        right, bottom = min(margin, size[1] - self.x - width), min(margin, size[0] - self.y - height)
        mask = cv2.copyMakeBorder(self.mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
        return MaskWindow(mask, self.x - left, self.y - top)

    @property
    def part(self) -> tuple[slice, slice]:
        """Row and column slices of the box in the image."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def decode_mask(segmentation: Any, size: tuple[int, int], name: str) -> np.ndarray:
    """Decodes polygons or run lengths to a mask, as pycocotools does.

    Args:
        segmentation: A list of polygons, or a dict of ``size`` and ``counts`` (a string, or a list of run lengths).
        size: Height and width of the image.
        name: What an error names.

    Returns:
        (H, W) bool.

    Raises:
        FaultyInputError: If it is neither, has a number that is none or that is far outside its image, or belongs to an
            image of another size. All numbers are checked before they size an allocation.
    """
    return mask_tools.decode(packed_mask(segmentation, size, name)).view(bool)


def decode_window(segmentation: Any, size: tuple[int, int], name: str) -> MaskWindow:
    """Decodes polygons or run lengths to the mask in its tight box; the pixels are those of `decode_mask`.

    Raises:
        FaultyInputError: As `decode_mask`, and if the mask is empty.
    """
    window = unpack_window(packed_mask(segmentation, size, name), name)
    if not window.mask.size:
        raise _faulty(f"The outline of {name} must hold pixels, but is empty: {_REMEDY}.")
    return window


def unpack_window(packed: dict[str, Any], name: str) -> MaskWindow:
    """Decodes run lengths, as pycocotools packs them, to the mask in its tight box; of an empty mask the box is empty.

    With numba it takes a fraction of the time of pycocotools, which decodes all pixels of the image.

    Raises:
        FaultyInputError: If the run lengths do not add up to ``size``; with numba they are always checked.
    """
    fast, counts, (height, width) = loops("sos_mm.formats.run_loops"), packed["counts"], packed["size"]
    if fast:
        characters = np.frombuffer(counts if isinstance(counts, bytes) else counts.encode(), np.uint8)
        columns, x, y, adds_up = fast.columns_of(characters, height, width)
        if not adds_up:
            raise _faulty(f"The run lengths of {name} must add up to {height * width} pixels, but do not: {_REMEDY}.")
        return MaskWindow(cv2.transpose(columns) if columns.size else columns, x, y)
    # The decoded array is in column-major order: only the box is copied to row-major order.
    whole, (x, y, width, height) = mask_tools.decode(packed), map(int, mask_tools.toBbox(packed))
    window = np.ascontiguousarray(whole[y : y + height, x : x + width])
    left, top, width, height = cv2.boundingRect(window) if window.size else (0, 0, 0, 0)
    if not width:
        return MaskWindow(np.zeros((0, 0), np.uint8), 0, 0)
    return MaskWindow(window[top : top + height, left : left + width], x + left, y + top)


def decode_near(segmentation: Any, size: tuple[int, int], name: str) -> MaskWindow:
    """Decodes a mask as `decode_window` does, but rasterises polygons only in the part of the image around them.

    That takes a tenth of the time. Where an edge runs exactly between two pixels, rounding may give another pixel.
    """
    if not _is_polygons(segmentation):
        return decode_window(segmentation, size, name)
    _check_polygons(segmentation, size, name)
    height, width = size
    polygons = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation]
    points = np.concatenate(polygons)
    x, y = np.clip(np.floor(points.min(0)) - 1, 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(points.max(0)) + 1, (x + 1, y + 1), (width, height)).astype(int).tolist()
    # Pycocotools truncates 5 v + 1/2. Truncate here, before shifting, and pass values that truncate to the same number.
    fifths = [np.trunc(5 * polygon + 0.5) - (5 * x, 5 * y) for polygon in polygons]
    moved = [((each - 0.75 * (each < 0)) / 5).ravel().tolist() for each in fifths]
    window = decode_window(moved, (bottom - y, right - x), name)
    return MaskWindow(window.mask, window.x + x, window.y + y)


def packed_mask(segmentation: Any, size: tuple[int, int], name: str) -> dict[str, Any]:
    """Converts polygons or run lengths to the run-length dict that pycocotools takes.

    Args:
        segmentation: As in `decode_mask`.
        size: Height and width of the image.
        name: What an error names.

    Raises:
        FaultyInputError: As `decode_mask`.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise _faulty(f"The image of {name} must have at most {MOST_PIXELS} pixels, but has {size[0]} x {size[1]}.")
    if _is_polygons(segmentation):
        _check_polygons(segmentation, size, name)
        return mask_tools.merge(mask_tools.frPyObjects(segmentation, *size))
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("size"), list):
        text = f"The outline of {name} must be polygons or run lengths, but got {repr(segmentation)[:80]}."
        raise _faulty(text)
    if segmentation["size"] != list(size):
        raise _faulty(
            f"The outline of {name} is for an image of {repr(segmentation['size'])[:80]} (height, width), but that has "
            f"{list(size)}: the images must be those that the annotations were made for."
        )
    counts: Any = segmentation.get("counts")
    try:
        covered, _, least = _totals_of(counts)
    except (TypeError, ValueError, OverflowError) as error:
        raise _faulty(f"The outline of {name} cannot be read: `counts` must be run lengths, but {error}") from error
    # Pycocotools would leave pixels that no run covers uninitialised.
    if least < 0 or covered != size[0] * size[1]:
        raise _faulty(f"The run lengths of {name} must add up to {size[0] * size[1]} pixels, but do not: {_REMEDY}.")
    packed = {"size": list(size), "counts": counts}
    return packed if isinstance(counts, str) else mask_tools.frPyObjects(packed, *size)


def _check_polygons(polygons: list[list[Any]], size: tuple[int, int], name: str) -> None:
    """Raises FaultyInputError unless all coordinates are numbers, none further from the image than its size.

    Pycocotools allocates memory by the lengths of a polygon's edges, and takes NaN for a number.
    """
    for polygon in polygons:
        if not are_finite(polygon):
            raise _faulty(f"A polygon of {name} must be finite numbers, but is {repr(polygon)[:80]}: {_REMEDY}.")
        for values, side in ((polygon[::2], size[1]), (polygon[1::2], size[0])):
            margin = max(side, _LEAST_MARGIN)
            if min(values) < -margin or max(values) > side + margin:
                raise _faulty(
                    f"A polygon of {name} must be inside its image of {size[1]}x{size[0]} pixels, but reaches from "
                    f"{min(values)} to {max(values)}: {_REMEDY}."
                )


def _faulty(text: str) -> FaultyInputError:
    return FaultyInputError("faulty outline", text)


def _is_polygons(segmentation: Any) -> bool:
    # Pycocotools takes four numbers for a box.
    polygons = isinstance(segmentation, list) and segmentation
    return bool(polygons) and all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in segmentation)


def mask_complaint(mask: Any, size: tuple[int, int], area: Any, tolerance: float) -> Complaint:
    """Checks a segmentation (polygons, or run lengths as a list or a string); returns what is
    wrong with it, or None.
    """
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
    """Checks run lengths; returns what is wrong with them, or None.

    ``totals`` are the totals of the compressed string, if they are already known.
    """
    if mask.get("size") != list(size):
        return "run lengths must have their image's size", f"{mask.get('size')}, the image has {list(size)}"
    counts: Any = mask.get("counts")
    try:
        if totals is None:
            totals = _totals_of(counts)
    except (TypeError, ValueError, OverflowError):
        return "run lengths must be numbers, or COCO's string of them", repr(counts)[:80]
    covered, pixels, least = totals
    if least < 0 or covered != size[0] * size[1]:
        return "run lengths must cover the image", f"they cover {covered} of {size[0] * size[1]} pixels"
    if type(area) in (int, float) and abs(area - pixels) > 0.5:
        return "`area` must be that of the mask", f"{area}, the mask has {pixels} pixels"
    return None


def _totals_of(counts: Any) -> Totals:
    """Computes the totals of run lengths, a list or a compressed string; raises TypeError, ValueError if neither."""
    if not isinstance(counts, list):
        return rle_totals([counts])[0]
    if not all(map(is_integer, counts)):
        raise ValueError("they must be integers.")
    return sum(counts), sum(counts[1::2]), min(counts, default=0)


def rle_totals(strings: Sequence[str]) -> list[Totals]:
    """Computes the totals of each compressed string: sum of its runs, sum of the runs inside the mask, smallest run.

    Raises:
        TypeError: If one is not a string.
        ValueError: If one is not a string of run lengths.
    """
    lengths, firsts = decompress(strings)
    positions = np.arange(len(lengths)) - firsts.repeat(np.diff(firsts, append=len(lengths)))
    # Larger ones than any image are made smaller, so that no sum of them can overflow to a valid one.
    least, lengths = np.minimum.reduceat(lengths, firsts), np.clip(lengths, -NO_LIMIT, NO_LIMIT)
    sums, inside = np.add.reduceat(lengths, firsts), np.add.reduceat(np.where(positions % 2, lengths, 0), firsts)
    return list(zip(sums.tolist(), inside.tolist(), least.tolist(), strict=True))


def decompress(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Decodes several compressed strings to run lengths at once, as pycocotools decodes one.

    Returns:
        (N,) int64 run lengths of all strings, concatenated; (M,) int64 index of each string's first run.

    Raises:
        TypeError: If one is not a string.
        ValueError: If one is not a string of run lengths.
    """
    values = np.frombuffer("".join(strings).encode("ascii"), np.uint8).astype(np.int64) - _SHIFT
    last = np.cumsum([len(each) for each in strings]) - 1
    if not all(strings) or values.min() < 0 or values.max() > (_MORE | _LOW) or values[last].max() > _LOW:
        raise ValueError("Run lengths must be a string as COCO writes it.")
    ends = np.flatnonzero(values < _MORE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > 12:
        raise ValueError("A run length has too many characters.")
    # Five bits a character, lowest first; the highest bit of the last is the sign.
    shifts = _BITS * (np.arange(len(values)) - starts.repeat(sizes))
    signs = (values[ends] & _SIGN) << (_BITS * (sizes - 1) + 1)
    changes = np.add.reduceat((values & _LOW) << shifts, starts) - signs
    firsts = np.searchsorted(ends, np.concatenate([[0], last[:-1] + 1]))
    return _summed(changes, firsts), firsts


def _summed(changes: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Restores run lengths from their differences: from the fourth of a string on, each adds to the run two before."""
    numbers = np.diff(firsts, append=len(changes))
    positions, lengths = np.arange(len(changes)) - firsts.repeat(numbers), changes.copy()
    for chain in (np.flatnonzero(positions % 2), np.flatnonzero((positions % 2 == 0) & (positions > 0))):
        sums = np.cumsum(changes[chain])
        # Subtract the sums of all strings before this one.
        before = np.concatenate([[0], sums])[np.searchsorted(chain, firsts)]
        lengths[chain] = sums - before.repeat(numbers)[chain]
    return lengths
