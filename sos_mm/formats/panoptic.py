"""COCO panoptic: the segment of each pixel as a PNG file, which panopticapi and mmdet's `CocoPanopticDataset` read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from sos_mm.checks import FaultyInputError, check_folder
from sos_mm.compiled import loops
from sos_mm.formats.boxes import XYWH, Box, clip, xywh_to_xyxy
from sos_mm.formats.coco import CATEGORY, IMAGE
from sos_mm.formats.json_reader import check_holds_any, check_lists, read_json_object, read_lists
from sos_mm.formats.png import encode_lines, encode_png
from sos_mm.formats.records import (
    FILE,
    FLAG,
    ID,
    INTEGER,
    OBJECTS,
    TEXT,
    Field,
    Record,
    by_id,
    check_record,
    check_size,
    is_integer,
    optional,
)
from sos_mm.formats.shards import table_stem
from sos_mm.image_header import read_header
from sos_mm.images import read_image

# Fields of an entry of `annotations`: the PNG file of an image, and its segments.
ANNOTATION = {"file_name": FILE, "segments_info": OBJECTS}
_WHAT = optional(TEXT)
SEGMENT = {"category_id": INTEGER, "bbox": XYWH, "iscrowd": optional(FLAG), "phrase": _WHAT, "short_phrase": _WHAT}
# Ids of segments are the pixels of a PNG file of 24 bits; 0 is void.
SEGMENT_ID = Field("an integer from 1 to 2**24 - 1", lambda value: is_integer(value) and 0 < value < 2**24)
_IS_THING = {"isthing": optional(FLAG)}


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Encodes (H, W) segment ids in [0, 2**24) as (H, W, 3) uint8 colours."""
    # The lowest byte is the red channel.
    channels = np.ascontiguousarray(ids, "<i4").view(np.uint8).reshape(*ids.shape, 4)
    return cv2.cvtColor(channels, cv2.COLOR_RGBA2RGB)


def encode_map(ids: np.ndarray) -> bytes:
    """Encodes (H, W) segment ids in [0, 2**24) as a PNG file."""
    fast = loops("sos_mm.formats.png_loops")
    if fast and ids.dtype in (np.uint8, np.int32) and ids.size:
        lines, checksum = fast.map_lines(np.ascontiguousarray(ids))
        return encode_lines(lines, ids.shape[1], 3, checksum)
    return encode_png(ids_to_rgb(ids))


def read_map(path: str | Path) -> np.ndarray:
    """Reads the (H, W) int32 segment ids of a PNG file; raises the errors of `read_image`, and one for 16 bits."""
    header = read_header(path) if Path(path).is_file() else None
    if header is not None and header.bits != 8:
        text = (
            f"The panoptic map {path} must have 8 bits a channel, but has {header.bits}: write it as panopticapi does."
        )
        raise FaultyInputError("map of other bits", text)
    red, green, blue = cv2.split(read_image(path, 3).astype(np.int32))
    return red + 256 * green + 65536 * blue


def annotation_record(image_id: int, file_name: str, segments: list[Record]) -> Record:
    """Encodes an entry of ``annotations``; ``file_name`` is that of the image's PNG file."""
    return {"image_id": image_id, "file_name": file_name, "segments_info": segments}


def segment_record(id: int, category_id: int, box: Sequence[float], area: int) -> Record:
    """Encodes an entry of ``segments_info``; the box is xywh."""
    return {"id": id, "category_id": category_id, "bbox": list(box), "area": area, "iscrowd": 0}


def thing_ids(categories: Iterable[Record], path: str | Path) -> set[int]:
    """Returns the ids of the thing categories; categories without ``isthing`` are things.

    Raises:
        ValueError: If ``isthing`` is neither 0 nor 1; names the file, ``path``.
    """
    found = set()
    for each in categories:
        check_record(each, _IS_THING, f"{path}, category {each['id']!r}: it")
        if each.get("isthing") in (None, 1):
            found.add(each["id"])
    return found


