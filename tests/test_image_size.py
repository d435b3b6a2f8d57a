"""Sizes from the headers of image files, compared with OpenCV's decoder; images above the limit are not decoded."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos_mm.checks import FaultyInputError
from sos_mm.composition import Photo
from sos_mm.cutouts import Photograph
from sos_mm.image_header import read_header
from sos_mm.images import DEFAULT_MAX_PIXELS, pixel_limit, read_image


def image_size(data: bytes) -> tuple[int, int] | None:
    """Height and width by the header, if it is read."""
    header = read_header(data)
    return header and header.stored_size


def encoded(kind: str, pixels: np.ndarray) -> bytes:
    """Encodes with OpenCV; ``kind`` is a suffix, and an option after a blank."""
    options = {
        "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        "lossless": [cv2.IMWRITE_WEBP_QUALITY, 101],
        "lossy": [cv2.IMWRITE_WEBP_QUALITY, 50],
    }
    suffix, _, option = kind.partition(" ")
    done, data = cv2.imencode(suffix, pixels, options.get(option, []))
    assert done
    return data.tobytes()


KINDS = [".png", ".jpg", ".jpg progressive", ".webp lossless", ".webp lossy", ".bmp", ".tiff"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (37, 300), (400, 3)])
def test_sizes_are_those_that_are_decoded(kind, channels, shape, rng):
    if channels == 4 and kind.startswith(".jpg"):
        channels = 3
    data = encoded(kind, rng.integers(0, 256, (*shape, channels), dtype=np.uint8))
    assert image_size(data) == shape
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2] == shape


def test_headers_that_opencv_does_not_write():
    assert image_size(b"GIF89a" + struct.pack("<HH", 300, 20) + bytes(20)) == (20, 300)
    sides = (299).to_bytes(3, "little") + (19).to_bytes(3, "little")
    assert image_size(b"RIFF____WEBPVP8X" + struct.pack("<II", 10, 0) + sides) == (20, 300)
    assert image_size(b"RIFF____WEBPVP8X" + struct.pack("<II", 0, 0) + sides) is None  # Too short a chunk.
    big = struct.pack(">2sHHHQQHHQIIHHQHH", b"MM", 43, 8, 0, 16, 2, 256, 4, 1, 300, 0, 257, 3, 1, 20, 0) + bytes(4)
    assert image_size(big) == (20, 300)
    box = struct.pack(">I4sIII", 20, b"ispe", 0, 300, 20)
    assert image_size(struct.pack(">I4s4s", 28, b"ftyp", b"avif") + bytes(16) + box) == (20, 300)
    # An EXIF segment, and the filler and the comment that may precede the frame.
    exif = b"\xff\xd8\xff\xe1\0\x06abcd\xff\xff\xfe\0\x04hi\xff\xc2\0\x11\x08" + struct.pack(">HH", 20, 300) + bytes(9)
    assert image_size(exif) == (20, 300)


@given(st.sampled_from(KINDS), st.integers(0, 400), st.binary(max_size=8), st.integers(0, 400))
def test_damaged_headers_raise_nothing(kind, position, change, length):
    data = bytearray(encoded(kind, np.zeros((5, 7, 3), np.uint8)))
    data[position : position + len(change)] = change
    size = image_size(bytes(data[:length]))
    assert size is None or all(isinstance(side, int) and side >= 0 for side in size)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM", b"II*\0", b"no image at all"])
def test_other_files_have_no_size(data):
    assert image_size(data) is None


def bomb(side: int) -> bytes:
    """A PNG file of one colour, of few bytes for its pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    # Rows that are missing would be found while it is decoded, after the allocation.
    rows = zlib.compress(bytes((side + 1) * 64))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "read",
    [lambda path: read_image(path, 4), lambda path: Photo(path).read(), lambda path: Photograph("a", path).read()],
    ids=["segment", "background", "photograph"],
)
def test_bombs_are_refused_by_their_header(read, tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(bomb(20_000))
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(FaultyInputError, match=r"bomb\.png has 20000x20000 pixels.*SOS_MM_MAX_PIXELS") as caught:
        read(tmp_path / "bomb.png")
    assert caught.value.reason == "too large"


def test_the_limit_is_an_option(tmp_path, monkeypatch):
    assert pixel_limit() == DEFAULT_MAX_PIXELS == 178_956_970
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30, 3), np.uint8))
    monkeypatch.setenv("SOS_MM_MAX_PIXELS", "600")
    assert read_image(tmp_path / "a.png", 3).shape == (20, 30, 3)
    monkeypatch.setenv("SOS_MM_MAX_PIXELS", "599")
    with pytest.raises(ValueError, match=r"a\.png has 30x20 pixels.*limit of 599"):
        read_image(tmp_path / "a.png", 3)
    for text in ("", "0", "-3", "2**28", "1e9"):
        monkeypatch.setenv("SOS_MM_MAX_PIXELS", text)
        with pytest.raises(ValueError, match="must be a positive integer"):
            read_image(tmp_path / "a.png", 3)
