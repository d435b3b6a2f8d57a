"""Validation of ODVG's JSON lines, and of the lists of RefCOCO's and gRefCOCO's authors."""

from pathlib import Path
from typing import Any

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.options import Options
from sos_mm.annotations.validate_coco import image_complaint
from sos_mm.formats.boxes import box_complaint
from sos_mm.formats.json_reader import AnnotationFileError, members, try_json_lines
from sos_mm.formats.odvg import phrase_complaint, region_boxes
from sos_mm.formats.odvg import spans_complaint as check_spans
from sos_mm.formats.records import WORDS, Complaint, is_below, is_integer, size_complaint

Record = dict[str, Any]


def check_odvg(text: str, findings: Findings, options: Options, names: dict[int, str] | None) -> None:
    """Checks each line of an ODVG file; ``names`` are the names of its labels, None if unknown."""
    check = _OdvgCheck(findings, options, names)
    for number, record in try_json_lines(text, findings.path):
        findings.records["lines"] += 1
        if isinstance(record, AnnotationFileError):
            findings.add_error(record, "a line must be JSON")
        else:
            check.line(record, number)


class _OdvgCheck:
    def __init__(self, findings: Findings, options: Options, names: dict[int, str] | None):
        self.findings, self.options = findings, options
        self.names, self._fixed = dict(names or {}), names is not None
        self._files: set[str] = set()
        self._detected: set[str] = set()

    def line(self, record: Any, number: int) -> None:
        """Checks a line."""
        if not isinstance(record, dict) or not ({"detection", "grounding"} & record.keys()):
            self.findings.add(number, "a line must have `detection` or `grounding`", repr(record)[:80])
            return
        self._file(record, number)
        if self._complain(number, size_complaint(record)):
            return
        size = record["height"], record["width"]
        if "detection" in record:
            self._detection(record, number, size)
        if "grounding" in record:
            self._grounding(record["grounding"], number, size)

    def _complain(self, number: int, complaint: Complaint, owner: str = "") -> bool:
        if complaint is not None:
            self.findings.add(number, complaint[0], f"{owner}{complaint[1]}")
        return complaint is not None

    def _file(self, record: Record, number: int) -> None:
        name = record.get("filename")
        if not is_below(name):
            self.findings.add(
                number, "a line must have a `filename`, a path below the folder of images", repr(name)[:80]
            )
            return
        assert isinstance(name, str), "`is_below` has seen to it"
        if name not in self._files and self.options.images:
            self._complain(number, image_complaint(Path(self.options.images) / name, record), f"{name}: ")
        self._files.add(name)

    def _detection(self, record: Record, number: int, size: tuple[int, int]) -> None:
        name = str(record.get("filename"))
        if name in self._detected:
            self.findings.add(number, "an image must have one line of detection", f"{name} again")
        self._detected.add(name)
        instances = record["detection"].get("instances") if isinstance(record["detection"], dict) else None
        if not isinstance(instances, list) or not all(isinstance(each, dict) for each in instances):
            self.findings.add(number, "`detection` must have a list `instances`", repr(record["detection"])[:80])
            return
        for instance in instances:
            self.findings.records["boxes"] += 1
            self._complain(number, box_complaint(instance.get("bbox"), size, self.options.tolerance, corners=True))
            self._label(instance, number)

    def _label(self, instance: Record, number: int) -> None:
        label: Any = instance.get("label")
        category = instance.get("category")
        if not is_integer(label) or label < 0:
            self.findings.add(number, "`label` must be an integer from 0", repr(label))
        elif self._fixed and label not in self.names:
            self.findings.add(number, "`label` must be in the label map", repr(label))
        elif category is None and label not in self.names:
            self.findings.add(
                number, "an object must have a `category`, or its label a name in the label map", f"{label}"
            )
        elif category is not None and not WORDS.holds(category):
            self.findings.add(number, "`category` must be text that is not blank", repr(category)[:80])
        elif category is not None and self.names.setdefault(label, category) != category:
            detail = f"{label} is {self.names[label]!r}, here it is {category!r}"
            self.findings.add(number, "a label must stand for one category", detail)

    def _grounding(self, grounding: Any, number: int, size: tuple[int, int]) -> None:
        caption, regions = (grounding.get(k) for k in ("caption", "regions")) if isinstance(grounding, dict) else (0, 0)
        if not isinstance(caption, str) or not caption.strip() or not isinstance(regions, list):
            self.findings.add(number, "`grounding` must have a `caption` and a list `regions`", repr(grounding)[:80])
            return
        for region in regions:
            self.findings.records["regions"] += 1
            if not isinstance(region, dict) or "bbox" not in region:
                released = isinstance(region, dict) and "bboxes" in region
                remedy = ": it has `bboxes`, as the released sets; convert it with `released-odvg`" if released else ""
                self.findings.add(number, f"a region must have `bbox`{remedy}", repr(region)[:80])
                continue
            self._region(region, caption, number, size)

    def _region(self, region: Record, caption: str, number: int, size: tuple[int, int]) -> None:
        for box in region_boxes(region):
            self.findings.records["boxes"] += 1
            self._complain(number, box_complaint(box, size, self.options.tolerance, corners=True))
        spans: Any = region.get("tokens_positive")
        if not self._complain(number, check_spans(spans, caption)):
            self._complain(number, phrase_complaint(region.get("phrase"), spans, caption))


def check_refs(text: str, findings: Findings) -> None:
    """Checks each entry of a list of references."""
    seen: dict[str, set] = {"ref_id": set(), "sent_id": set()}
    try:
        for member in members(text, findings.path):
            findings.records["references"] += 1
            if isinstance(member.value, dict):
                _check_reference(member.value, seen, findings, member.offset)
            else:
                findings.add(member.offset, "the list must hold JSON objects", repr(member.value)[:80])
        if not findings.records["references"]:
            findings.add(0, "the list must hold references, but is empty")
    except AnnotationFileError as error:
        findings.add_error(error)


def _check_reference(entry: Record, seen: dict[str, set], findings: Findings, position: int) -> None:
    _check_id(entry, "ref_id", seen, findings, position)
    ids = entry.get("ann_id")
    ids = ids if isinstance(ids, list) else [ids]
    if not is_integer(entry.get("image_id")) or not ids or not all(map(is_integer, ids)):
        detail = f"image {entry.get('image_id')!r}, annotations {ids}"
        findings.add(position, "`image_id` and `ann_id` must be integers", detail)
    sentences = entry.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        findings.add(position, "a reference must have `sentences`", f"ref_id {entry.get('ref_id')!r}")
        return
    for sentence in sentences:
        findings.records["sentences"] += 1
        words = sentence.get("sent") if isinstance(sentence, dict) else None
        if not isinstance(words, str) or not words.strip():
            findings.add(position, "a sentence must have words in `sent`", repr(sentence)[:80])
        else:
            _check_id(sentence, "sent_id", seen, findings, position)


def _check_id(record: Record, name: str, seen: dict[str, set], findings: Findings, position: int) -> None:
    id = record.get(name)
    if not is_integer(id):
        findings.add(position, f"`{name}` must be an integer", repr(id))
    elif id in seen[name]:
        findings.add(position, f"`{name}` must differ", f"{id} again")
    else:
        seen[name].add(id)