def read_things(path: str | Path, what: str) -> dict[int | str, tuple[str, list[int]]]:
    """Reads the name of each image's panoptic PNG file and the ids of its thing segments, by image id.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a COCO panoptic file; ``what`` describes the file.
    """
    content = read_json_object(path, what)
    check_lists(content, path, annotations={"image_id": ID} | ANNOTATION, categories=CATEGORY)
    things, found = thing_ids(content["categories"], path), {}
    for entry in content["annotations"]:
        for each in entry["segments_info"]:
            check_record(
                each, {"id": SEGMENT_ID, "category_id": INTEGER}, f"{path}, image {entry['image_id']!r}: a segment"
            )
        ids = [each["id"] for each in entry["segments_info"] if each["category_id"] in things]
        found[entry["image_id"]] = entry["file_name"], ids
    return found


def map_folder(path: Path) -> Path:
    """Finds the folder of a file's panoptic PNG files.

    COCO keeps those of ``panoptic_val2017.json`` in ``panoptic_val2017`` beside it; composed data sets keep theirs one
    folder up, also those of single shards.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    composed = path.parent.parent
    choices = (path.with_suffix(""), composed / path.stem, composed / table_stem(path))
    return next((each for each in choices if each.is_dir()), None) or check_folder(choices[0], "The panoptic maps")


class PanopticFile:
    """A COCO panoptic annotation file.

    Args:
        path: The file.
        image_suffix: Suffix of the image files where it is not that of ``images``, such as '.png'.
        stuff: Whether to take segments of stuff categories (``isthing`` 0) too.

    Attributes:
        left_out: Number of segments left out so far, by reason.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a panoptic annotation file, or lists no image or no annotation; names the line.
    """

    def __init__(self, path: str | Path, image_suffix: str | None = None, stuff: bool = False):
        annotation = {"image_id": ID, "segments_info": OBJECTS}
        content = read_lists(path, images=IMAGE, annotations=annotation, categories=CATEGORY)
        check_holds_any(content, path, "images", "annotations")
        self.path, self.suffix, self.stuff, self.left_out = path, image_suffix, stuff, Counter[str]()
        self.names = {each["id"]: each["name"] for each in sorted(content["categories"], key=lambda each: each["id"])}
        self._stuff = set(self.names) - thing_ids(content["categories"], path)
        by_id(content["categories"], f"Categories of {path}")
        self._images = by_id(content["images"], f"Images of {path}")
        for image in content["images"]:
            check_size(image, f"{path}, image {image['id']!r}")
        self._annotations = content["annotations"]

    @property
    def labels(self) -> dict[int, int]:
        """Labels from 0 by category id, in the order of the ids."""
        kept = [id for id in self.names if self.stuff or id not in self._stuff]
        return {id: label for label, id in enumerate(kept)}

    def images(self) -> Iterator[tuple[Record, list[tuple[Record, Box]]]]:
        """Yields each image with its segments and their xyxy boxes.

        Raises:
            ValueError: If an annotation is of an unknown image, or a segment is faulty or of an unknown category.
        """
        for annotation in self._annotations:
            image = self._images.get(annotation["image_id"])
            if image is None:
                raise ValueError(
                    f"{self.path} has an annotation of the image {annotation['image_id']!r}, but no such image."
                )
            name = PurePosixPath(image["file_name"])
            image = image | {"file_name": str(name.with_suffix(self.suffix) if self.suffix else name)}
            yield image, list(self._segments(image, annotation["segments_info"]))

    def _segments(self, image: Record, segments: list[Record]) -> Iterator[tuple[Record, Box]]:
        for segment in segments:
            check_record(segment, SEGMENT, f"{self.path}, image {image['id']!r}: a segment")
            category = segment["category_id"]
            if category not in self.names:
                raise ValueError(f"{self.path}, image {image['id']!r}: category {category} is not in `categories`.")
            box = clip(xywh_to_xyxy(segment["bbox"]), image["width"], image["height"])
            if segment.get("iscrowd") or (category in self._stuff and not self.stuff):
                self.left_out["crowd or stuff"] += 1
            elif box is None:
                self.left_out["no box of a pixel or more inside the image"] += 1
            else:
                yield segment, box
