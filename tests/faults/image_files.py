"""Bad photographs, saliency masks and panoptic maps."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.faults import world
from tests.faults.calls import browse_saliency, check, index_folder
from tests.faults.inputs import READERS, Case
from tests.faults.spoiling import cut_short, folder_at, replaced

_OF_PIXELS = ("validate", "index", "browse", "refer")


def _saved_by_pillow(path: Path, kind: str, orientation: int, size: tuple[int, int] = world.SIZE) -> None:
    """Writes a photograph with an EXIF orientation."""
    from PIL import Image

    exif, file = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Image.fromarray(world.photograph(size)).save(file, kind, exif=exif)
    path.write_bytes(file.getvalue())


def _enlarged(folder: Path) -> None:
    world.save(folder / "photos/1.jpg", cv2.resize(world.photograph(), None, fx=2, fy=2))


def _turned(kind: str, orientation: int) -> Callable[[Path], object]:
    return lambda folder: _saved_by_pillow(folder / "photos/1.jpg", kind, orientation)


# What is wrong with a photograph, and what the message names. `validate` reads headers alone.
PHOTOGRAPHS: list[tuple[str, Callable[[Path], object], str, tuple[str, ...]]] = [
    ("enlarged since", _enlarged, r"1\.jpg", _OF_PIXELS),
    *(
        (f"{kind} turned by EXIF {turn}", _turned(kind, turn), r"1\.jpg.*EXIF", _OF_PIXELS)
        for kind in ("JPEG", "PNG")
        for turn in (5, 6, 7, 8)
    ),
    *((f"WebP turned by EXIF {turn}", _turned("WEBP", turn), r"1\.jpg.*EXIF", _OF_PIXELS[1:]) for turn in (2, 3, 6)),
    ("empty", replaced("photos/1.jpg", b""), r"1\.jpg", _OF_PIXELS),
    ("a text", replaced("photos/1.jpg", b"hello"), r"1\.jpg", _OF_PIXELS),
    ("a GIF", replaced("photos/1.jpg", b"GIF89a" + b"\0" * 50), r"1\.jpg", _OF_PIXELS),
    ("a folder", folder_at("photos/1.jpg"), r"1\.jpg", _OF_PIXELS),
    ("cut short", cut_short("photos/1.jpg", 0.5), r"1\.jpg", _OF_PIXELS[1:]),
    (
        "of 16 bits with small values",
        lambda folder: (folder / "photos/1.jpg").write_bytes(
            cv2.imencode(".png", world.photograph().astype(np.uint16))[1].tobytes()
        ),
        r"1\.jpg.*16 bits",
        _OF_PIXELS[1:],
    ),
]


def image_cases() -> Iterator[Case]:
    """Yields photographs that are not those that were annotated, or are none."""
    for what, spoil, says, tools in PHOTOGRAPHS:
        for tool, argv in READERS["coco"].items():
            if tool.split()[0] in tools:
                skips = "--broken skip" in tool
                expected = "find" if tool == "validate" else "skip" if skips else "refuse"
                yield Case("photographs", what, tool, spoil, argv, expected, says)
    yield Case(
        "photographs",
        "turned by EXIF and annotated so",
        "index",
        _turned_and_annotated,
        READERS["coco"]["index"],
        "accept",
        right=lambda folder, ended: None if "2 segments" in ended.out else ended.out,
    )
    for kind, suffix in (("PNG", ".png"), ("WEBP", ".webp")):
        yield Case(
            "photographs",
            f"{kind} cut-out turned by EXIF",
            "index",
            _turned_cut_out(kind, suffix),
            index_folder,
            says=f"0{suffix}.*EXIF",
        )


def _turned_and_annotated(folder: Path) -> None:
    """Annotates the photograph 1 as it is shown: a quarter turned."""
    content = world.coco()
    _saved_by_pillow(folder / "photos/1.jpg", "JPEG", 6)
    content["images"] = [{"id": 1, "file_name": "1.jpg", "height": world.SIZE[1], "width": world.SIZE[0]}]
    content["annotations"] = content["annotations"][:2]
    for each, (x, y) in zip(content["annotations"], ((20, 20), (20, 70)), strict=True):
        each |= {"bbox": [x, y, 30, 30], "area": 900}
        each["segmentation"] = [[x, y, x + 30, y, x + 30, y + 30, x, y + 30]]
    world.write_json(folder / "coco.json", content)


def _turned_cut_out(kind: str, suffix: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x112] = 6
        (folder / "segments/ball/0.png").unlink()
        rgba = cv2.cvtColor(world.cut_out(), cv2.COLOR_BGRA2RGBA)
        Image.fromarray(rgba).save(folder / f"segments/ball/0{suffix}", kind, exif=exif)

    return spoil


def _mask(pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: world.save(folder / "saliency/masks/1.png", pixels)


def _grey(value: int, dtype: type) -> np.ndarray:
    return world.mask_of(world.BOXES[1][0]).astype(dtype) * dtype(value)


MASKS: list[tuple[str, Callable[[Path], object], str]] = [
    ("16 bits of 0 and 1", _mask(_grey(1, np.uint16)), r"1\.png"),
    ("16 bits of 0 and 255", _mask(_grey(255, np.uint16)), r"1\.png"),
    ("16 bits of 0 and 2000", _mask(_grey(2000, np.uint16)), r"1\.png"),
    ("8 bits of 0 and 1", _mask(_grey(1, np.uint8)), r"1\.png"),
    ("in colour", _mask(np.dstack([_grey(255, np.uint8)] * 2 + [_grey(0, np.uint8)])), r"1\.png"),
    ("of another size", _mask(_grey(255, np.uint8)[:50]), r"1\.(png|jpg)"),
    ("missing", lambda folder: (folder / "saliency/masks/1.png").unlink(), r"1\.jpg"),
    ("empty", replaced("saliency/masks/1.png", b""), r"1\.png"),
    ("cut short", cut_short("saliency/masks/1.png", 0.6), r"1\.png"),
    ("a folder", folder_at("saliency/masks/1.png"), r"1\.(png|jpg)"),
    ("there twice", replaced("saliency/masks/1.jpg", b"x"), r"1\.(png|jpg)"),
    ("a GIF beside", replaced("saliency/masks/3.gif", b"GIF89a"), r"3\.gif"),
]


def mask_cases() -> Iterator[Case]:
    """Yields saliency masks and panoptic maps that are none."""
    for what, spoil, says in MASKS:
        yield Case("masks", what, "browse", spoil, browse_saliency, says=says)
        yield Case("masks", what, "check", spoil, check, "find", says)
    right = Case("masks", "16 bits of 0 and 65535", "check", _mask(_grey(65535, np.uint16)), check, "accept")
    yield right
    for what, pixels in (
        ("16 bits", np.zeros((*world.SIZE, 3), np.uint16) + 1),
        ("another size", np.zeros((50, 50, 3), np.uint8)),
        ("no segment", np.zeros((*world.SIZE, 3), np.uint8)),
    ):
        for tool in ("validate", "browse", "refer"):
            expected = "find" if tool == "validate" else "refuse"
            says = r"1\.(png|jpg)|image 1"
            spoil = _panoptic_map(pixels)
            yield Case("masks", f"panoptic map of {what}", tool, spoil, READERS["panoptic"][tool], expected, says)


def _panoptic_map(pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: world.save(folder / "panoptic/1.png", pixels)
