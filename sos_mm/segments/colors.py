"""Colour words: the colour name of a cut-out, and hue variants with matching texts."""

import re
from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from sos_mm.segments.segment import OPAQUE, Segment

# Chromatic names by their upper limit of hue, in degrees; above the last limit it is red again.
_HUES = (("red", 14), ("orange", 42), ("yellow", 68), ("green", 165), ("cyan", 195), ("blue", 255), ("purple", 310))
COLOR_NAMES = (*(name for name, _ in _HUES), "pink", "brown", "black", "grey", "white")
_PINK, _BROWN, _BLACK, _GREY, _WHITE = range(len(_HUES), len(COLOR_NAMES))
_ACHROMATIC = ("black", "grey", "white")
# A pixel in OpenCV's HSV; a tone is saturation and value together, for tables of both.
_HSV = np.dtype([("hue", "u1"), ("tone", "<u2")])
# Synonyms that are recognised but never written.
_SYNONYMS = {
    "golden": "yellow", "tan": "brown", "turquoise": "cyan", "teal": "cyan", "violet": "purple", "gray": "grey",
    "silver": "grey", "crimson": "red", "scarlet": "red", "magenta": "pink", "beige": "brown", "navy": "blue",
    "lime": "green", "gold": "yellow", "multicolored": "", "colorful": "", "multicoloured": "", "colourful": "",
    "rainbow": "", "reddish": "red", "bluish": "blue", "purplish": "purple", "whitish": "white", "orangish": "orange",
    "maroon": "red", "burgundy": "red", "ruby": "red", "rosy": "pink", "fuchsia": "pink", "amber": "orange",
    "emerald": "green", "aqua": "cyan", "azure": "blue", "indigo": "blue", "sapphire": "blue", "lilac": "purple",
    "mauve": "purple", "khaki": "brown", "bronze": "brown", "copper": "brown", "charcoal": "black", "ivory": "white",
    "auburn": "brown", "tawny": "brown", "ebony": "black", "lavender": "purple", "blond": "", "blonde": "",
}  # fmt: skip
_MEANINGS = {**{name: name for name in COLOR_NAMES}, **_SYNONYMS}
COLOR_WORD = re.compile(
    rf"(?<![a-zA-Z])(?:({'|'.join(_MEANINGS)})(?:ish)?|[a-z]+-colou?red)(?![a-zA-Z])", re.IGNORECASE
)
# Pixels of a segment whose colours are counted, at most.
_PIXELS = 4096
# Least share of the opaque pixels that must have the colour which the texts name, before and after a rotation of hues.
_LEAST_SHARE = 0.5


def color_meaning(word: str) -> str:
    """Returns the name of `color_names` that a colour word means; empty if it means none, or several.

    >>> color_meaning("Crimson"), color_meaning("peach-colored")
    ('red', '')
    """
    found = COLOR_WORD.fullmatch(word)
    return _MEANINGS.get(((found and found[1]) or "").lower(), "")


def color_names(rgb: np.ndarray) -> np.ndarray:
    """Names colours by hue, saturation and value.

    Args:
        rgb: (N, 3) uint8.

    Returns:
        (N,) strings: red, orange, yellow, green, cyan, blue, purple, pink, brown, black, grey or white.
    """
    return np.array(COLOR_NAMES)[color_indices(rgb)]


def color_indices(rgb: np.ndarray) -> np.ndarray:
    """Returns the names of `color_names` as (N,) uint8 indices into `COLOR_NAMES`."""
    return indices_of_hsv(*hue_and_tone(rgb))


