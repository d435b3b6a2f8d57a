"""YOLO segmentation: one text file an image, one polygon a line, as Ultralytics' trainers read them."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

PARTS = ("join", "largest")
_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def object_line(label: int, mask: np.ndarray, offset: tuple[int, int], size: tuple[int, int], **options) -> str:
    """Encodes an object as a line of its image's label file.

    Args:
        label: Index of its class, from 0.
        mask: (h, w) bool, a window of its modal mask, with at least one pixel set.
        offset: x and y of the window's first pixel in the image.
        size: Height and width of the image.
        options: ``parts`` and ``tolerance``, as of `outline`.
    """
    points = np.add(outline(mask, **options), offset) / size[::-1]
    return f"{label} {' '.join(f'{value:.6f}' for value in points.ravel())}\n"


def data_yaml(names: Iterable[str]) -> str:
    """Encodes ``data.yaml``, which lists the class names in the order of their labels."""
    quoted = [_quoted(name) for name in names]
    lines = ["# Give `val` another data set's images.", "train: images", "val: images", "names:"]
    return "\n".join([*lines, *(f"  {number}: {name}" for number, name in enumerate(quoted)), ""])


def _quoted(text: str) -> str:
    """Encodes a text in YAML's double quotes, with escapes for what is not printable, such as separators of lines."""
    letters = (_ESCAPED.get(each) or (each if each.isprintable() else f"\\U{ord(each):08x}") for each in text)
    return f'"{"".join(letters)}"'


def outline(mask: np.ndarray, parts: str = "join", tolerance: float = 0.0) -> np.ndarray:
    """Computes the outer contour of a mask as one polygon.

    Args:
        mask: (h, w) bool with at least one pixel set.
        parts: 'join' connects the parts by lines of zero width, 'largest' keeps only the largest part.
        tolerance: How far the polygon may deviate from the contour, in pixels; 0 keeps every corner.

    Returns:
        (N, 2) float64 x and y, N at least 3, with pixel (0, 0) reaching from 0 to 1. It runs a quarter of a pixel
        inside the pixels' edges. Rasterising by pixel centres, and rounding the corners down and filling with the
        border, then give the same pixels.
    """
    doubled = np.ascontiguousarray(mask).view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    contours = sorted(contours, key=cv2.contourArea, reverse=True)[: 1 if parts == "largest" else None]
    return (_join([_simplify(each, 2 * tolerance)[:, 0] for each in contours]) + 0.5) / 2


def _simplify(contour: np.ndarray, tolerance: float) -> np.ndarray:
    simple = cv2.approxPolyDP(contour, tolerance, True)
    # A part thinner than the tolerance would be simplified to a line, which has no area.
    return simple if len(simple) >= 3 else contour


def _join(contours: Sequence[np.ndarray]) -> np.ndarray:
    """Joins contours to one polygon, connected forth and back along the shortest line between their corners."""
    joined = contours[0].astype(float)
    for each in contours[1:]:
        distances = ((joined[:, None] - each[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        loop = np.roll(each, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], loop, loop[:1], joined[here:]])
    return joined
