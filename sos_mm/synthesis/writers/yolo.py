"""YOLO segmentation: a text file an image, a polygon a line, as Ultralytics' trainers read them."""

import json
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from sos_mm.checks import check_choice, check_range
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Table, Totals

PATH = "data.yaml"
PARTS = ("join", "largest")


def yolo_format(parts: str = "join", tolerance: float = 0.5) -> Format:
    """``labels/NAME.txt`` with ``CLASS x1 y1 x2 y2 ...`` for each object from back to front, and ``data.yaml``.

    Classes count from 0 in the order of the category ids; coordinates are shares of the width and height. The
    polygon is the outer contour of what is seen of the object, and loses what one polygon cannot say: holes are
    filled, and of two objects that overlap through a hole both claim it; regions to ignore are left out.

    Args:
        parts: What becomes of an object that others cut into parts: 'join' connects them by lines without width,
            as Ultralytics' converter does, and 'largest' drops all but the largest part.
        tolerance: How far the polygon may run beside the contour, in pixels; 0 keeps every corner.

    Raises:
        ValueError: If an argument is not as said.
    """
    check_choice("parts", parts, PARTS)
    check_range("tolerance", tolerance, 0, 100)
    return Format(partial(_encode, parts, tolerance), (Table(PATH, text=_data_yaml),))


def outline(mask: np.ndarray, parts: str = "join", tolerance: float = 0.0) -> np.ndarray:
    """The outer contour of a mask as one polygon.

    Args:
        mask: (h, w) bool with at least one pixel set.
        parts: 'join' or 'largest', as of `yolo_format`.
        tolerance: In pixels, as there.

    Returns:
        (N, 2) float64 x and y, N at least 3, with pixel (0, 0) reaching from 0 to 1. It runs a quarter of a pixel
        inside the pixels' edges: whoever fills the pixels whose centres are inside, and whoever rounds the
        corners down and fills with the border, then gets the same pixels.
    """
    doubled = np.ascontiguousarray(mask).view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    contours = sorted(contours, key=cv2.contourArea, reverse=True)[: 1 if parts == "largest" else None]
    return (_join([_simplify(each, 2 * tolerance)[:, 0] for each in contours]) + 0.5) / 2


def _simplify(contour: np.ndarray, tolerance: float) -> np.ndarray:
    simple = cv2.approxPolyDP(contour, tolerance, True)
    # What is thinner than the tolerance would be a line, which has no area.
    return simple if len(simple) >= 3 else contour


def _join(contours: Sequence[np.ndarray]) -> np.ndarray:
    """One polygon that goes round each contour, there and back along the shortest line between corners."""
    joined = contours[0].astype(float)
    for each in contours[1:]:
        distances = ((joined[:, None] - each[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        loop = np.roll(each, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], loop, loop[:1], joined[here:]])
    return joined


def _encode(parts: str, tolerance: float, entry: Entry) -> Encoded:
    height, width = entry.size
    labels, lines = entry.categories.labels, []
    for index, each in enumerate(entry.scene.objects):
        x0, y0, x1, y1 = each.box
        seen = entry.scene.owner[y0:y1, x0:x1] == index + 1
        points = np.add(outline(seen, parts, tolerance), (x0, y0)) / (width, height)
        numbers = " ".join(f"{value:.6f}" for value in points.ravel())
        lines.append(f"{labels[entry.category_ids[index]]} {numbers}\n")
    return Encoded({f"labels/{entry.name}.txt": "".join(lines).encode()})


def _data_yaml(totals: Totals) -> str:
    # A string of JSON is one of YAML too, whatever is in it.
    names = [json.dumps(name, ensure_ascii=False) for name in totals.categories.names.values()]
    lines = ["# Give `val` another data set's images.", "train: images", "val: images", "names:"]
    return "\n".join([*lines, *(f"  {number}: {name}" for number, name in enumerate(names)), ""])
