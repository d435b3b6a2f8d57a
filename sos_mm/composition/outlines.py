"""Outlines of masks as polygons that rasterise to the same pixels."""

import cv2
import numpy as np


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Computes polygons that together cover exactly a mask's pixels.

    They run a quarter of a pixel inside the pixels' edges, so that rasterising them (with pycocotools, or by pixel
    centres) gives exactly the mask. A polygon cannot have holes: parts with holes are cut.

    Args:
        mask: (H, W) bool or uint8.

    Returns:
        One (2 n,) float64 array x0, y0, x1, y1, ... for each part, in pixels, where pixel (0, 0) covers [0, 1] x [0,
        1].
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return []
    window = np.ascontiguousarray(mask[y : y + height, x : x + width].view(np.uint8))
    doubled = cv2.resize((window > 0).view(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    hole = next((contour for contour, links in zip(contours, tree[0], strict=True) if links[3] >= 0), None)
    if hole is not None:
        return [polygon + np.tile((x, y), len(polygon) // 2) for polygon in _cut(window, hole)]
    return [((contour[:, 0] + 0.5) / 2 + (x, y)).ravel() for contour in contours]


def _cut(window: np.ndarray, hole: np.ndarray) -> list[np.ndarray]:
    """Splits a mask with a hole at the column of the hole's centre, and returns the outlines of both parts.

    Args:
        window: (h, w) uint8, the mask in its bounding box.
        hole: (n, 1, 2) contour of the hole as OpenCV returns it, in pixels of the mask at twice its size.

    Returns:
        Polygons as `outlines` returns them, in pixels of ``window``.
    """
    left, right = window.copy(), window.copy()
    column = int(hole[:, 0, 0].mean() / 2) + 1
    left[:, column:] = 0
    right[:, :column] = 0
    return outlines(left) + outlines(right)
