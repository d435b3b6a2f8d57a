"""COCO's annotation files: instances, LVIS and panoptic."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.checks import FaultyInputError
from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import xywh_to_xyxy
from sos_mm.formats.coco import ANNOTATION, CocoFile, file_names
from sos_mm.formats.lvis import IMAGE_PART, NEGATIVE, NOT_EXHAUSTIVE
from sos_mm.formats.panoptic import ANNOTATION as PANOPTIC_ANNOTATION
from sos_mm.formats.panoptic import SEGMENT, SEGMENT_ID, map_folder, read_map, thing_ids
from sos_mm.formats.records import (
    ID,
    Record,
    check_record,
    check_size,
)
from sos_mm.formats.rle import decode_near
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.inputs.source import ImageSource, InputOptions, clip_or_widen, image_choices, reaches_border

_OF_IMAGE = {"image_id": ID}


def open_coco(path: Path, content: Record, options: InputOptions) -> "CocoInput":
    """Detects whether a file's content is COCO instances, LVIS or panoptic, and opens it.

    Raises:
        ValueError: If there are no images, or images or categories have no ids or names.
    """
    file = CocoFile(content, path)
    file.check_holds_any("images")
    kind = PanopticInput if file.is_panoptic else LvisInput if file.is_lvis else CocoInput
    return kind(file, options)


class CocoInput:
    """COCO instances; all categories are complete.

    Crowds, annotations with ``ignore`` and annotations smaller than a pixel are ignored regions.

    Args:
        file: The content.
        options: What to read.
    """

    kind = "coco"

    def __init__(self, file: CocoFile, options: InputOptions):
        self.file, self.options = file, options
        self.categories: dict[str, int] = {each["name"]: id for id, each in file.categories.items()}

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images; records an error for annotations of unknown images."""
        listed: dict[Any, list[Record]] = defaultdict(list)
        for entry in self.file.annotations:
            try:
                check_record(entry, _OF_IMAGE, f"Annotation {entry.get('id')!r} of {self.file.path}: it")
            except ValueError as error:
                faults.record(error)
            else:
                listed[entry["image_id"]].append(entry)
        for id in [id for id in listed if id not in self.file.images]:
            named = f"Annotation {listed[id][0].get('id')!r} of {self.file.path}"
            faults.record(ValueError(f"{named} is of the image {id!r}, but the file has no such image."))
        for image in self.file.images.values():
            yield from self._source(image, partial(self._load, image, listed[image["id"]]), faults)

    def _source(self, image: Record, load: Callable, faults: ErrorCollector) -> Iterator[ImageSource]:
        name = f"Image {image.get('id')!r} of {self.file.path}"
        try:
            check_size(image, "it")
            names = file_names(image)
        except ValueError as error:
            faults.record(ValueError(f"{name}: {error}"))
            return
        size = image["width"], image["height"]
        empty = AnnotatedImage(*size, (), file_name=names[0], image_id=image.get("id"))
        yield ImageSource(empty, image_choices(names), load)

    def _load(self, image: Record, entries: list[Record], empty: AnnotatedImage) -> AnnotatedImage:
        instances: list[Instance] = []
        ignored: list[Instance] = []
        for entry in entries:
            name = f"Annotation {entry.get('id')!r} of {self.file.path}:"
            check_record(entry, ANNOTATION, f"{name} it")
            box, small = clip_or_widen(xywh_to_xyxy(entry["bbox"]), empty)
            if box is None:
                continue
            mask, cut = self._mask(entry, empty, name, small), reaches_border(box, empty)
            instance = Instance(entry["id"], self._category(entry, name), box, *mask, truncated=cut)
            (ignored if small or entry.get("iscrowd") or entry.get("ignore") else instances).append(instance)
        complete = self._complete(image, instances)
        return replace(empty, instances=tuple(instances), ignored=tuple(ignored), complete=complete)

    def _category(self, entry: Record, name: str) -> str:
        try:
            return self.file.category_of(entry)["name"]
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error

    def _mask(
        self, entry: Record, image: AnnotatedImage, name: str, small: bool
    ) -> tuple[np.ndarray | None, tuple[int, int]]:
        if small or not self.options.masks or not entry.get("segmentation"):
            return None, (0, 0)
        window = decode_near(entry["segmentation"], (image.height, image.width), name.rstrip(":"))
        return window.mask.astype(bool), (window.x, window.y)

    def _complete(self, image: Record, instances: Iterable[Instance]) -> frozenset[str]:
        return frozenset(self.categories)


