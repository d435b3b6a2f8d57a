"""Finds words that contradict their object: written from what the words mean, not from the code that keeps them true.

Its vocabulary, its names of colours, its CIELAB and its geometry are its own; pixels are compared, never a flag that a
scene records.
"""

import re

import cv2
import numpy as np

from sos_mm.composition import Layout, compose

SIDES = ("left", "right", "clockwise")
TEXTS = ("word", "letter", "sign", "logo", "number")
POSTURES = ("upright", "leaning", "standing", "lying")
FOCUS = ("sharp focus", "blurred")
# Hue in degrees and how far around it a colour still has its name; least saturation; range of the value.
CHROMATIC = {
    "red": (0, 40), "orange": (27, 40), "yellow": (52, 45), "green": (120, 75), "cyan": (180, 45), "blue": (228, 55),
    "purple": (285, 55), "pink": (335, 50), "brown": (25, 45),
}  # fmt: skip
SAME = {"gray": "grey", "golden": "yellow", "tan": "brown", "crimson": "red"}
DARKER, LIGHTER = ("dark",), ("bright", "pale", "light")


def contradictions(scene, segments, placements, checks_text) -> list[tuple[str, str, str]]:
    """What is wrong with a scene: kind, word and phrase of each word that contradicts its object.

    Args:
        scene: The scene.
        segments: By id.
        placements: By id, where each segment went; ids are unique in a scene.
        checks_text: Whether words of text and focus must stand on pixels that did not change.
    """
    found = []
    for index, item in enumerate(scene.objects):
        own = [item.sub_category, item.phrase, item.description, *item.attributes]
        said = " ".join([*own, item.category]).replace("_", " ").lower()
        texts = re.sub(rf"\b({'|'.join(item.category.split('_'))})\b", " ", " ".join(own).replace("_", " ").lower())
        words = set(re.findall(r"[a-z]+", texts))
        every = set(re.findall(r"[a-z]+", said))
        segment = segments[item.segment_id]
        x0, y0, x1, y1 = item.amodal_box
        mask = scene.amodal_mask(index)[y0:y1, x0:x1]
        for kind, names in (("side", SIDES), ("text", TEXTS), ("posture", POSTURES)):
            for word in every.intersection(names) if mask.sum() >= 100 else ():
                as_is, mirrored, turned = fits(segment.rgba[..., 3], mask)
                limit = max(as_is, mirrored) if kind == "posture" else as_is
                if turned > limit + 0.05 or (kind != "posture" and mirrored > as_is):
                    found.append((kind, word, item.phrase))
        before, after = pixels(scene, index, item, segment, placements[item.segment_id])
        found += [("tone", word, item.phrase) for word in false_tones(words, before, after)]
        moved = (np.linalg.norm(lab(after) - lab(before), axis=1) > 15).mean()
        if checks_text and moved > 0.15:
            names = [name for name in (*TEXTS, *FOCUS) if re.search(rf"\b{name}\b", texts)]
            found += [("text or focus", name, item.phrase) for name in names]
    return found


def fits(alpha, mask) -> tuple[float, float, float]:
    """Intersection over union of a tight mask with its cut-out's: as it is, mirrored, and turned as fits best."""
    whole = scaled(alpha, mask.sum())
    side = int(np.ceil(np.hypot(*alpha.shape)))
    middle = (side / 2, side / 2)
    top, left = (side - alpha.shape[0]) // 2, (side - alpha.shape[1]) // 2
    wide = np.zeros((side, side), np.uint8)
    wide[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha
    turned = [
        scaled(cv2.warpAffine(each, cv2.getRotationMatrix2D(middle, degrees, 1), (side, side)), mask.sum())
        for degrees in range(15, 360, 15)
        for each in (wide, wide[:, ::-1])
    ]
    return overlap(mask, whole), overlap(mask, whole[:, ::-1]), max(overlap(mask, each) for each in turned)


def scaled(alpha, area) -> np.ndarray:
    """The tight mask of a cut-out, of that area."""
    rows, columns = np.nonzero(alpha >= 128)
    tight = np.ascontiguousarray(alpha[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    scale = np.sqrt(area / (tight >= 128).sum())
    height, width = (max(round(side * scale), 1) for side in tight.shape)
    return cv2.resize(tight, (width, height), interpolation=cv2.INTER_AREA) >= 128


def overlap(one, other) -> float:
    """Of two masks with a common centre."""
    size = np.maximum(one.shape, other.shape)
    laid = []
    for mask in (one, other):
        canvas = np.zeros(size, bool)
        top, left = (size - mask.shape) // 2
        canvas[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        laid.append(canvas)
    return (laid[0] & laid[1]).sum() / (laid[0] | laid[1]).sum()


def pixels(scene, index, item, segment, planned) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) colours of the object's visible pixels: as cut out (alone on nothing), and in the scene."""
    mask = scene.modal_mask(index)
    alone = compose(None, Layout(scene.size, (item.placement,)), [segment] * (planned.segment + 1))
    alpha = alone.alpha[mask].astype(float)
    assert alpha.min() >= 128
    before = np.clip(alone.image[mask] * (255 / alpha)[:, None], 0, 255)
    after = scene.image[mask].astype(float)
    if scene.alpha is not None:
        after = np.clip(after * (255 / np.maximum(scene.alpha[mask], 1))[:, None], 0, 255)
    return before, after


def false_tones(words, before, after) -> list[str]:
    """Words of colour and lightness that the pixels showed, or may have shown, and clearly no longer do.

    Of fewer than 25 pixels nobody can tell.
    """
    false = []
    alike = np.linalg.norm(lab(after) - lab(before), axis=1) < 12
    for word in sorted(words):
        name = SAME.get(word, word)
        if name in (*CHROMATIC, "black", "grey", "white"):
            own = shows(name, before)
            if own.mean() < 0.2 or own.sum() < 25:
                continue
            still = shows(name, after[own]) | alike[own]
            if still.mean() < 0.35:
                false.append(word)
    shift = (lab(after)[:, 0] - lab(before)[:, 0]).mean()
    false += [word for word in sorted(words) if (word in DARKER and shift > 15) or (word in LIGHTER and shift < -15)]
    return false


def shows(name, rgb) -> np.ndarray:
    """Whether colours may be called so, by wide ranges: what is not is clearly something else."""
    value, low = rgb.max(axis=1) / 255, rgb.min(axis=1) / 255
    saturation = (value - low) / np.maximum(value, 1e-9)
    if name == "black":
        return value < 0.35
    if name == "white":
        return (saturation < 0.3) & (value > 0.6)
    if name == "grey":
        return (saturation < 0.35) & (value > 0.12) & (value < 0.97)
    red, green, blue = rgb.T / 255
    with np.errstate(invalid="ignore", divide="ignore"):
        hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
    middle, reach = CHROMATIC[name]
    return (np.abs((hue - middle + 180) % 360 - 180) <= reach) & (saturation > 0.1) & (value > 0.1)


def lab(rgb) -> np.ndarray:
    """(N, 3) CIELAB of sRGB in [0, 255], D65, by the textbook."""
    linear = np.where(rgb / 255 > 0.04045, ((rgb / 255 + 0.055) / 1.055) ** 2.4, rgb / 255 / 12.92)
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    scaled = linear @ np.array(matrix).T / (0.95047, 1, 1.08883)
    curved = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    x, y, z = curved.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
