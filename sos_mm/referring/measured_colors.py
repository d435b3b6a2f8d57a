"""Measures the colours of an image's instances, and decides which ones they surely have, and may have."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.thresholds import Thresholds
from sos_mm.segments.colors import COLOR_NAMES, hue_and_tone, indices_of_hsv, saturation_and_value

# Number of pixels of an object's window, approximately, on which colours are measured; of a sparse mask's own pixels.
_SAMPLE = 800
# Colours that people confuse, or that shade and light turn into each other.
_NEAR_COLORS = {
    "red": "orange pink brown purple", "orange": "red yellow brown", "yellow": "orange green brown",
    "green": "yellow cyan", "cyan": "green blue", "blue": "cyan purple", "purple": "blue pink red",
    "pink": "red purple", "brown": "orange red yellow black", "black": "grey brown", "grey": "black white",
    "white": "grey",
}  # fmt: skip
_COLORS, _BLACK, _GREY = len(COLOR_NAMES), COLOR_NAMES.index("black"), COLOR_NAMES.index("grey")
_NEAR = np.array([[other in _NEAR_COLORS[name].split() for other in COLOR_NAMES] for name in COLOR_NAMES], float).T
_PLACES = {name: place for place, name in enumerate(COLOR_NAMES)}


def measured_colors(
    image: AnnotatedImage, claimed: Sequence[frozenset[str]], limits: Thresholds
) -> tuple[np.ndarray, np.ndarray]:
    """Decides which colours the instances surely have, and which they may have.

    Args:
        image: The image.
        claimed: For each instance, the colours that the source's words state about it.
        limits: The thresholds.

    Returns:
        Two (N, 12) bool arrays over `COLOR_NAMES`.
    """
    counts = _counts(image, limits)
    total = counts.sum(axis=(1, 2))[:, None]
    shares, clear = counts.sum(axis=1) / np.maximum(total, 1), counts[:, 1] / np.maximum(total, 1)
    measured = total > 0
    said = np.zeros((len(claimed), _COLORS), bool)
    for index, names in enumerate(claimed):
        for name in names:
            said[index, _PLACES[name]] = True
    number = said.sum(axis=1, keepdims=True)
    near_shares, near_said = shares @ _NEAR, said @ _NEAR > 0
    # An object described as "blue and yellow" has neither colour surely, unless one covers most of it.
    alone = said & (number == 1)
    shown = np.where(number, said & (shares >= limits.color), clear >= limits.color)
    sure = measured & (shown | alone & (shares >= limits.claimed_color)) | ~measured & said
    # Where pixels confirm the only claimed colour, those of other colours need not be few, only fewer.
    confirmed = (shares * (sure & alone)).sum(axis=1, keepdims=True)
    few = (shares + near_shares <= limits.no_near_color) | ~near_said & (shares + near_shares < confirmed)
    absent = ~said & np.where(measured, few & (shares <= limits.no_color), (number > 0) & ~near_said)
    return sure, ~absent


def _counts(image: AnnotatedImage, limits: Thresholds) -> np.ndarray:
    """Counts sampled pixels: (N, 2, 12) integers, of unclear ones by colour, then of clear ones."""
    counts = np.zeros((len(image.instances), 2, _COLORS), np.int64)
    samples = _samples(image, limits.color_pixels)
    if samples:
        hue, tone = hue_and_tone(np.concatenate([*samples.values()]).view(np.uint8).reshape(-1, 3))
        names = indices_of_hsv(hue, tone)
        strong = _strong_tones(limits.clear_saturation, limits.clear_value).take(tone)
        # A pixel is clear if it shows its colour in any light; a white wall at dusk looks bluish.
        clear = np.where(names < _BLACK, strong, names != _GREY)
        # One histogram for each sample, all at once.
        starts = np.arange(len(samples), dtype=np.intp) * (2 * _COLORS)
        slots = np.repeat(starts, [len(each) for each in samples.values()])
        slots += names
        slots += clear * np.uint8(_COLORS)
        found = np.bincount(slots, minlength=len(samples) * 2 * _COLORS)
        counts[list(samples)] = found.reshape(-1, 2, _COLORS)
    return counts


@lru_cache(maxsize=16)
def _strong_tones(least_saturation: int, least_value: int) -> np.ndarray:
    """Returns (65536,) bool: for each tone, whether its saturation and its value are high enough."""
    saturation, value = saturation_and_value()
    # OpenCV rounds the saturation; the range of the three channels, from which it follows, is exact.
    spread = np.rint(saturation * value / 255)
    return (spread * 255 >= value * least_saturation) & (value >= least_value)


def _samples(image: AnnotatedImage, least: int) -> dict[int, np.ndarray]:
    """Samples pixels of each instance that has a mask and enough pixels, as (n,) of three bytes each, by index."""
    if image.image is None:
        return {}
    # A pixel as one element is selected several times as fast as along an axis of three.
    pixels, found = np.ascontiguousarray(image.image).view("V3")[..., 0], {}
    for index, instance in enumerate(image.instances):
        if instance.mask is not None:
            (x, y), (height, width) = instance.offset, instance.mask.shape
            sample = _sample(pixels[y : y + height, x : x + width], instance.mask)
            if len(sample) >= least:
                found[index] = sample
    return found


def _sample(window: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Samples the elements of a window under a mask on a grid of about `_SAMPLE` points, or of pixels of the mask."""
    step = max(int((mask.size / _SAMPLE) ** 0.5), 1)
    found = window[::step, ::step][mask[::step, ::step]]
    if len(found) < _SAMPLE / 2 and step > 1:
        # A sparse mask, such as a bench's, needs a finer grid.
        step = max(int((np.count_nonzero(mask) / _SAMPLE) ** 0.5), 1)
        found = window[::step, ::step][mask[::step, ::step]]
    return found
