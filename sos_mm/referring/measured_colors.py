"""Measures the colours of an image's instances, and decides which ones they surely have, and may have."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.thresholds import Thresholds
from sos_mm.segments.colors import COLOR_NAMES, hue_and_tone, name_tables, saturation_and_value

# Index of each name in `COLOR_NAMES`.
COLOR_INDICES = {name: index for index, name in enumerate(COLOR_NAMES)}
# Number of pixels of an object's window, approximately, on which colours are measured; of a sparse mask's own pixels.
_SAMPLE = 800
# Colours that people confuse, or that shade and light turn into each other.
_NEAR_COLORS = {
    "red": "orange pink brown purple", "orange": "red yellow brown", "yellow": "orange green brown",
    "green": "yellow cyan", "cyan": "green blue", "blue": "cyan purple", "purple": "blue pink red",
    "pink": "red purple", "brown": "orange red yellow black", "black": "grey brown", "grey": "black white",
    "white": "grey",
}  # fmt: skip
_COLORS, _BLACK, _GREY = range(len(COLOR_NAMES)), COLOR_NAMES.index("black"), COLOR_NAMES.index("grey")
_NEAR = np.array([[other in _NEAR_COLORS[name].split() for other in COLOR_NAMES] for name in COLOR_NAMES], float).T
# For each colour, those that are confused with it.
_CONFUSED = [frozenset(np.flatnonzero(column).tolist()) for column in _NEAR]


def measured_colors(
    image: AnnotatedImage, claimed: Sequence[frozenset[str]], limits: Thresholds
) -> tuple[list[int], list[int]]:
    """Decides which colours the instances surely have, and which they may have.

    Args:
        image: The image.
        claimed: For each instance, the colours that the source's words state about it.
        limits: The thresholds.

    Returns:
        For each of `COLOR_NAMES`, the bit sets of the instances that surely have it, and that may have it.
    """
    sure, may = [0] * len(COLOR_NAMES), [0] * len(COLOR_NAMES)
    for index, (shares, names) in enumerate(zip(_shares(image, limits), claimed, strict=True)):
        said = frozenset(map(COLOR_INDICES.__getitem__, names))
        shown, absent = _decided(*shares, said, limits) if shares else (said, _not_said(said))
        for color in shown:
            sure[color] |= 1 << index
        for color in _COLORS:
            may[color] |= (color not in absent) << index
    return sure, may


def _not_said(said: frozenset[int]) -> frozenset[int]:
    """Returns the colours that an object surely lacks of which nothing but words is known."""
    return frozenset(_COLORS).difference(said, *(_CONFUSED[each] for each in said)) if said else said


def _decided(
    shares: list[float], clear: list[float], reach: list[float], said: frozenset[int], limits: Thresholds
) -> tuple[list[int], list[int]]:
    """Returns the colours that an object surely has, and that it surely lacks.

    Args:
        shares: Share of its pixels in each colour.
        clear: Share that clearly show it.
        reach: Share in that colour and those that are confused with it.
        said: The colours that words state.
        limits: The thresholds.
    """
    if said:
        # An object described as "blue and yellow" has neither colour surely, unless one covers most of it.
        least = min(limits.color, limits.claimed_color) if len(said) == 1 else limits.color
        shown = [color for color in said if shares[color] >= least]
    else:
        shown = [color for color in _COLORS if clear[color] >= limits.color]
    # Where pixels confirm the only claimed colour, those of other colours need not be few, only fewer.
    confirmed, confused = (shares[shown[0]], _CONFUSED[shown[0]]) if shown and len(said) == 1 else (0.0, ())
    few, least_reach = limits.no_color, limits.no_near_color
    return shown, [
        color
        for color in _COLORS
        if shares[color] <= few
        and color not in said
        and (reach[color] <= least_reach or (reach[color] < confirmed and color not in confused))
    ]


def _shares(image: AnnotatedImage, limits: Thresholds) -> list[tuple[list[float], list[float], list[float]] | None]:
    """Measures for each instance the ``shares``, ``clear`` and ``reach`` of `_decided`; None if it cannot."""
    found: list = [None] * len(image.instances)
    samples = _samples(image, limits.color_pixels)
    if samples:
        hue, tone = hue_and_tone(np.concatenate([*samples.values()]).view(np.uint8).reshape(-1, 3))
        of_tone, codes = _code_tables(limits.clear_saturation, limits.clear_value)
        # One histogram of the codes for each sample, all at once.
        number = np.array([len(each) for each in samples.values()])
        slots = np.repeat(np.arange(len(samples)) * 2 * len(COLOR_NAMES), number)
        slots += codes.take(of_tone.take(tone) + hue)
        counts = np.bincount(slots, minlength=len(samples) * 2 * len(COLOR_NAMES)).reshape(-1, 2, len(COLOR_NAMES))
        clear = counts[:, 1]
        shares = (counts[:, 0] + clear) / number[:, None]
        measured = shares.tolist(), (clear / number[:, None]).tolist(), (shares + shares @ _NEAR).tolist()
        for index, *each in zip(samples, *measured, strict=True):
            found[index] = each
    return found


@lru_cache(maxsize=16)
def _code_tables(least_saturation: int, least_value: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `name_tables` of codes: the index of the name, plus 12 if the pixel shows that colour in any light.

    A white wall at dusk looks bluish: what is named by its hue needs enough saturation and value.
    """
    of_tone, names = name_tables()
    saturation, value = saturation_and_value()
    # OpenCV rounds the saturation; the range of the three channels, from which it follows, is exact.
    spread = np.rint(saturation * value / 255)
    strong = (spread * 255 >= value * least_saturation) & (value >= least_value)
    codes = [names + len(COLOR_NAMES) * np.where(names < _BLACK, clear, names != _GREY) for clear in (False, True)]
    return (of_tone + len(names) * strong).astype(np.uint16), np.concatenate(codes).astype(np.uint8)


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
