"""Salient object detection: a mask for each image, with the same name."""

from sos_mm.formats.png import encode_png
from sos_mm.synthesis.writers.format import Encoded, Entry, Format


def saliency_format() -> Format:
    """Returns the format of masks for salient object detection.

    ``masks/NAME.png`` is 8-bit grey, 255 where any object is and 0 elsewhere.
    """
    return Format(_encode)


def _encode(entry: Entry) -> Encoded:
    return Encoded({f"masks/{entry.name}.png": encode_png(entry.scene.saliency_mask())})
