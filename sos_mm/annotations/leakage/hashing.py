"""Perceptual hashes: bits that stay nearly the same when an image is resized, recompressed or slightly cropped.

The hash is that of pHash (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): signs
of low-frequency coefficients of the discrete cosine transform around their median. It has 128 bits instead of 64,
since the objects of one category differ less than photographs do.
"""

import cv2
import numpy as np

BITS = 128
# Side of the reduced image that is transformed.
_SIDE = 32
# Images are reduced to this longer side before their crops are hashed, for speed.
_REDUCED = 256
# Least standard deviation of the reduced image, in grey levels: plainer ones have bits of noise alone.
_PLAIN = 2.0
# Share of the height and width that a crop leaves out: at the top and bottom, left and right.
_CROP = 0.05
_CROPS = tuple((top * _CROP, left * _CROP) for top, left in ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1)))


def _low_frequencies() -> np.ndarray:
    """Returns the indices of the `BITS` lowest frequencies of the flattened transform, without the mean."""
    row, column = np.indices((_SIDE, _SIDE))
    return np.argsort((row**2 + column**2).ravel(), kind="stable")[1 : BITS + 1]


_CHOSEN = _low_frequencies()
# Mirroring changes the signs of the odd horizontal frequencies.
_MIRRORED = np.where(_CHOSEN % _SIDE % 2, -1, 1).astype(np.float32)


def perceptual_hashes(grey: np.ndarray, mirror: bool = False, crops: bool = False) -> np.ndarray | None:
    """Computes the hashes of an image and of changed forms of it.

    Args:
        grey: (H, W) uint8.
        mirror: Whether to hash the mirrored image too.
        crops: Whether to hash crops that leave out 5 % of the height and width: in the middle, and at each corner.

    Returns:
        (V, 2) uint64, 128 bits for each form in the order of `forms`; None for an image without structure.
    """
    height, width = grey.shape
    if max(height, width) > _REDUCED:
        scale = _REDUCED / max(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    parts = [grey, *(_crop(grey, *each) for each in _CROPS * crops)]
    spectra = [_spectrum(part) for part in parts]
    if spectra[0] is None:
        return None
    # A crop without structure says nothing, so that the image stands for it.
    found = [spectra[0] if each is None else each for each in spectra]
    if mirror:
        found += [each * _MIRRORED for each in found]
    return np.stack([_packed(each) for each in found])


def forms(mirror: bool = False, crops: bool = False) -> tuple[str, ...]:
    """Returns the names of the forms that `perceptual_hashes` hashes, in their order."""
    names = ["whole", *["cropped"] * (len(_CROPS) * crops)]
    return (*names, *("mirrored" if name == "whole" else "mirrored and cropped" for name in names * mirror))


def _spectrum(grey: np.ndarray) -> np.ndarray | None:
    """Returns the (128,) float32 low frequencies of an image; None if it has no structure."""
    small = cv2.resize(grey.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return None if small.std() < _PLAIN else cv2.dct(small).ravel()[_CHOSEN]


def _packed(spectrum: np.ndarray) -> np.ndarray:
    return np.packbits(spectrum > np.median(spectrum)).view(np.uint64)


def _crop(grey: np.ndarray, top: float, left: float) -> np.ndarray:
    height, width = grey.shape
    y, x = round(height * top), round(width * left)
    return grey[y : y + max(round(height * (1 - _CROP)), 1), x : x + max(round(width * (1 - _CROP)), 1)]


def grey_cut_out(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the grey pixels of an object, with the mean of its own pixels around it.

    Its silhouette then counts little, which the objects of one category share.

    Args:
        rgb: (H, W, 3) uint8, the object's box.
        mask: (H, W) bool, with at least one pixel of the object.

    Returns:
        (H, W) uint8.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.where(mask, grey, np.uint8(round(float(grey[mask].mean()))))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Counts the different bits of hashes.

    Args:
        first, second: (..., 2) uint64 that broadcast together.

    Returns:
        (...) integers in [0, 128].
    """
    return count_bits(first[..., 0] ^ second[..., 0]) + count_bits(first[..., 1] ^ second[..., 1])


def _by_table(words: np.ndarray) -> np.ndarray:
    """Counts the bits of uint64 words by table, for numpy 1."""
    halves = np.ascontiguousarray(words)[..., None].view(np.uint16)
    return _TABLE[halves].sum(axis=-1, dtype=np.uint8)


_TABLE = np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(
    axis=1, dtype=np.uint8
)
count_bits = getattr(np, "bitwise_count", _by_table)
