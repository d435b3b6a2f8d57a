"""Metadata of PNG files: libpng's warnings about it reach no terminal, and it changes no pixel."""

import struct
import subprocess
import sys
from pathlib import Path
from zlib import compress, crc32

import cv2
import numpy as np
import pytest

from sos_mm.images import read_image, without_metadata

# The end of the signature and of the header, behind which metadata stands.
HEADER_END = 8 + 25


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc32(name + content))


# White, red, green and blue, x and y of each, in 100,000ths.
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
# What each file's libpng complains of.
COMPLAINTS = {
    "profile": chunk(b"iCCP", b"ICC Profile\0\0" + compress(b"\0" * 200)),
    "rendering": chunk(b"sRGB", b"\x09"),
    "twice": 2 * chunk(b"gAMA", struct.pack(">I", 45455)),
    "bits": chunk(b"sBIT", b"\x09\x09\x09"),
    "checksum": chunk(b"tEXt", b"Comment\0x")[:-1] + b"?",
    "unknown": chunk(b"abCd", b"x")[:-1] + b"?",
}
# Metadata that is as it should be.
SOUND = {
    "colours": chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"cHRM", struct.pack(">8I", *SRGB_PRIMARIES)),
    "text": chunk(b"tEXt", b"Comment\0x") + chunk(b"tIME", struct.pack(">H5B", 2020, 1, 1, 1, 1, 1)),
}


def encoded(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def with_metadata(png: bytes, chunks: bytes) -> bytes:
    return png[:HEADER_END] + chunks + png[HEADER_END:]


def pixels(rng: np.random.Generator, kind: str) -> np.ndarray:
    dtype, channels = (np.uint16, kind[:-2]) if kind.endswith("16") else (np.uint8, kind)
    shape = (9, 7, {"rgb": 3, "rgba": 4, "grey": 1}[channels])
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey", "rgb16", "rgba16", "grey16"])
@pytest.mark.parametrize("chunks", [*COMPLAINTS.values(), *SOUND.values()], ids=[*COMPLAINTS, *SOUND])
def test_pixels_stay(rng, kind, chunks):
    plain = encoded(pixels(rng, kind))
    file = np.frombuffer(with_metadata(plain, chunks), np.uint8)
    assert without_metadata(file).tobytes() == plain
    behind = np.frombuffer(file.tobytes() + b"behind the end", np.uint8)
    assert without_metadata(behind).tobytes() == plain + b"behind the end"
    for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR):
        np.testing.assert_array_equal(cv2.imdecode(without_metadata(file), flags), cv2.imdecode(file, flags))


def test_what_changes_pixels_is_kept(rng):
    grey = encoded(pixels(rng, "grey"))
    for kept in (chunk(b"tRNS", b"\0\x05"), chunk(b"bKGD", b"\0\x05"), chunk(b"eXIf", b"II*\0" + b"\0" * 4)):
        file = np.frombuffer(with_metadata(grey, COMPLAINTS["unknown"] + kept), np.uint8)
        assert without_metadata(file).tobytes() == with_metadata(grey, kept)


@pytest.mark.skipif(not hasattr(cv2, "imencodeanimation"), reason="OpenCV of that age writes no animations")
def test_animations_are_kept(rng):
    animation = cv2.Animation()
    animation.frames = [pixels(rng, "rgba") for _ in range(3)]
    animation.durations = [10] * 3
    file = cv2.imencodeanimation(".png", animation)[1]
    assert without_metadata(file).tobytes() == file.tobytes()


@pytest.mark.parametrize("cut", [9, 20, HEADER_END + 30, -20])
def test_files_cut_short_and_other_files_are_left_alone(rng, cut):
    file = np.frombuffer(with_metadata(encoded(pixels(rng, "rgb")), COMPLAINTS["profile"]), np.uint8)[:cut]
    assert without_metadata(file) is file
    jpeg = cv2.imencode(".jpg", pixels(rng, "rgb"))[1]
    assert without_metadata(jpeg) is jpeg


def run(*command: object) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def files(tmp_path, rng) -> Path:
    """Photographs and masks of which libpng complains, and a cut-out."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "cutouts/ball").mkdir(parents=True)
    for name, chunks in COMPLAINTS.items():
        photo = np.repeat(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), 16, axis=0).repeat(16, axis=1)
        (tmp_path / f"photos/{name}.png").write_bytes(with_metadata(encoded(photo), chunks))
        mask = np.where(photo[..., 0] > 127, np.uint8(255), np.uint8(0))
        (tmp_path / f"masks/{name}.png").write_bytes(with_metadata(encoded(mask), chunks))
    rgba = np.full((40, 40, 4), 255, np.uint8)
    rgba[:, :10, 3] = 0
    (tmp_path / "cutouts/ball/0.png").write_bytes(with_metadata(encoded(rgba), COMPLAINTS["profile"]))
    return tmp_path


def test_libpng_does_complain(files):
    """Else the tests below would show nothing."""
    code = "import cv2, sys\nfor path in sys.argv[1:]: assert cv2.imread(path) is not None"
    said = run("-c", code, *(files / "photos").iterdir()).stderr
    assert said.count("libpng warning: ") >= len(COMPLAINTS)


@pytest.mark.parametrize("workers", [1, 2])
def test_commands_keep_it_off_the_terminal(files, workers):
    pytest.importorskip("mmengine.config")
    recipe = files / "recipe.py"
    recipe.write_text(
        f"canvas = (64, 64)\nsegments = dict(type='folder', root={str(files / 'cutouts')!r})\n"
        f"backgrounds = dict(type='folder', root={str(files / 'photos')!r})\nlayout = dict(type='RandomLayout')\n"
    )
    index = run(
        "-m", "sos_mm", "index", files / "i.arrow", "type=folder", f"root={files / 'cutouts'}", "--workers", workers
    )
    out, photos = files / "out", files / "photos"
    made = run("-m", "sos_mm", "synthesize", recipe, "--out", out, "--num", 120, "--workers", workers)
    page = run(
        "-m", "sos_mm", "browse", photos, "--images", photos, "--masks", files / "masks", "--out", files / "page"
    )
    for done in (index, made, page):
        assert "libpng" not in done.stdout + done.stderr
    assert "120/120 images" in made.stderr
    assert read_image(next((out / "images").iterdir()), 3).shape == (64, 64, 3)
