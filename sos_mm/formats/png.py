"""PNG files of masks and label maps."""

import struct
from zlib import crc32

import numpy as np
from isal import isal_zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {1: 0, 3: 2}
# Each row is stored as its difference to the one above, which for label maps is nearly all zeros.
_FILTER_UP = 2
# Of zeros this level, one of the fastest, makes hardly more than the slowest.
_LEVEL = 1


def encode_png(pixels: np.ndarray) -> bytes:
    """The content of an 8-bit PNG file; some times faster for label maps than OpenCV's, which suits photographs.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB uint8.

    Raises:
        ValueError: If it is anything else.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in _COLOR_TYPES or not pixels.size:
        raise ValueError(f"`pixels` must be uint8 (H, W) or (H, W, 3), but got {pixels.dtype} {pixels.shape}.")
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    rows = pixels.reshape(height, width * channels)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = _FILTER_UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    body = isal_zlib.compress(lines, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content))
