"""A saliency map and its mask, validated and converted to the form that every metric takes."""

from functools import cached_property

import numpy as np

from sos_mm.compiled import loops
from sos_mm.images import MOST_LABELS

# MATLAB's eps, which the published implementations add to denominators.
EPS = np.spacing(1.0)


class SaliencyPair:
    """A saliency map with its mask; built by :func:`prepare`.

    The map is stored as a table of its values and, for each pixel, the index into that table. Most metrics need only
    the histograms of the values on and off the object, and the histogram of an 8-bit map is one pass over bytes.

    Attributes:
        levels: (H, W) integers, the index of each pixel's value in ``values``; uint8 for 8-bit maps.
        values: (K,) float64 in [0, 1], ascending; the stretched value of each level.
        gt: (H, W) bool, the mask.
    """

    def __init__(self, levels: np.ndarray, values: np.ndarray, gt: np.ndarray):
        self.levels = levels
        self.values = values
        self.gt = gt

    @cached_property
    def pred(self) -> np.ndarray:
        """The stretched map, (H, W) float64 in [0, 1]."""
        return self.pred_in(())

    def pred_in(self, box: tuple[slice, ...]) -> np.ndarray:
        """Computes a part of the stretched map, (h, w) float64 in [0, 1]."""
        return self.values_of(self.levels[box])

    def values_of(self, levels: np.ndarray) -> np.ndarray:
        """Returns the stretched values of levels, (h, w) float64 in [0, 1]."""
        import cv2

        # Equals indexing in numpy, which is several times slower.
        return cv2.LUT(levels, self.values) if levels.dtype == np.uint8 else self.values[levels]

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns of the smallest box that contains the salient pixels of the mask."""
        return box_of(self.gt)

    @cached_property
    def split(self) -> tuple[int, int]:
        """First row and column after the mask's centroid; (0, 0) for a mask without salient pixels.

        The centroid's own row and column belong to the upper and left blocks, as in MATLAB's 1:x.
        """
        salient = self.gt[self.box]
        counts = [np.count_nonzero(salient, axis=axis) for axis in (1, 0)]
        number = int(counts[0].sum())
        if number == 0:
            return 0, 0
        spans = (np.arange(part.start, part.stop) for part in self.box)
        center = (each @ span / number for each, span in zip(counts, spans, strict=True))
        row, column = (int(np.round(coordinate)) + 1 for coordinate in center)
        return row, column

    @cached_property
    def block_counts(self) -> np.ndarray:
        """Histograms of the values by block and side of the mask, (2, 2, 2, K) int64.

        The axes: above or below the split, left or right of it, off or on the object, level.
        """
        row, column = self.split
        width = len(self.values)
        fast = loops("sos_mm.metrics.loops")
        if fast:
            return fast.count_blocks(self.levels, self.gt, width, row, column)
        codes: np.ndarray = self.levels.astype(np.uint16 if width <= 256 else np.int64)
        codes += self.gt * codes.dtype.type(width)
        codes[:, column:] += codes.dtype.type(2 * width)
        codes[row:] += codes.dtype.type(4 * width)
        return np.bincount(codes.ravel(), minlength=8 * width).reshape(2, 2, 2, width)

    @cached_property
    def counts(self) -> np.ndarray:
        """Histograms of the values off and on the object, (2, K) int64."""
        return self.block_counts.sum(axis=(0, 1))

    @cached_property
    def salient(self) -> int:
        """Number of salient pixels of the mask."""
        return int(self.counts[1].sum())


def prepare(prediction: np.ndarray, target: np.ndarray, *, round_to_uint8: bool = True) -> SaliencyPair:
    """Validates a saliency map and its mask and combines them.

    A map of another size is resized to the mask's (:func:`resize_prediction`), and then stretched so that its
    smallest value becomes 0 and its largest 1, unless it is constant.

    Args:
        prediction: Saliency map, (h, w), uint8 or float in [0, 1].
        target: Mask, (H, W), bool or uint8; a uint8 pixel is salient above 128.
        round_to_uint8: Round a float map to 256 levels first. Published figures are computed from maps saved as
            8-bit PNG files; with False the map is not rounded, which must be stated with the figure. Unrounded maps
            take longer, and 64 bytes for each distinct value.

    Raises:
        ValueError: If an input has another shape or type, is empty, or holds values out of range, or if the mask
            holds label indices (values up to 32 and nothing above).
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    _check_plane("prediction", prediction)
    gt = _binary("target", target)
    if prediction.dtype != np.uint8:
        _check_unit_range("prediction", prediction)
        prediction = prediction.astype(np.float64)
    if prediction.shape != target.shape:
        prediction = resize_prediction(prediction, (target.shape[0], target.shape[1]))
    if prediction.dtype == np.uint8:
        return SaliencyPair(prediction, _stretched_levels(prediction), gt)
    if round_to_uint8:
        prediction = np.rint(prediction * 255).astype(np.uint8)
        return SaliencyPair(prediction, _stretched_levels(prediction), gt)
    values, levels = np.unique(prediction, return_inverse=True)
    return SaliencyPair(levels.reshape(prediction.shape), _stretch(values, values[0], values[-1]), gt)


def box_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Returns rows and columns of the smallest box that contains what is not zero in a mask (H, W), bool."""
    import cv2

    column, row, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(row, row + height), slice(column, column + width)


def resize_prediction(prediction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a saliency map bilinearly, as ``cv2.resize`` does (centres of pixels aligned, no smoothing).

    An 8-bit map stays 8-bit: evaluations of published PNG files resize and round these.

    Args:
        prediction: (h, w), uint8, float32 or float64 in [0, 1].
        size: Height and width to resize to.

    Returns:
        (height, width) array of the same dtype.
    """
    import cv2

    height, width = size
    resized = cv2.resize(prediction, (width, height), interpolation=cv2.INTER_LINEAR)
    # The two interpolation weights of a float map add up to 1 only up to rounding.
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 1)


def _stretched_levels(prediction: np.ndarray) -> np.ndarray:
    """Computes the stretched values of the 256 levels of an 8-bit map; levels beyond its extremes are clipped to 0 and
    1.
    """
    low, high = prediction.min() / 255, prediction.max() / 255
    return np.clip(_stretch(np.arange(256) / 255, low, high), 0, 1)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return values if low == high else (values - low) / (high - low)


def _binary(name: str, mask: np.ndarray) -> np.ndarray:
    _check_plane(name, mask)
    if mask.dtype == np.bool_:
        return mask
    if mask.dtype != np.uint8:
        raise ValueError(f"`{name}` must be bool or uint8, but got {mask.dtype}.")
    if 0 < (largest := mask.max()) <= MOST_LABELS:
        raise ValueError(
            f"`{name}` must hold 0 (background) and 255 (salient), but got values up to {largest}, like the numbers of "
            "labels: write 255 where the salient object is."
        )
    return mask > 128


def _check_plane(name: str, array: np.ndarray) -> None:
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"`{name}` must be a non-empty array of shape (H, W), but got shape {array.shape}.")


def _check_unit_range(name: str, array: np.ndarray) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"`{name}` must be uint8, or float in [0, 1], but got {array.dtype}.")
    low, high = array.min(), array.max()
    # This form of the comparison rejects NaN.
    if not (low >= 0 and high <= 1):
        raise ValueError(f"`{name}` must hold values in [0, 1], but got values from {low} to {high}.")
