"""Validation of COCO panoptic files, and of the PNG files beside them."""

from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.annotations.validate_coco import CocoCheck, Record, told
from sos_mm.formats.panoptic import read_map
from sos_mm.formats.records import FLAG, ID, NO_LIMIT, is_below, is_integer


class PanopticCheck(CocoCheck):
    """Validates COCO panoptic files, with an annotation for each image, and their PNG files if the folder is given."""

    def category(self, record: Record, position: int) -> None:
        """Checks an entry of ``categories``."""
        super().category(record, position)
        if not FLAG.holds(record.get("isthing")):
            reason = "`isthing` must be 0 or 1, and be there: panopticapi and mmdet read it"
            self.findings.add(position, reason, f"category {record.get('id')!r}: {told(record, 'isthing')}")

    def annotation(self, record: Record, position: int) -> None:
        """Checks the segments of an image."""
        owner = f"annotation of image {record.get('image_id')!r}"
        size = self.size_of_image(record, position, owner)
        if ID.holds(record.get("image_id")):
            if record["image_id"] in self._ids:
                self.findings.add(position, "an image must have one annotation", owner)
            self._ids.add(record["image_id"])
        segments: Any = record.get("segments_info")
        name: Any = record.get("file_name")
        if not isinstance(segments, list) or not is_below(name):
            self.findings.add(position, "an annotation must have `segments_info` and a `file_name`", owner)
            return
        ids: list[Any] = [each.get("id") for each in segments if isinstance(each, dict)]
        if len(ids) < len(segments) or not all(is_integer(id) and 0 < id < 2**24 for id in ids):
            self.findings.add(position, "ids of segments must be from 1 to 2**24 - 1", f"{owner}: {ids[:5]}")
            return
        if len(set(ids)) < len(ids):
            self.findings.add(position, "ids of segments must differ in an image", owner)
        for segment in segments:
            self.findings.records["segments"] += 1
            self.category_of(segment, position)
            for key in ("phrase", "short_phrase"):
                if not isinstance(segment.get(key), str | None):
                    self.findings.add(position, f"`{key}` must be text", f"{owner}: {told(segment, key)}")
            self.region(segment, position, f"{owner}, segment {segment['id']}", size)
        if self.options.masks:
            self._compare(Path(self.options.masks) / name, segments, size, position, owner)

    def _compare(self, path: Path, segments: list[Record], size: tuple[int, int], position: int, owner: str) -> None:
        """Compares the ids and areas of segments with the pixels of the PNG file."""
        try:
            pixels = read_map(path)
        except (OSError, ValueError) as error:
            self.findings.add(position, "the mask file must be there", f"{owner}: {error}")
            return
        if size[0] < NO_LIMIT and pixels.shape != size:
            self.findings.add(position, "the mask must have its image's size", f"{owner}: {pixels.shape}, not {size}")
        found = dict(zip(*(each.tolist() for each in np.unique(pixels, return_counts=True)), strict=True))
        found.pop(0, None)
        listed = {each["id"]: each.get("area") for each in segments}
        if set(found) != set(listed):
            odd = sorted(set(found) ^ set(listed))[:5]
            self.findings.add(position, "the mask must show the segments that are listed", f"{owner}: {odd}")
        for id in set(found) & set(listed):
            if found[id] != listed[id]:
                detail = f"{owner}, segment {id}: {listed[id]}, not {found[id]}"
                self.findings.add(position, "`area` must be that of the mask", detail)