class LvisInput(CocoInput):
    """LVIS instances; an image's annotated and negative categories are complete.

    Those are the categories of its annotations and of ``neg_category_ids``, except ``not_exhaustive_category_ids``.
    """

    kind = "lvis"

    def _complete(self, image: Record, instances: Iterable[Instance]) -> frozenset[str]:
        check_record(image, IMAGE_PART, f"Image {image['id']!r} of {self.file.path}:")
        part, absent = self._names(image, NOT_EXHAUSTIVE), self._names(image, NEGATIVE)
        return frozenset({each.category for each in instances} | absent) - part

    def _names(self, image: Record, key: str) -> frozenset[str]:
        ids = image.get(key) or ()
        unknown = sorted(set(ids) - set(self.file.categories))
        if unknown:
            raise ValueError(
                f"Image {image['id']!r} of {self.file.path}: `{key}` must name categories of the file, but has "
                f"{unknown[0]}."
            )
        return frozenset(self.file.categories[id]["name"] for id in ids)


class PanopticInput(CocoInput):
    """COCO panoptic; thing categories are complete, stuff gives no instances, and crowds are ignored regions."""

    kind = "panoptic"

    def __init__(self, file: CocoFile, options: InputOptions):
        super().__init__(file, options)
        self._things = thing_ids(file.categories.values(), file.path)

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images that have an annotation."""
        folder = map_folder(self.file.path) if self.options.masks else None
        for position, annotation in enumerate(self.file.annotations):
            name = f"Annotation {position} of {self.file.path}:"
            try:
                check_record(annotation, PANOPTIC_ANNOTATION, f"{name} it")
                image = self.file.image_of(annotation)
            except ValueError as error:
                faults.record(ValueError(f"{name} {error}"))
                continue
            yield from self._source(image, partial(self._load_segments, annotation, folder), faults)

    def _load_segments(self, annotation: Record, folder: Path | None, empty: AnnotatedImage) -> AnnotatedImage:
        ids = None if folder is None else self._read_map(folder / annotation["file_name"], empty)
        instances: list[Instance] = []
        ignored: list[Instance] = []
        for segment in annotation["segments_info"]:
            name = f"Segment {segment.get('id')!r} of the image {empty.image_id!r} in {self.file.path}:"
            check_record(segment, SEGMENT | {"id": SEGMENT_ID}, f"{name} it")
            category = self._category(segment, name)
            box, small = clip_or_widen(xywh_to_xyxy(segment["bbox"]), empty)
            if box is None or segment["category_id"] not in self._things:
                continue
            mask, offset = (None, (0, 0)) if ids is None or small else _mask_in(ids, segment["id"], box, name)
            phrase = segment.get("phrase") or segment.get("short_phrase") or ""
            cut = reaches_border(box, empty)
            instance = Instance(segment["id"], category, box, mask, offset, phrase, truncated=cut)
            (ignored if small or segment.get("iscrowd") else instances).append(instance)
        complete = frozenset(name for name, id in self.categories.items() if id in self._things)
        return replace(empty, instances=tuple(instances), ignored=tuple(ignored), complete=complete)

    def _read_map(self, path: Path, image: AnnotatedImage) -> np.ndarray:
        ids, size = read_map(path), (image.height, image.width)
        if ids.shape != size:
            text = f"The map {path} must have its image's height and width, {size}, but has {ids.shape}."
            raise FaultyInputError("map of another size", text)
        return ids


def _mask_in(ids: np.ndarray, id: int, box: tuple, name: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns the mask of a segment inside its box, and x and y of the mask's first pixel."""
    x0, y0 = int(np.floor(box[0])), int(np.floor(box[1]))
    mask = ids[y0 : int(np.ceil(box[3])), x0 : int(np.ceil(box[2]))] == id
    if not mask.any():
        raise FaultyInputError("segment without pixels", f"{name} its map must show it in its box, but does not.")
    return mask, (x0, y0)