def hue_and_tone(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes hue, saturation and value of colours.

    Args:
        rgb: (N, 3) uint8.

    Returns:
        (N,) uint8, OpenCV's hue in [0, 180), in steps of two degrees; (N,) uint16, saturation plus 256 times value,
        both of OpenCV in [0, 255].
    """
    hsv = cv2.cvtColor(np.ascontiguousarray(rgb).reshape(1, -1, 3), cv2.COLOR_RGB2HSV)
    fields = hsv.view(_HSV).reshape(-1)
    return fields["hue"], fields["tone"]


def saturation_and_value() -> tuple[np.ndarray, np.ndarray]:
    """Returns the saturation and the value of each tone of `hue_and_tone`, two (65536,) int64 arrays."""
    value, saturation = np.divmod(np.arange(2**16), 256)
    return saturation, value


def indices_of_hsv(hue: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Returns `color_indices` of the colours whose `hue_and_tone` are given."""
    of_tone, names = name_tables()
    return names.take(of_tone.take(tone) + hue)


@cache
def name_tables() -> tuple[np.ndarray, np.ndarray]:
    """Returns a (65536,) uint16 table of tones, and the table of `color_indices` at its entry plus the hue."""
    saturation, value = saturation_and_value()
    hue = np.arange(180)
    by_hue = np.searchsorted([end for _, end in _HUES], 2 * hue, side="right") % len(_HUES)
    # Dark and medium oranges are brown, pale reds pink.
    brown, pink, red = (hue >= 5) & (hue < 25), (hue >= 155) & (hue < 173), (hue >= 170) | (hue < 5)
    dull = (value < 150) | ((saturation < 130) & (value < 230))
    pale = (saturation < 130) & (value > 160)
    rows = [
        np.where(pink | (red & is_pale), _PINK, np.where(brown & is_dull, _BROWN, by_hue))
        for is_pale in (False, True)
        for is_dull in (False, True)
    ]
    row = dull + 2 * pale
    grey = (saturation < 40) | (saturation * value < 40 * 100)
    for name, where in ((_GREY, grey), (_WHITE, grey & (value > 205)), (_BLACK, value < 45)):
        row[where] = len(rows)
        rows.append(np.full(len(hue), name))
    return (row * len(hue)).astype(np.uint16), np.concatenate(rows).astype(np.uint8)


def is_achromatic(indices: np.ndarray) -> np.ndarray:
    """Returns (N,) bool: whether indices of `color_indices` mean black, grey or white."""
    return indices >= _BLACK


def dominant_color(segment: Segment) -> tuple[str, float]:
    """Finds the most frequent colour name of a segment's opaque pixels, and its share of them in (0, 1]."""
    opaque = segment.rgba[segment.rgba[..., 3] >= OPAQUE][:, :3]
    names, counts = np.unique(color_names(opaque[:: -(-len(opaque) // _PIXELS)]), return_counts=True)
    return str(names[counts.argmax()]), float(counts.max() / counts.sum())


def vary_hue(segment: Segment, degrees: float) -> Segment:
    """Rotates the hues of a segment and changes the colour word in its texts accordingly.

    The segment is returned unchanged unless all its texts name one colour, most of its pixels have that colour, and
    their colour after the rotation has a name too. The category never changes: a segment whose category contains a
    colour word ("orange", but not "blackboard") is returned unchanged.

    Args:
        segment: The segment to vary.
        degrees: Rotation of the hue; rounded to steps of two degrees, the resolution of OpenCV's 8-bit hue.
    """
    steps = round(degrees / 2) % 180
    if steps == 0:
        return segment
    words = _color_words(segment)
    if len(words) != 1 or COLOR_WORD.search(segment.category.replace("_", " ")):
        return segment
    name, share = dominant_color(segment)
    if name in _ACHROMATIC or words != {name} or share < _LEAST_SHARE:
        return segment
    turned = replace(segment, rgba=_turn(segment.rgba, steps))
    new, share = dominant_color(turned)
    if new in _ACHROMATIC or share < _LEAST_SHARE:
        return segment
    return turned if new == name else _renamed(turned, new)


def _texts(segment: Segment) -> tuple[str, ...]:
    return segment.sub_category, segment.phrase, segment.description, *segment.attributes


def _color_words(segment: Segment) -> set[str]:
    """Returns the colours that the texts of a segment name."""
    return {color_meaning(found[0]) for text in _texts(segment) for found in COLOR_WORD.finditer(text)}


def _turn(rgba: np.ndarray, steps: int) -> np.ndarray:
    hsv = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2HSV)
    table = np.arange(256, dtype=np.uint8)
    table[:180] = (np.arange(180) + steps) % 180
    hsv[..., 0] = table[hsv[..., 0]]
    return np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), rgba[..., 3]])


def _renamed(segment: Segment, name: str) -> Segment:
    return replace(
        segment,
        sub_category=_recolored(segment.sub_category, name),
        phrase=_recolored(segment.phrase, name),
        description=_recolored(segment.description, name),
        attributes=tuple(_recolored(each, name) for each in segment.attributes),
    )


def _recolored(text: str, name: str) -> str:
    """Replaces all colour words of a text by one."""
    text = COLOR_WORD.sub(lambda found: name.capitalize() if found[0][0].isupper() else name, text)
    article = "an" if name[0] in "aeiou" else "a"
    return re.sub(rf"\b(a)n?(?= {name}\b)", lambda found: found[1] + article[1:], text, flags=re.IGNORECASE)


def recolored(phrase: str) -> tuple[str, ...]:
    """Returns the phrases that `vary_hue` may make of a phrase: one for each colour, or none if it names no colour."""
    if not COLOR_WORD.search(phrase):
        return ()
    return tuple(_recolored(phrase, name) for name in COLOR_NAMES if name not in _ACHROMATIC)
