"""The maps of all test photographs on one sheet, to look at: no figure says what a model finds."""

from pathlib import Path

import cv2
import numpy as np
from photograph_saliency_arms import ARMS

from sos_mm.cutouts.writing import save_png
from sos_mm.images import read_image

SIDE = 96
COLUMNS = 3


def write_sheet(work: Path, path: Path) -> None:
    """Writes a row for each photograph: photograph, truth, and the maps of the references and of each arm's first seed.

    Args:
        work: The study's folder.
        path: The PNG file. It shows the photographs, whose licences differ.
    """
    folders = [*sorted((work / "references").glob("*")), *(work / f"{arm}-0" for arm in ARMS)]
    folders = [each / "maps" for each in folders if (each / "result.json").exists()]
    names = ["photograph", "truth", *(each.parent.name for each in folders)]
    rows = []
    for image in sorted((work / "data/test/images").iterdir()):
        maps = [work / "data/test/masks", *folders]
        shown = [image, *(folder / f"{image.stem}.png" for folder in maps)]
        rows.append(np.hstack([thumbnail(each) for each in shown]))
    rows += [np.full_like(rows[0], 255)] * (-len(rows) % COLUMNS)
    heading = np.hstack([label(name) for name in names])
    per = len(rows) // COLUMNS
    columns = [np.vstack([heading, *rows[at : at + per]]) for at in range(0, len(rows), per)]
    save_png(path, cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR))


def thumbnail(path: Path) -> np.ndarray:
    """Reads an image as a small square, (96, 96, 3) uint8 RGB."""
    return cv2.resize(read_image(path, channels=3), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def label(text: str) -> np.ndarray:
    """Draws a name above its column."""
    cell = np.full((16, SIDE, 3), 255, np.uint8)
    return cv2.putText(cell, text[:16], (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (0, 0, 0), 1, cv2.LINE_AA)
