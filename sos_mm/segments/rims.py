"""Cut-outs of annotated objects: soft edges, and the object's own colours at its rim.

Annotations are drawn by hand, often slightly outside the object: the rim of the cut-out then shows the background,
which stands out on another background. The annotated masks are the ground truth all the same: their pixels stay opaque.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sos_mm.formats.rle import decode_window
from sos_mm.segments.foreground import unmix
from sos_mm.segments.segment import OPAQUE

# Standard deviation of the edge and width of the rim, as shares of the square root of the object's area, and their
# limits in pixels. However small an object is, its annotated outline is off by a pixel or two.
_EDGE, _RIM = 0.003, 0.015
_EDGE_LIMITS, _RIM_LIMITS = (0.5, 2.0), (2.0, 12.0)
# Least distance, of 255, between the colours of inside and background at which a rim can be assigned to one of them.
_CONTRAST = (8.0, 32.0)
# Positions between background colour (0) and inside colour (1) from which a colour is kept in part, and fully.
_KEPT = (0.7, 1.0)
# Distances from the line of mixtures, relative to its length, from which a colour is kept in part, and fully.
_ASIDE = (0.5, 1.0)
# Distance from the background colour, relative to that length, below which a colour counts as background.
_ALIKE = 0.5


def cut_out(
    image: np.ndarray, segmentation: list | dict, soften: float | None, decontaminate: bool, name: str
) -> np.ndarray:
    """Cuts an annotated object out of its image.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: Polygons or run lengths, as COCO has them.
        soften: Standard deviation of the softened edge in pixels; by the object's size if None. Alpha stays at least
            128 on the pixels of the mask, and below on all others.
        decontaminate: Whether to replace background colours at the rim by the object's colours; see `own_colors`.
        name: What an error names.

    Returns:
        (h, w, 4) uint8, the object and a margin of at least a pixel, clipped to the image.

    Raises:
        ValueError: If the outline is empty or does not fit the image.
    """
    window = decode_window(segmentation, image.shape[:2], name)
    size = math.sqrt(np.count_nonzero(window.mask))
    sigma = float(np.clip(_EDGE * size, *_EDGE_LIMITS)) if soften is None else soften
    rim = float(np.clip(_RIM * size, *_RIM_LIMITS))
    window = window.grown(1 + math.ceil(max(3 * sigma, 3 * rim * decontaminate)), image.shape[:2])
    colors, alpha = image[window.part], soft_alpha(window.mask, sigma)
    return np.dstack([own_colors(colors, window.mask, alpha, rim) if decontaminate else colors, alpha])


def soft_alpha(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Computes the alpha (H, W) uint8 of a mask (H, W) uint8 of 0 and 1, its edge softened by a Gaussian of ``sigma``
    pixels.
    """
    alpha = mask * np.uint8(255)
    if not sigma:
        return alpha
    blurred = cv2.GaussianBlur(alpha, (0, 0), sigma)
    return np.where(mask == 1, np.maximum(blurred, OPAQUE), np.minimum(blurred, OPAQUE - 1))


def own_colors(image: np.ndarray, mask: np.ndarray, alpha: np.ndarray, rim: float) -> np.ndarray:
    """Replaces background colours at the rim of an object.

    Pixels deeper than the rim are taken as object, and pixels as far outside as background. Each colour of the rim is
    compared with the mean colours of both nearby. The closer it is to the background, the more of it is replaced by the
    inside's mean plus the residual of the mixture (see `unmix`). Colours close to the inside or far from both are
    kept, and so are all where inside and background look alike. Where background colours reach through the rim, they
    are replaced up to twice as deep.

    Args:
        image: (H, W, 3) uint8, the object and some background around it.
        mask: (H, W) uint8 of 0 and 1.
        alpha: (H, W) uint8; fully transparent pixels are not changed.
        rim: Width of the rim in pixels.

    Returns:
        (H, W, 3) uint8.
    """
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    side = 2 * math.ceil(rim) + 1
    # In a part thinner than two rims, the middle half counts as inside.
    begins = np.minimum(cv2.dilate(depth, np.ones((side, side), np.uint8)) / 2, rim)
    inside, background = depth > begins, cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3) > rim
    rows, columns = np.nonzero((alpha > 0) & (depth <= 2 * begins))
    positions = rows, columns
    if not background.any() or not positions[0].size:
        return image
    found = image[positions].astype(np.float32)
    # Pixels less than twice as deep as the rim may be background, too.
    front = _nearby(image, (depth > 2 * begins, inside), positions, side)
    back = _nearby(image, (background,), positions, side)
    contrast = np.linalg.norm(front - back, axis=1, keepdims=True)
    way = np.sum((found - back) * (front - back), axis=1, keepdims=True) / np.maximum(contrast**2, 1)
    way = np.clip(way, 0, 1)
    # Colours far from all mixtures are marks of the object itself, such as the white border of a red sign.
    aside = np.linalg.norm(found - way * front - (1 - way) * back, axis=1, keepdims=True)
    replaced = _ramp(contrast, *_CONTRAST) * (1 - _ramp(way, *_KEPT)) * (1 - _ramp(aside / (contrast + 1), *_ASIDE))
    alike = np.linalg.norm(found - back, axis=1) < _ALIKE * contrast[:, 0]
    replaced[inside[positions] & ~_joined(alike, mask, positions)] = 0
    colors = image.copy()
    colors[positions] = np.rint(found + replaced * (unmix(found, front, back, way) - found))
    return colors


def _joined(alike: np.ndarray, mask: np.ndarray, positions: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Returns (N,) bool: which of N pixels are connected to the outside of a mask through pixels of ``alike``, or
    adjoin such pixels.
    """
    free = 1 - mask
    free[positions] |= alike
    _, labels = cv2.connectedComponents(free, connectivity=4)
    joined = np.zeros(labels.max() + 1, np.uint8)
    joined[labels[mask == 0]] = 1
    # Pixels beside them may be mixtures.
    return cv2.dilate(joined[labels], np.ones((3, 3), np.uint8))[positions] > 0


def _nearby(
    image: np.ndarray, parts: Sequence[np.ndarray], positions: tuple[np.ndarray, np.ndarray], reach: int
) -> np.ndarray:
    """Computes mean colours (N, 3) float32 of a part of an image in squares around N pixels.

    Args:
        image: (H, W, 3) uint8.
        parts: Masks (H, W) bool, not all empty. Where a square holds no pixel of the first, the next one is used.
        positions: (N,) rows and (N,) columns.
        reach: Half side of the squares in pixels; four times that where a square holds no pixel of any part.
    """
    layers = [cv2.merge([cv2.copyTo(image, part), part]) for part in (part.view(np.uint8) for part in parts)]
    sums, missing = np.zeros((len(positions[0]), 4), np.float32), np.arange(len(positions[0]))
    while missing.size:
        window = (2 * min(reach, max(image.shape)) + 1,) * 2
        for layer in layers:
            box = cv2.boxFilter(layer, cv2.CV_32F, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
            sums[missing] = box[positions[0][missing], positions[1][missing]]
            missing = missing[sums[missing, 3] == 0]
            if not missing.size:
                break
        reach *= 4
    return sums[:, :3] / sums[:, 3:]


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Computes a linear ramp: 0 up to ``low``, 1 from ``high`` on."""
    return np.clip((values - low) / (high - low), 0, 1)
