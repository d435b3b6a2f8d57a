"""LVIS v1: COCO instances, with the categories that each image verifiably lacks or does not annotate exhaustively."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from sos_mm.formats.records import INTEGERS, Record, optional

# A category in at most 10 images is rare, in at most 100 common.
_RARE, _COMMON = 10, 100
FREQUENCIES = ("r", "c", "f")
# Fields of an entry of `images` that LVIS adds to COCO's.
NEGATIVE, NOT_EXHAUSTIVE = "neg_category_ids", "not_exhaustive_category_ids"
IMAGE_PART = {NOT_EXHAUSTIVE: optional(INTEGERS), NEGATIVE: optional(INTEGERS)}


def image_part(url: str, negative: Sequence[int], not_exhaustive: Sequence[int]) -> Record:
    """Encodes the fields of an entry of ``images`` that LVIS adds to COCO's."""
    return {
        "coco_url": url,
        NEGATIVE: list(negative),
        NOT_EXHAUSTIVE: list(not_exhaustive),
    }


def category_record(id: int, name: str, images: int, instances: int, known: Record) -> Record:
    """Encodes an entry of ``categories``.

    Args:
        id, name: Id and name of the category.
        images, instances: Number of images and of annotations with this category.
        known: Further fields. Without ``frequency`` there, it is derived from ``images``.
    """
    return {
        "id": id,
        "name": name,
        "frequency": known.get("frequency", _frequency(images)),
        "image_count": images,
        "instance_count": instances,
        "synset": known.get("synset", ""),
        "synonyms": known.get("synonyms", [name]),
        "def": known.get("def", ""),
    }


def _frequency(images: int) -> str:
    return "r" if images <= _RARE else "c" if images <= _COMMON else "f"


def url_name(url: Any) -> str:
    """Returns the file name of a ``coco_url``: its last two parts, such as ``"val2017/1.jpg"``; ''
    if it is not a URL.
    """
    return "/".join(PurePosixPath(url.split("://")[-1]).parts[-2:]) if isinstance(url, str) else ""
