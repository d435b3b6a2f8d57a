"""Cut-outs of annotated objects: soft edges, and the object's own colours at its rim.

Annotations are drawn by hand, often a little outside the object: the rim of what they cut out shows the background,
and does so most on another background. The masks are the truth all the same: what they hold stays opaque.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sos_mm.formats.rle import decode_window
from sos_mm.segments.foreground import unmix

# Of the square root of the object's area: the standard deviation of its edge, and the width of its rim; and their
# least and largest values in pixels. However small an object is, its outline is drawn a pixel or two wrong.
_EDGE, _RIM = 0.003, 0.015
_EDGE_LIMITS, _RIM_LIMITS = (0.5, 2.0), (2.0, 12.0)
# How far the inside's and the background's colours must be apart, of 255, for a rim to be told to be either.
_CONTRAST = (8.0, 32.0)
# From which share of the way from the background's colour to the inside's a colour is kept, first in part, then whole.
_KEPT = (0.7, 1.0)
# From which distance of all mixtures, as a share of that way, a colour is kept, first in part, then whole.
_ASIDE = (0.5, 1.0)
# Below which share of that way, from the background's colour in any direction, a colour is the background's.
_ALIKE = 0.5


def cut_out(
    image: np.ndarray, segmentation: list | dict, soften: float | None, decontaminate: bool, name: str
) -> np.ndarray:
    """Cuts an annotated object out of its photograph.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: Polygons or run lengths, as COCO has them.
        soften: Standard deviation of the softened edge in pixels; by the object's size if None. Alpha stays at least
            128 on the pixels of the mask, and below on all others.
        decontaminate: Whether to give rims that look like the background the object's colours; see `own_colors`.
        name: What an error names.

    Returns:
        (h, w, 4) uint8, the object and a margin of a pixel or more, where the photograph goes on so far.

    Raises:
        ValueError: If the outline is empty or does not fit the photograph.
    """
    window = decode_window(segmentation, image.shape[:2], name)
    size = math.sqrt(np.count_nonzero(window.mask))
    sigma = float(np.clip(_EDGE * size, *_EDGE_LIMITS)) if soften is None else soften
    rim = float(np.clip(_RIM * size, *_RIM_LIMITS))
    window = window.grown(1 + math.ceil(max(3 * sigma, 3 * rim * decontaminate)), image.shape[:2])
    colors, alpha = image[window.part], soft_alpha(window.mask, sigma)
    return np.dstack([own_colors(colors, window.mask, alpha, rim) if decontaminate else colors, alpha])


def soft_alpha(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Alpha (H, W) uint8 of a mask (H, W) uint8 of 0 and 1, with an edge of that standard deviation in pixels."""
    alpha = mask * np.uint8(255)
    if not sigma:
        return alpha
    blurred = cv2.GaussianBlur(alpha, (0, 0), sigma)
    return np.where(mask == 1, np.maximum(blurred, 128), np.minimum(blurred, 127))


def own_colors(image: np.ndarray, mask: np.ndarray, alpha: np.ndarray, rim: float) -> np.ndarray:
    """Replaces colours of the background that an object's rim carries.

    What lies deeper than the rim is taken for the object, and what lies as far outside for the background. Each colour
    between is compared with the means of both nearby: the more it looks like the background, the more of it is
    replaced, by the inside's mean and what the mixture of both does not explain (see `unmix`); what looks like the
    inside or like neither is kept, and so is all where both look alike. Where what looks like the background goes on
    through the rim, it is replaced up to twice as deep.

    Args:
        image: (H, W, 3) uint8, the object and some background around it.
        mask: (H, W) uint8 of 0 and 1.
        alpha: (H, W) uint8; what is transparent is left as it is.
        rim: Its width in pixels.

    Returns:
        (H, W, 3) uint8.
    """
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    side = 2 * math.ceil(rim) + 1
    # Of a part that is thinner than two rims, the middle half is its inside.
    begins = np.minimum(cv2.dilate(depth, np.ones((side, side), np.uint8)) / 2, rim)
    inside, background = depth > begins, cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3) > rim
    rows, columns = np.nonzero((alpha > 0) & (depth <= 2 * begins))
    places = rows, columns
    if not background.any() or not places[0].size:
        return image
    found = image[places].astype(np.float32)
    # What is less than twice as deep as the rim may be background, too.
    front = _nearby(image, (depth > 2 * begins, inside), places, side)
    back = _nearby(image, (background,), places, side)
    contrast = np.linalg.norm(front - back, axis=1, keepdims=True)
    way = np.sum((found - back) * (front - back), axis=1, keepdims=True) / np.maximum(contrast**2, 1)
    way = np.clip(way, 0, 1)
    # Far from all mixtures of both are marks of the object's own, such as the white border of a red sign.
    aside = np.linalg.norm(found - way * front - (1 - way) * back, axis=1, keepdims=True)
    replaced = _ramp(contrast, *_CONTRAST) * (1 - _ramp(way, *_KEPT)) * (1 - _ramp(aside / (contrast + 1), *_ASIDE))
    alike = np.linalg.norm(found - back, axis=1) < _ALIKE * contrast[:, 0]
    replaced[inside[places] & ~_joined(alike, mask, places)] = 0
    colors = image.copy()
    colors[places] = np.rint(found + replaced * (unmix(found, front, back, way) - found))
    return colors


def _joined(alike: np.ndarray, mask: np.ndarray, places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(N,) bool: which of N places are joined to the outside of a mask by such as look alike, or lie beside these."""
    free = 1 - mask
    free[places] |= alike
    _, labels = cv2.connectedComponents(free, connectivity=4)
    joined = np.zeros(labels.max() + 1, np.uint8)
    joined[labels[mask == 0]] = 1
    # Those beside them may be mixtures.
    return cv2.dilate(joined[labels], np.ones((3, 3), np.uint8))[places] > 0


def _nearby(
    image: np.ndarray, parts: Sequence[np.ndarray], places: tuple[np.ndarray, np.ndarray], reach: int
) -> np.ndarray:
    """Mean colours (N, 3) float32 of a part of an image, in squares around N places.

    Args:
        image: (H, W, 3) uint8.
        parts: Some (H, W) bool, not all empty. Where a square holds nothing of the first, the next is asked.
        places: (N,) rows and (N,) columns.
        reach: Of the squares in pixels; where one holds nothing of any part, one of four times that is taken.
    """
    layers = [cv2.merge([cv2.copyTo(image, part), part]) for part in (part.view(np.uint8) for part in parts)]
    sums, missing = np.zeros((len(places[0]), 4), np.float32), np.arange(len(places[0]))
    while missing.size:
        window = (2 * min(reach, max(image.shape)) + 1,) * 2
        for layer in layers:
            box = cv2.boxFilter(layer, cv2.CV_32F, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
            sums[missing] = box[places[0][missing], places[1][missing]]
            missing = missing[sums[missing, 3] == 0]
            if not missing.size:
                break
        reach *= 4
    return sums[:, :3] / sums[:, 3:]


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to a value, 1 from another one on, and rising between."""
    return np.clip((values - low) / (high - low), 0, 1)
