"""Reads the size of an image from the header of its file, and limits it: decoding allocates memory for all pixels.

A PNG file of 20,000 x 20,000 pixels of one colour has 1.6 MB, and takes 1.2 GB and half a minute to decode.
"""

import os
from collections.abc import Callable
from struct import error as struct_error
from struct import unpack_from

# Twice the limit of Pillow's warning, above which Pillow raises an error: 178,956,970.
DEFAULT_MAX_PIXELS = 2 * (1024**3 // 4 // 3)
# The environment variable with another limit.
MAX_PIXELS = "SOS_MM_MAX_PIXELS"
# Markers of JPEG without a length: filler, restarts, start of the image.
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}
# Markers of JPEG whose segment begins with the size: those of the frame (SOF), for all codings.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
# The size of an AVIF image is in a box near the beginning of the file.
_AVIF_HEAD = 4096

Size = tuple[int, int]


def pixel_limit() -> int:
    """Returns the largest number of pixels of an image that is read.

    Raises:
        ValueError: If ``SOS_MM_MAX_PIXELS`` is not a positive integer.
    """
    text = os.environ.get(MAX_PIXELS)
    if text is None:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"The environment variable {MAX_PIXELS} must be a positive integer, but is {text!r}.")
    return int(text)


def image_size(encoded: bytes | memoryview) -> Size | None:
    """Reads height and width from the header of an image file, without decoding it.

    Args:
        encoded: The bytes of a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file.

    Returns:
        Height and width in pixels as stored; None for another kind of file, or a damaged header.
    """
    start = bytes(encoded[:16])
    for matches, read in _READERS:
        if matches(start):
            try:
                return read(encoded)
            except (struct_error, IndexError):
                return None
    return None


def _png(data: bytes | memoryview) -> Size | None:
    width, height = unpack_from(">II", data, 16)
    return height, width


def _jpeg(data: bytes | memoryview) -> Size | None:
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _JPEG_FRAMES:
            return unpack_from(">HH", data, position + 5)
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_BARE:
            position += 2
        else:
            position += 2 + unpack_from(">H", data, position + 2)[0]
    return None


def _webp(data: bytes | memoryview) -> Size | None:
    kind = bytes(data[12:16])
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[first : first + 3], "little") + 1 for first in (24, 27))
        return height, width
    return None


def _gif(data: bytes | memoryview) -> Size | None:
    width, height = unpack_from("<HH", data, 6)
    return height, width


def _bmp(data: bytes | memoryview) -> Size | None:
    (header,) = unpack_from("<I", data, 14)
    width, height = unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return abs(height), abs(width)  # Rows from top to bottom have a negative height.


def _tiff(data: bytes | memoryview) -> Size | None:
    order = "<" if data[0] == ord("I") else ">"
    (version,) = unpack_from(f"{order}H", data, 2)
    if version == 42:
        (first,) = unpack_from(f"{order}I", data, 4)
        number, entry, length, value = f"{order}H", f"{order}HHI", 12, 8
    else:  # BigTIFF, 43
        (first,) = unpack_from(f"{order}Q", data, 8)
        number, entry, length, value = f"{order}Q", f"{order}HHQ", 20, 12
    (entries,) = unpack_from(number, data, first)
    first += 2 if version == 42 else 8
    found = {}
    for position in range(first, first + length * min(entries, 4096), length):
        tag, kind, _ = unpack_from(entry, data, position)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            form = {3: "H", 4: "I", 16: "Q"}.get(kind, "I")
            (found[tag],) = unpack_from(f"{order}{form}", data, position + value)
    return (found[_TIFF_HEIGHT], found[_TIFF_WIDTH]) if len(found) == 2 else None


def _avif(data: bytes | memoryview) -> Size | None:
    head, sizes, found = bytes(data[:_AVIF_HEAD]), [], -1
    while (found := head.find(b"ispe", found + 1)) >= 0:
        width, height = unpack_from(">II", head, found + 8)
        sizes.append((height, width))
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes | memoryview], Size | None]], ...] = (
    (lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda start: start.startswith(b"\xff\xd8"), _jpeg),
    (lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP", _webp),
    (lambda start: start.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda start: start.startswith(b"BM"), _bmp),
    (lambda start: start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")), _tiff),
    (lambda start: start[4:12] in (b"ftypavif", b"ftypavis"), _avif),
)
