"""Layouts taken from the boxes of a COCO annotation file."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sos_mm.checks import check_choice
from sos_mm.composition.layouts.borders import moved_to_borders
from sos_mm.composition.layouts.enlargement import assign_boxes
from sos_mm.composition.layouts.prior import (
    Draft,
    Layout,
    LayoutError,
    PriorOptions,
    SizedSegment,
    register_layout,
    sizes_of,
)
from sos_mm.composition.place import rotated_bounds, shrink_boxes
from sos_mm.formats.coco import ANNOTATION, CocoFile
from sos_mm.formats.json_reader import read_json
from sos_mm.formats.records import check_record, check_size

_FIELDS = {key: ANNOTATION[key] for key in ("image_id", "bbox", "iscrowd")}


@register_layout
@dataclass(frozen=True, kw_only=True)
class CocoLayout(PriorOptions):
    """A prior that copies the boxes of an annotated image with the same number of objects; larger ones behind.

    Large boxes are assigned to segments that can fill them within ``max_enlargement``.

    Args:
        annotations: A COCO annotation file. Crowds and empty boxes are left out, and so are images with other numbers
            of objects than ``counts`` allows.
        crowded: What to do when no image has so many objects: 'raise' a LayoutError, or place 'fewer', as many
            as the image with most objects has.
        counts, flip, max_enlargement, rotation, hue: See `PriorOptions`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a COCO file, has no image with such a count, or an argument is out of its range.
    """

    annotations: str
    crowded: str = "raise"

    def __post_init__(self):
        super().__post_init__()
        check_choice("crowded", self.crowded, ("raise", "fewer"))
        if not self._usable():
            low, high = self.counts
            raise ValueError(
                f"{self.annotations} must have an image with {low} to {high} objects, but has none: set other "
                "`counts`, or name another file."
            )

    def _usable(self) -> list[np.ndarray]:
        low, high = self.counts
        return [boxes for number, group in self._groups().items() if low <= number <= high for boxes in group]

    def _groups(self) -> dict[int, list[np.ndarray]]:
        path = Path(self.annotations)
        if not path.is_file():
            raise FileNotFoundError(f"`annotations` must be a COCO annotation file, but {path} does not exist.")
        return _read_boxes(path, path.stat().st_mtime_ns)

    @property
    def fingerprint(self) -> str:
        """Content hash of the boxes, 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for number, group in sorted(self._groups().items()):
            digest.update(f"{number}:".encode())
            digest.update(np.concatenate(group).tobytes())
        return digest.hexdigest()

    def draw_count(self, rng: np.random.Generator) -> int:
        """Draws the number of objects of the next image: that of an image of the file, drawn uniformly."""
        usable = self._usable()
        return len(usable[rng.integers(len(usable))])

    def draft(self, rng: np.random.Generator, segments: Sequence[SizedSegment], canvas: tuple[int, int]) -> Draft:
        """Draws an image with as many objects and assigns its boxes to the segments.

        If no image has that number, an image with more objects contributes its largest boxes.

        Raises:
            LayoutError: If no image has so many objects and ``crowded`` is 'raise'.
        """
        groups, number = self._groups(), len(segments)
        count = min((known for known in groups if known >= number), default=max(groups))
        if count < number and self.crowded == "raise":
            raise LayoutError(
                f"No image of {self.annotations} has {number} objects, at most {count}. Ask for fewer, or set "
                "`crowded='fewer'`."
            )
        taken = _to_pixels(groups[count][rng.integers(len(groups[count]))][:number], canvas)
        extents = (taken[:, 2:] - taken[:, :2])[:, ::-1].astype(float)
        chosen = assign_boxes(rng, extents, sizes_of(segments), self.limit)
        # A segment without a box gets an empty one, and comes last.
        boxes, orders = np.zeros((number, 4), np.int64), np.full(number, number)
        boxes[chosen], orders[chosen] = taken, np.arange(len(taken))
        return Draft((boxes[:, 2:] - boxes[:, :2])[:, ::-1].astype(float), {"boxes": boxes, "orders": orders})

    def plan(
        self,
        rng: np.random.Generator,
        segments: Sequence[SizedSegment],
        canvas: tuple[int, int],
        draft: Draft | None = None,
    ) -> Layout:
        """Puts the segments into the boxes of an image.

        Args:
            rng: Source of the random draws.
            segments: The segments to place.
            canvas: Height and width in pixels; boxes are stretched to it.
            draft: The result of `draft` for these segments; drawn here if None.

        Raises:
            LayoutError: If no image has so many objects and ``crowded`` is 'raise'.
        """
        if not segments:
            return Layout(canvas, ())
        draft = self.draft(rng, segments, canvas) if draft is None else draft
        variants = self.draw_variants(rng, segments)
        order = np.argsort(draft.columns["orders"], kind="stable")
        order = order[draft.boxes[order].all(axis=1)]
        turned = rotated_bounds(sizes_of(segments), variants.rotations)
        boxes, limited = shrink_boxes(draft.columns["boxes"][order], turned[order], self.limit)
        boxes = moved_to_borders(boxes, turned[order], variants.cut_sides[order], canvas)
        placements = (variants.place(*each) for each in zip(order.tolist(), boxes, limited, strict=True))
        return Layout(canvas, tuple(placements))


def _to_pixels(boxes: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Rounds boxes to pixels inside the canvas, at least one pixel wide and high."""
    size = np.array(canvas[::-1])
    low = np.clip(np.rint(boxes[:, :2] * size), 0, size - 1)
    high = np.clip(np.rint(boxes[:, 2:] * size), low + 1, size)
    return np.concatenate([low, high], axis=1).astype(np.int64)


@lru_cache(maxsize=4)
def _read_boxes(path: Path, modified: int) -> dict[int, list[np.ndarray]]:
    """Reads the (N, 4) xyxy boxes of each image as fractions of it, from large to small; groups them by N.

    Args:
        path: The file.
        modified: Time of its last change, so that a changed file is not taken from the cache.
    """
    file, found = CocoFile(read_json(path), path, ("images", "annotations")), defaultdict(list)
    for image in file.images.values():
        check_size(image, f"{path}, image {image['id']!r}: it")
    for position, item in enumerate(file.annotations):
        name = f"{path}, annotation {item.get('id', position)!r}: it"
        check_record(item, _FIELDS, name)
        if item["image_id"] not in file.images:
            raise ValueError(f"{name} must have the `image_id` of an image of the file, but has {item['image_id']!r}.")
        image = file.images[item["image_id"]]
        (x, y, w, h), width, height = item["bbox"], image["width"], image["height"]
        if not item.get("iscrowd") and w > 0 and h > 0:
            found[item["image_id"]].append((x / width, y / height, (x + w) / width, (y + h) / height))
    groups = defaultdict(list)
    for _, listed in sorted(found.items()):
        boxes = np.array(listed)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        groups[len(boxes)].append(boxes[np.argsort(-areas, kind="stable")])
    return dict(groups)
