"""Writers: the formats of data sets; each is a function from its options to a `Format`."""

from collections.abc import Mapping, Sequence
from typing import Any

from sos_mm.registry import Registry
from sos_mm.synthesis.writers.coco import coco_format
from sos_mm.synthesis.writers.format import Categories, Encoded, Entry, Format, Table, Totals
from sos_mm.synthesis.writers.images import IMAGE_FORMATS, encode_image
from sos_mm.synthesis.writers.lvis import lvis_format
from sos_mm.synthesis.writers.objects import objects_format
from sos_mm.synthesis.writers.odvg import odvg_format
from sos_mm.synthesis.writers.panoptic import panoptic_format
from sos_mm.synthesis.writers.referring import referring_format
from sos_mm.synthesis.writers.saliency import saliency_format
from sos_mm.synthesis.writers.webdataset import webdataset_format
from sos_mm.synthesis.writers.yolo import yolo_format

FORMATS: Registry[Format] = Registry(
    "format",
    "key of the format {type!r}",
    {
        "coco": coco_format,
        "lvis": lvis_format,
        "objects": objects_format,
        "odvg": odvg_format,
        "panoptic": panoptic_format,
        "referring": referring_format,
        "saliency": saliency_format,
        "webdataset": webdataset_format,
        "yolo": yolo_format,
    },
)

__all__ = [
    "FORMATS",
    "IMAGE_FORMATS",
    "Categories",
    "Encoded",
    "Entry",
    "Format",
    "Table",
    "Totals",
    "build_formats",
    "encode_image",
]


def build_formats(configs: Sequence[str | Mapping[str, Any]]) -> tuple[Format, ...]:
    """Builds formats from names, or from dicts with options: ``["coco", dict(type="lvis", negatives=50)]``.

    Raises:
        ValueError: If there is no format, a format is named twice, or a name, an option or its value is invalid.
    """
    if isinstance(configs, str) or not isinstance(configs, Sequence) or not configs:
        raise ValueError(f"`formats` must be a list of at least one format, but got {configs!r}.")
    options = [{"type": config} if isinstance(config, str) else dict(config) for config in configs]
    names = [each.get("type") for each in options]
    for each in options:
        FORMATS.check(each)
    if len(set(names)) < len(names):
        raise ValueError(f"`formats` must name each format once, but got {names}.")
    return tuple(map(FORMATS.build, options))
