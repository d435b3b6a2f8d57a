"""Multi-resolution copies of segments, packed into one file, for uses that need fewer pixels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from sos_mm.checks import FaultyInputError, require_posix
from sos_mm.segments.segment import OPAQUE

# A copy is used if its sides are at least so many times the wanted sides. Reducing twice blurs twice: from 1.25 to 1
# three tenths of the fine detail are lost, from 2 to 1 less than a tenth.
OVERSAMPLING = 2

# At 128 to 1000 pixels it decodes 15 to 30 times as fast as PNG, at about 1.6 times the size.
_CODEC = pa.Codec("lz4_raw")

# Rows that are reduced at once, so that an image of any size takes little memory.
_STRIP = 256


def copy_sizes(size: tuple[int, int], sides: Sequence[int]) -> list[tuple[int, int]]:
    """Computes the sizes of a segment's copies: one for each side below its own longest side, then its own size.

    Args:
        size: Height and width of the segment in pixels.
        sides: Longest sides of the copies, ascending.

    Returns:
        Heights and widths for the first entries of ``sides``. The segment's own size is the last one only if it is no
        larger than one of them.
    """
    height, width = size
    longest, sizes = max(size), []
    for side in sides:
        if side >= longest:
            sizes.append((height, width))
            break
        sizes.append((max(round(height * side / longest), 1), max(round(width * side / longest), 1)))
    return sizes


def shrink(rgba: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scales an RGBA image down by area averaging, colours weighted by alpha.

    Uses integer arithmetic throughout, so that the result is the same on any machine.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        size: Height and width in pixels, not above those of ``rgba``.

    Returns:
        (h, w, 4) uint8, straight alpha; black where it is fully transparent.
    """
    height, width = rgba.shape[:2]
    if (height, width) == tuple(size):
        return without_hidden_colors(rgba)
    narrow = np.empty((height, size[1], 4), np.int64)
    for start in range(0, height, _STRIP):
        strip = rgba[start : start + _STRIP].astype(np.int64)
        strip[..., :3] *= strip[..., 3:]
        narrow[start : start + _STRIP] = _sums(strip, size[1], 1)
    sums = _sums(narrow, size[0], 0)
    alpha = sums[..., 3:]
    small = np.concatenate([_divided(sums[..., :3], np.maximum(alpha, 1)), _divided(alpha, height * width)], axis=2)
    return without_hidden_colors(small.astype(np.uint8))


def without_hidden_colors(rgba: np.ndarray) -> np.ndarray:
    """Returns a copy with fully transparent pixels set to black, which compresses better."""
    return cv2.copyTo(rgba, cv2.merge([rgba[..., 3]] * 4))


def _sums(values: np.ndarray, number: int, axis: int) -> np.ndarray:
    """Sums (H, W, 4) over ``number`` equal parts of the first or second axis, in units of a ``number``-th."""
    length = values.shape[axis]
    whole, part = np.divmod(np.arange(number + 1) * length, number)
    before = np.cumsum(values, axis)
    # Cumulative sum up to each edge: all values before it, and a fraction of the one that it runs through.
    at_edges = np.take(before, whole - 1, axis, mode="wrap") * number
    at_edges[(slice(None),) * axis + (0,)] = 0
    weights = part.reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    at_edges += np.take(values, np.minimum(whole, length - 1), axis) * weights
    return np.diff(at_edges, axis=axis)


def _divided(values: np.ndarray, by: np.ndarray | int) -> np.ndarray:
    return (2 * values + by) // (2 * by)


def pack(rgba: np.ndarray, sides: Sequence[int]) -> list[bytes]:
    """Encodes the multi-resolution copies of a segment without transparent margins, from small to large.

    A copy without any opaque pixel, as of a hair, is empty.
    """
    packed, source = [], rgba
    for size in reversed(copy_sizes(rgba.shape[:2], sides)):
        # From the previous copy if it has at least twice the pixels a side, which is four times as fast.
        source = source if min(np.divide(source.shape[:2], size)) >= OVERSAMPLING else rgba
        small = shrink(source, size)
        source = small if small.shape != rgba.shape else rgba
        packed.append(_CODEC.compress(small.tobytes(), asbytes=True) if small[..., 3].max() >= OPAQUE else b"")
    return packed[::-1]


@dataclass(frozen=True, slots=True)
class PackedCopy:
    """The position and sizes of a packed copy.

    Attributes:
        offset: Offset of its bytes in the file.
        length: Number of its bytes.
        size: Height and width of the copy.
        full_size: Height and width of the segment.
    """

    offset: int
    length: int
    size: tuple[int, int]
    full_size: tuple[int, int]


class CopiesFile:
    """The file of the multi-resolution copies, open for reading.

    Args:
        path: The file.
        length: Its expected size in bytes.

    Raises:
        FileNotFoundError: If it does not exist.
        RuntimeError: On Windows.
        ValueError: If it has another size.
    """

    def __init__(self, path: Path, length: int):
        require_posix("Reading multi-resolution copies of segments")
        self.path, self.length = path, length
        if not path.is_file():
            text = f"The multi-resolution copies {path} do not exist: move them along with their index."
            raise FileNotFoundError(text)
        if path.stat().st_size != length:
            got = f"{path.stat().st_size} bytes, but must have {length}"
            text = f"The multi-resolution copies {path} have {got}: copy the file again, or make the index anew."
            raise ValueError(text)
        # Not memory-mapped: pages that were read would count as this process's memory from then on.
        self._file = path.open("rb", buffering=0)

    def read(self, copy: PackedCopy) -> np.ndarray:
        """Reads the pixels (h, w, 4) uint8 of a copy.

        Raises:
            ValueError: If its bytes are damaged; names the file.
        """
        height, width = copy.size
        packed = self.read_packed(copy.offset, copy.length)
        try:
            pixels = np.frombuffer(_CODEC.decompress(packed, height * width * 4), np.uint8)
        except (OSError, ValueError) as error:
            text = f"The copy at byte {copy.offset} of {self.path} is damaged ({error}): make the index anew."
            raise FaultyInputError("cannot be decoded", text) from error
        return pixels.reshape(height, width, 4)

    def read_packed(self, start: int, length: int) -> bytes:
        """Reads bytes of the file."""
        return os.pread(self._file.fileno(), length, start)
