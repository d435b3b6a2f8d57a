"""The page of an audit: pairs of near-duplicates side by side, in one file that opens without a network."""

import base64
from pathlib import Path

import cv2
from markupsafe import Markup

from sos_mm.annotations.leakage.audit import Audit
from sos_mm.annotations.leakage.sources import KINDS, ComparedImage, Name, open_source, thumbnail
from sos_mm.atomic import atomic_text
from sos_mm.checks import check_integer, writable_folder
from sos_mm.page import part, render, source

_SIDE, _QUALITY = 224, 80


def write_page(
    path: str | Path,
    audit: Audit,
    *,
    train_images: str | Path | None = None,
    test_images: str | Path | None = None,
    num: int = 100,
) -> None:
    """Writes the page of an audit.

    Args:
        path: The HTML file.
        audit: The audit.
        train_images, test_images: Folders of images, as for `audit`.
        num: Number of pairs to show, the nearest ones.

    Raises:
        FileNotFoundError, ValueError: If an image is missing or broken.
        OSError: If the page cannot be written.
    """
    check_integer("num", num, 0, 100_000)
    train, test = open_source(audit.train, train_images), open_source(audit.test, test_images)
    pairs = [
        {
            "about": f"{leak.kind}, {leak.form}: {leak.distance} of 128 bits differ; near in training: {leak.near}",
            "figures": [
                _figure(test.image(leak.kind, leak.test), "test"),
                _figure(train.image(leak.kind, leak.train), "train"),
            ],
        }
        for leak in audit.leaks[:num]
    ]
    text = render(
        "leakage.html",
        title=f"Near-duplicates of {Path(audit.test).name or audit.test} in {Path(audit.train).name or audit.train}",
        subtitle=f"test {audit.test} · training {audit.train} · up to {audit.settings['limit']} of 128 bits differ",
        css=source("leakage.css"),
        tiles=_tiles(audit),
        notes=audit.describe().splitlines(),
        pairs=pairs,
        hidden=len(audit.leaks) - len(pairs),
    )
    path = Path(path)
    writable_folder(path.parent, "The folder of the page")
    with atomic_text(path) as file:
        file.write(text)


def _tiles(audit: Audit) -> Markup:
    shown = []
    for kind in KINDS:
        number = sum(each.kind == kind for each in audit.leaks)
        train, test = (audit.counts[side][kind] for side in ("train", "test"))
        shown.append((f"{kind}s with a near-duplicate", f"{number:,}", f"of {test:,}; {train:,} in training"))
    return part("tiles", shown)


def _figure(image: ComparedImage, side: str) -> Markup:
    rgb = thumbnail(image, _SIDE)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    address = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
    return part("image", address, f"{side}: {describe(image.name)}")


def describe(name: Name) -> str:
    """Formats the name of an image."""
    if name.object is None:
        return f"{name.file} {name.category}".strip()
    return f"{name.file}, object {name.object} ({name.category})"
