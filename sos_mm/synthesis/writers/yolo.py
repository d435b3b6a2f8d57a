"""YOLO segmentation: a text file an image, a polygon a line, as Ultralytics' trainers read them."""

from functools import partial

from sos_mm.checks import check_choice, check_range
from sos_mm.formats.yolo import PARTS, data_yaml, object_line
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Table, Totals

PATH = "data.yaml"


def yolo_format(parts: str = "join", tolerance: float = 0.5) -> Format:
    """Returns the format YOLO segmentation: ``labels/NAME.txt`` and ``data.yaml``.

    A label file has a line ``CLASS x1 y1 x2 y2 ...`` for each object from back to front.

    Classes count from 0 in the order of the category ids; coordinates are fractions of the width and height. The
    polygon is the outer contour of the modal mask. A single polygon has no holes: they are filled, and may then overlap
    with the object seen through them. Ignore regions are left out.

    Args:
        parts: How to write an object in several parts: 'join' connects them by lines of zero width, as Ultralytics'
            converter does; 'largest' keeps only the largest part.
        tolerance: How far the polygon may deviate from the contour, in pixels; 0 keeps every corner.

    Raises:
        ValueError: If an argument is invalid.
    """
    check_choice("parts", parts, PARTS)
    check_range("tolerance", tolerance, 0, 100)
    return Format(partial(_encode, parts, tolerance), (Table(PATH, text=_data_yaml),))


def _encode(parts: str, tolerance: float, entry: Entry) -> Encoded:
    labels, lines = entry.categories.labels, []
    for index, each in enumerate(entry.scene.objects):
        label = labels[entry.category_ids[index]]
        lines.append(object_line(label, each.mask, each.box[:2], entry.size, parts=parts, tolerance=tolerance))
    return Encoded({f"labels/{entry.name}.txt": "".join(lines).encode()})


def _data_yaml(totals: Totals) -> str:
    return data_yaml(totals.categories.names.values())
