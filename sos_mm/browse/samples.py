"""Sample images of a data set for its page: the image files, and the annotations drawn over them."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from sos_mm.browse.dataset import AnnotatedImage, DataSet
from sos_mm.errors import ErrorCollector
from sos_mm.formats.rle import decode_mask, encode_mask
from sos_mm.images import check_image_size, read_image
from sos_mm.seeding import Purpose, generator

FOLDER = "pictures"
# Files are copied unchanged, unless they are too large for a page or browsers cannot show them.
_SHOWN, _HEAVY = (".jpg", ".jpeg", ".png", ".webp"), 200_000
_QUALITY = 85


def choose(data_set: DataSet, num: int, seed: int) -> list[AnnotatedImage]:
    """Draws images that exist on disk, uniformly, and returns them in the order of the data set."""
    found = [image for image in data_set.images if image.path is not None]
    drawn = generator(seed, Purpose.REPORT, 0).permutation(len(found))[:num]
    return [found[position] for position in sorted(drawn.tolist())]


def sample_record(image: AnnotatedImage, number: int, out: Path, max_side: int) -> dict[str, Any]:
    """Writes an image to the page's folder, and returns the annotations that the page draws over it.

    Args:
        image: An image whose file is known.
        number: Number of the image on the page.
        out: A temporary folder inside the page's folder; its content moves there when it is complete.
        max_side: Larger images are reduced to this longer side, in pixels.

    Raises:
        ValueError: If the image cannot be read, or its annotations are for another size.
    """
    assert image.path is not None, "the image was not located before"
    pixels = read_image(image.path, 3)
    check_image_size(pixels.shape[:2], image.size, image.path)
    source, shown = _write_image(pixels, image.path, number, out, max_side)
    record = {
        "name": image.file_name,
        "src": source,
        "width": image.size[1],
        "height": image.size[0],
        "objects": _objects(image),
        "expressions": [[each.text, each.targets, each.kind] for each in image.expressions],
    }
    if shown != pixels.shape[:2]:
        original = os.path.relpath(image.path.resolve(), out.resolve().parent)
        record |= {"reduced": shown[::-1], "original": quote(original)}
    return record


def _write_image(pixels: np.ndarray, path: Path, number: int, out: Path, max_side: int) -> tuple[str, tuple[int, int]]:
    """Writes an image; returns its URL relative to the page, and its height and width."""
    height, width = pixels.shape[:2]
    suffix = path.suffix.lower()
    large = max(height, width) > max_side
    if suffix in _SHOWN and not large and path.stat().st_size <= _HEAVY:
        shutil.copyfile(path, out / FOLDER / f"{number:04d}{suffix}")
        return f"{FOLDER}/{number:04d}{suffix}", (height, width)
    if large:
        scale = max_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1]
    (out / FOLDER / f"{number:04d}.jpg").write_bytes(encoded.tobytes())
    return f"{FOLDER}/{number:04d}.jpg", pixels.shape[:2]


def _objects(image: AnnotatedImage) -> list[dict[str, Any]]:
    values = image.read_map() if image.read_map else None
    if values is not None and values.shape != tuple(image.size):
        raise ValueError(
            f"The mask of {image.file_name} must have {image.size[0]} x {image.size[1]} pixels (height, width), but "
            f"has {values.shape[0]} x {values.shape[1]}."
        )
    objects = []
    height, width = image.size
    for position, each in enumerate(image.annotations):
        mask = None
        if values is not None:
            mask = values == each.mask
            if not mask.any():
                raise ValueError(f"The mask of {image.file_name} must show its segment {each.mask}, but does not.")
        elif each.mask is not None:
            mask = decode_mask(each.mask, (height, width), f"object {position} of {image.file_name}")
        objects.append(
            {
                "category": each.category,
                "phrase": each.phrase,
                "role": each.role,
                "box": each.box,
                "area": each.area,
                "visible": each.visible_share,
                "truncation": each.truncation,
                "segment": each.segment_id,
                "counts": "" if mask is None else encode_mask(mask, (0, 0), (height, width))["counts"],
            }
        )
    return objects


def sample_records(
    data_set: DataSet, num: int, seed: int, out: Path, max_side: int, faults: ErrorCollector
) -> list[dict[str, Any]]:
    """Writes the drawn images and returns their records; ``faults`` records images that cannot be shown."""
    records = []
    (out / FOLDER).mkdir()
    for number, image in enumerate(choose(data_set, num, seed), 1):
        try:
            records.append(sample_record(image, number, out, max_side))
        except (OSError, ValueError) as error:
            faults.record(error)
    return records
