"""Size, bit depth and orientation of image files, read from their headers without decoding any pixel."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

# Of the EXIF orientations, 1 to 8, those that exchange height and width.
_ACROSS = (5, 6, 7, 8)
_EXIF_ORIENTATION, _TIFF_HEIGHT, _TIFF_WIDTH, _TIFF_BITS = 274, 257, 256, 258
# Start-of-frame markers of JPEG; the others in this range are tables.
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
# More entries than any program writes into the first directory of a TIFF file or into EXIF data.
_MOST_ENTRIES = 512
# Bytes of EXIF data that are read at most: more than any program writes before the orientation.
_MOST_EXIF = 2**20
# Integer types of BigTIFF.
_FORMS = {3: "H", 4: "I", 16: "Q"}
# The size of an AVIF image is in a box near the beginning of the file.
_AVIF_HEAD = 4096


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image file.

    Attributes:
        kind: 'PNG', 'JPEG', 'WebP', 'GIF', 'BMP', 'TIFF' or 'AVIF' (of its orientation nothing is read).
        stored_size: Height and width as stored, in pixels.
        bits: Bits of a channel; of a palette's indices in files with one.
        orientation: EXIF orientation, 1 to 8; 1 if the file has none.
    """

    kind: str
    stored_size: tuple[int, int]
    bits: int = 8
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as OpenCV decodes the file: turned by its EXIF orientation, except WebP."""
        height, width = self.stored_size
        return (width, height) if self.orientation in _ACROSS and self.kind != "WebP" else (height, width)


def read_header(source: str | Path | bytes) -> ImageHeader | None:
    """Reads the header of an image.

    Args:
        source: The file, or its bytes.

    Returns:
        The header; None if the file is of another kind, or its header is damaged.

    Raises:
        OSError: If the file cannot be read.
    """
    with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        begin = file.read(12)
        for signature, (position, read) in _READERS.items():
            if begin.startswith(signature, position):
                file.seek(0)
                try:
                    header = read(file)
                except (struct.error, ValueError, OverflowError, KeyError):
                    return None
                return header if header is not None and min(header.stored_size) > 0 else None
    return None


def _unpack(file: BinaryIO, form: str) -> tuple:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _read_png(file: BinaryIO) -> ImageHeader:
    file.seek(8)
    orientation, size, bits = 1, (0, 0), 8
    while True:
        length, name = _unpack(file, ">I4s")
        if name == b"IHDR":
            width, height, bits = _unpack(file, ">IIB")
            size = height, width
            file.seek(length - 9 + 4, 1)
        elif name == b"eXIf":
            # A length that the file claims must not size an allocation.
            exif = file.read(min(length, _MOST_EXIF))
            orientation = _orientation(exif)
            file.seek(length - len(exif) + 4, 1)
        elif name in (b"IDAT", b"IEND"):
            return ImageHeader("PNG", size, bits, orientation)
        else:
            file.seek(length + 4, 1)


def _read_jpeg(file: BinaryIO) -> ImageHeader:
    file.seek(2)
    orientation = 1
    while True:
        mark, code = _unpack(file, "BB")
        while code == 0xFF:  # Padding.
            (code,) = _unpack(file, "B")
        if mark != 0xFF:
            raise ValueError("There must be a marker.")
        if code == 0x01 or 0xD0 <= code <= 0xD8:  # Markers without content.
            continue
        (length,) = _unpack(file, ">H")
        if code in _FRAMES:
            bits, height, width = _unpack(file, ">BHH")
            return ImageHeader("JPEG", (height, width), bits, orientation)
        content = file.read(length - 2) if code == 0xE1 else b""
        if content.startswith(b"Exif\0\0"):
            orientation = _orientation(content[6:])
        elif code != 0xE1:
            file.seek(length - 2, 1)


def _read_webp(file: BinaryIO) -> ImageHeader | None:
    file.seek(8)
    if file.read(4) != b"WEBP":
        return None
    size, orientation = (0, 0), 1
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        content = file.read(min(length, 10)) if name in (b"VP8X", b"VP8 ", b"VP8L") else b""
        read = len(content)
        if name == b"VP8X":
            if read < 10:
                raise ValueError("It must have a size.")
            width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (4, 7))
            size = height, width
        elif name == b"VP8 " and size == (0, 0):
            width, height = struct.unpack_from("<HH", content, 6)
            size = height & 0x3FFF, width & 0x3FFF
        elif name == b"VP8L" and size == (0, 0):
            packed = int.from_bytes(content[1:5], "little")
            size = ((packed >> 14) & 0x3FFF) + 1, (packed & 0x3FFF) + 1
        elif name == b"EXIF":
            exif = file.read(min(length, _MOST_EXIF))
            orientation, read = _orientation(exif.removeprefix(b"Exif\0\0")), len(exif)
        file.seek(length + length % 2 - read, 1)
    return ImageHeader("WebP", size, 8, orientation)


def _read_gif(file: BinaryIO) -> ImageHeader:
    file.seek(6)
    width, height = _unpack(file, "<HH")
    return ImageHeader("GIF", (height, width))


def _read_avif(file: BinaryIO) -> ImageHeader:
    head, sizes, found = file.read(_AVIF_HEAD), [(0, 0)], -1
    while (found := head.find(b"ispe", found + 1)) >= 0:
        width, height = struct.unpack_from(">II", head, found + 8)
        sizes.append((height, width))
    return ImageHeader("AVIF", max(sizes, key=lambda size: size[0] * size[1]))


def _read_bmp(file: BinaryIO) -> ImageHeader:
    file.seek(14)
    (length,) = _unpack(file, "<I")
    width, height = _unpack(file, "<HH" if length == 12 else "<ii")
    return ImageHeader("BMP", (abs(height), abs(width)))  # Rows from top to bottom have a negative height.


def _read_tiff(file: BinaryIO) -> ImageHeader:
    tags = _directory(file.read())
    if _TIFF_HEIGHT not in tags or _TIFF_WIDTH not in tags:
        raise ValueError("It must have a size.")
    return ImageHeader("TIFF", (tags[_TIFF_HEIGHT], tags[_TIFF_WIDTH]), tags.get(_TIFF_BITS, 1), _turn(tags))


def _read_big_tiff(file: BinaryIO) -> ImageHeader:
    data = file.read()
    order = "<" if data.startswith(b"I") else ">"
    (begin,) = struct.unpack_from(f"{order}Q", data, 8)
    (number,) = struct.unpack_from(f"{order}Q", data, begin)
    found = {}
    for position in range(min(number, _MOST_ENTRIES)):
        at = begin + 8 + 20 * position
        tag, kind, _ = struct.unpack_from(f"{order}HHQ", data, at)
        if kind in _FORMS:
            (found[tag],) = struct.unpack_from(f"{order}{_FORMS[kind]}", data, at + 12)
    return ImageHeader("TIFF", (found[_TIFF_HEIGHT], found[_TIFF_WIDTH]), found.get(_TIFF_BITS, 1), _turn(found))


def _orientation(exif: bytes) -> int:
    """Returns the orientation in EXIF data; 1 if they say none, or are damaged."""
    try:
        return _turn(_directory(exif))
    except (struct.error, ValueError, KeyError):
        return 1


def _turn(tags: dict[int, int]) -> int:
    orientation = tags.get(_EXIF_ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _directory(data: bytes) -> dict[int, int]:
    """Reads the first value of each integer tag in the first directory of a TIFF file or of EXIF data."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or struct.unpack_from(f"{order}H", data, 2)[0] != 42:
        raise ValueError("It must be a classic TIFF file.")
    (begin,) = struct.unpack_from(f"{order}I", data, 4)
    (number,) = struct.unpack_from(f"{order}H", data, begin)
    found = {}
    for position in range(min(number, _MOST_ENTRIES)):
        at = begin + 2 + 12 * position
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        if kind in (3, 4) and count:
            form, size = ("H", 2) if kind == 3 else ("I", 4)
            # What does not fit into four bytes is elsewhere.
            where = at + 8 if size * count <= 4 else struct.unpack_from(f"{order}I", data, at + 8)[0]
            (found[tag],) = struct.unpack_from(f"{order}{form}", data, where)
    if _TIFF_WIDTH not in found and _EXIF_ORIENTATION not in found:
        raise ValueError("It must have a size or an orientation.")
    return found


# Signatures, where they are in the file, and the readers.
_READERS: dict[bytes, tuple[int, Callable[[BinaryIO], ImageHeader | None]]] = {
    b"\x89PNG\r\n\x1a\n": (0, _read_png),
    b"\xff\xd8": (0, _read_jpeg),
    b"RIFF": (0, _read_webp),
    b"GIF87a": (0, _read_gif),
    b"GIF89a": (0, _read_gif),
    b"BM": (0, _read_bmp),
    b"II*\0": (0, _read_tiff),
    b"MM\0*": (0, _read_tiff),
    b"II+\0": (0, _read_big_tiff),
    b"MM\0+": (0, _read_big_tiff),
    b"ftypavif": (4, _read_avif),
    b"ftypavis": (4, _read_avif),
}
