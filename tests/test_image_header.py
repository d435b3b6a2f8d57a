"""Headers of image files agree with what OpenCV and Pillow decode, for every kind, orientation and bit depth."""

import io
import tracemalloc

import cv2
import numpy as np
import pytest

from sos_mm.image_header import ImageHeader, read_header

Image = pytest.importorskip("PIL.Image")
PIXELS = np.arange(37 * 53 * 3, dtype=np.uint32).reshape(37, 53, 3).astype(np.uint8)


def encoded(kind: str, orientation: int = 1, mode: str = "RGB", **options) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, kind, exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_size_is_that_of_the_decoded_image(kind, orientation, tmp_path):
    data = encoded(kind, orientation)
    header = read_header(data)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert header.size == decoded.shape[:2]
    assert header.stored_size == (37, 53)
    assert header.orientation == orientation
    path = tmp_path / "image"
    path.write_bytes(data)
    assert read_header(path) == header


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"mode": "RGBA"}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"mode": "CMYK"}),
        ("JPEG", {"mode": "L"}),
        ("TIFF", {"mode": "L"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PNG", {"mode": "P"}),
        ("PNG", {"mode": "1"}),
    ],
)
def test_variants(kind, options):
    assert read_header(encoded(kind, **options)).size == (37, 53)


def test_bmp():
    data = cv2.imencode(".bmp", PIXELS)[1].tobytes()
    assert read_header(data) == ImageHeader("BMP", (37, 53))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_bits(suffix):
    deep = cv2.imencode(suffix, PIXELS.astype(np.uint16))[1].tobytes()
    assert read_header(deep).bits == 16
    assert read_header(cv2.imencode(suffix, PIXELS)[1].tobytes()).bits == 8


def test_an_enormous_header_is_read_and_not_allocated():
    data = bytearray(encoded("PNG"))
    data[16:24] = (900_000).to_bytes(4, "big") * 2
    assert read_header(bytes(data)).size == (900_000, 900_000)


@pytest.mark.parametrize(("kind", "name"), [("PNG", b"eXIf"), ("WEBP", b"EXIF")])
def test_exif_data_of_an_enormous_length_are_not_allocated(kind, name, tmp_path):
    data = bytearray(encoded(kind, 6))
    at = data.index(name)
    # The length is before the name in PNG files, and after it in WebP files.
    part, order = (slice(at - 4, at), "big") if kind == "PNG" else (slice(at + 4, at + 8), "little")
    data[part] = (2**30).to_bytes(4, order)
    path = tmp_path / "image"
    path.write_bytes(data)
    tracemalloc.start()
    header = read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header is None or header.orientation == 6
    assert peak < 2**24


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_damaged_headers_give_none_or_a_header(kind):
    """Every cut and a few hundred flipped bytes: nothing but a header or None."""
    data = encoded(kind, 6) if kind != "BMP" else cv2.imencode(".bmp", PIXELS)[1].tobytes()
    rng = np.random.default_rng(0)
    for length in range(0, min(len(data), 300)):
        assert isinstance(read_header(data[:length]), ImageHeader | None)
    for _ in range(300):
        bad = bytearray(data)
        bad[int(rng.integers(min(len(bad), 200)))] = int(rng.integers(256))
        assert isinstance(read_header(bytes(bad)), ImageHeader | None)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"hello, this is text", b"RIFF\0\0\0\0WAVE", b"II*\0"])
def test_other_files_have_no_header(data):
    assert read_header(data) is None
