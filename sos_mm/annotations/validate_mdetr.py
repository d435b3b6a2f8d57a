"""Validation of RefCOCO and gRefCOCO in MDETR's format, as mmdet reads them, and of intra-class referring."""

from collections import defaultdict
from typing import Any, cast

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.options import Options
from sos_mm.annotations.validate_coco import CocoCheck, Record, told
from sos_mm.formats.boxes import box_complaint
from sos_mm.formats.mdetr import NO_TARGET
from sos_mm.formats.odvg import spans_complaint
from sos_mm.formats.records import ID, is_size


class MdetrCheck(CocoCheck):
    """Validates RefCOCO and gRefCOCO in MDETR's format, each entry of ``images`` an expression, and intra-class
    referring.
    """

    lists = ("images", "annotations")
    shared_files = True
    needs_crowd = False

    def __init__(self, findings: Findings, options: Options):
        super().__init__(findings, options)
        self._targets: dict[Any, list[int]] = defaultdict(list)

    def image(self, record: Record, position: int) -> None:
        """Checks an expression."""
        super().image(record, position)
        owner = f"expression {record.get('id')!r}"
        if not isinstance(record.get("caption"), str) or not record["caption"].strip():
            self.findings.add(position, "an expression must have a `caption`", f"{owner}: {record.get('caption')!r}")
        if not ID.holds(record.get("original_id", 0)) and record["original_id"] is not None:
            reason = "`original_id` must be an integer or a text"
            self.findings.add(position, reason, f"{owner}: {told(record, 'original_id')}")
        if not isinstance(record.get("dataset_name"), str):
            self.findings.add(position, "an expression must have a `dataset_name`", owner)
        distractors, size = record.get("distractors", []), (record.get("height"), record.get("width"))
        if not isinstance(distractors, list):
            self.findings.add(position, "`distractors` must be a list of boxes", f"{owner}: {distractors!r}"[:80])
        elif all(map(is_size, size)):
            canvas = cast(tuple[int, int], size)
            for box in distractors:
                self.complain(position, box_complaint(box, canvas, self.options.tolerance), f"{owner}, distractor")

    def annotation(self, record: Record, position: int) -> None:
        """Checks a target."""
        owner = f"annotation {record.get('id')!r}"
        self.own_id(record, position)
        size = self.size_of_image(record, position, owner)
        self.category_of(record, position)
        image = record.get("image_id")
        if ID.holds(image):
            self._targets[image].append(cast(int, record.get("category_id")))
        if record.get("category_id") == NO_TARGET:
            return
        self.region(record, position, owner, size)
        caption = self.images.get(image, {}).get("caption") if ID.holds(image) else None
        if "tokens_positive" in record and isinstance(caption, str):
            self.complain(position, spans_complaint(record["tokens_positive"], caption), owner)

    def end(self, complete: bool) -> None:
        """Checks that each expression has targets, or the mark for none."""
        super().end(complete)
        for id, position in self.positions.items():
            targets = self._targets[id]
            if not targets and self.complete("annotations"):
                detail = f"{id!r}; without target: category -1"
                self.findings.add(position, "an expression must have an annotation", detail)
            elif NO_TARGET in targets and len(targets) > 1:
                self.findings.add(position, "an expression without target must have no other annotation", repr(id))

    def unknown_categories(self) -> dict[int, int]:
        """Returns nothing: MDETR's own files name categories, but mmdet needs none."""
        unknown = super().unknown_categories() if self.categories else {}
        return {id: position for id, position in unknown.items() if id != NO_TARGET}
