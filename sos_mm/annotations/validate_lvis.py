"""Validation of LVIS files."""

from collections import defaultdict
from typing import Any

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.options import Options
from sos_mm.annotations.validate_coco import CocoCheck, Record, told
from sos_mm.formats.lvis import FREQUENCIES, NEGATIVE, NOT_EXHAUSTIVE, url_name
from sos_mm.formats.records import ID, is_below, is_integer


class LvisCheck(CocoCheck):
    """Validates LVIS files: COCO's checks, frequencies, and negative and not exhaustively annotated categories."""

    needs_crowd = False

    def __init__(self, findings: Findings, options: Options):
        super().__init__(findings, options)
        self._present: dict[Any, set[int]] = defaultdict(set)

    def file(self, record: Record, position: int, owner: str) -> None:
        """Checks ``coco_url``, and ``file_name`` where there is one too: other readers prefer it."""
        super().file(record, position, owner)
        if record.get("file_name") and not is_below(record["file_name"]):
            reason = "`file_name` must be a path below the folder of images"
            self.findings.add(position, reason, f"{owner}: {told(record, 'file_name')}")

    def file_name(self, record: Record) -> Any:
        """Returns the path as mmdet's `LVISV1Dataset` does: the last two parts of ``coco_url``."""
        return url_name(record.get("coco_url"))

    def category(self, record: Record, position: int) -> None:
        """Checks an entry of ``categories``."""
        super().category(record, position)
        if record.get("frequency") not in FREQUENCIES:
            found = f"category {record.get('id')!r}: {record.get('frequency')!r}"
            self.findings.add(position, "`frequency` must be 'r', 'c' or 'f'", found)

    def category_of(self, record: Record, position: int) -> None:
        """Notes the categories of an image."""
        super().category_of(record, position)
        if is_integer(record.get("category_id")) and ID.holds(record.get("image_id")):
            self._present[record["image_id"]].add(record["category_id"])

    def end(self, complete: bool) -> None:
        """Checks the negative and not exhaustively annotated categories of the images."""
        super().end(complete)
        known, seen = self.complete("categories"), self.complete("annotations")
        for id, image in self.images.items():
            position, present = self.positions[id], self._present[id]
            lists: list[Any] = [image.get(name) for name in (NEGATIVE, NOT_EXHAUSTIVE)]
            if not all(isinstance(each, list) and all(map(is_integer, each)) for each in lists):
                self.findings.add(
                    position, "an image must list negative and not exhaustive categories", f"image {id!r}"
                )
                continue
            negative, partial = (set(each) for each in lists)
            for reason, wrong in (
                ("listed categories must be known", known and (negative | partial) - set(self.categories)),
                ("negative categories must not be annotated", negative & present),
                ("not exhaustive categories must be annotated", seen and partial - present),
            ):
                if wrong:
                    self.findings.add(position, reason, f"image {id!r}: {sorted(wrong)[:5]}")
