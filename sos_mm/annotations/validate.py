"""Checks an annotation file of any kind and says what is wrong, how often, and in which line first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.validate_coco import CocoCheck, LvisCheck, MdetrCheck, PanopticCheck
from sos_mm.annotations.validate_lines import check_odvg, check_refs
from sos_mm.checks import check_choice, check_folder, check_range
from sos_mm.formats.json_reader import AnnotationFileError, is_json_lines, members, position, read_text
from sos_mm.formats.odvg import read_label_map

_LISTS = {"coco": CocoCheck, "lvis": LvisCheck, "panoptic": PanopticCheck, "mdetr": MdetrCheck}
KINDS = (*_LISTS, "odvg", "refs")


@dataclass(frozen=True)
class Options:
    """How to check.

    Attributes:
        images: Folder in which the image files must be; None not to look.
        masks: Folder of a panoptic file's PNGs, whose pixels are compared; None not to look.
        label_map: File with the names of ODVG's labels; None not to compare.
        tolerance: How far boxes and polygons may reach over their image's edge, in pixels.
        show: How many faults of each kind to keep.
    """

    images: Path | None = None
    masks: Path | None = None
    label_map: Path | None = None
    tolerance: float = 0.5
    show: int = 5

    def __post_init__(self):
        check_range("tolerance", self.tolerance, 0, 2**31)
        check_range("show", self.show, 1, 2**31)
        for name in ("images", "masks"):
            if getattr(self, name) is not None:
                check_folder(getattr(self, name), f"`{name}`")


def validate(path: str | Path, kind: str | None = None, options: Options | None = None) -> Findings:
    """Checks a file.

    Args:
        path: The file.
        kind: One of `KINDS`; found out if None. 'mdetr' is RefCOCO and gRefCOCO as mmdet reads them, and intra-class
            referring; 'refs' are the lists of RefCOCO's and gRefCOCO's authors.
        options: How to check.

    Returns:
        What was found. A file that is not JSON from some place on has that as a fault, beside what came before it:
        what may stand behind that place is not missed. In JSON lines it is a fault of the line alone.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the kind, an option or the label map is wrong.
    """
    options = options or Options()
    try:
        text = read_text(path)
    except AnnotationFileError as error:
        findings = Findings(path, kind or "unknown", int, options.show)
        findings.add_error(error)
        return findings
    kind = kind or find_kind(text)
    check_choice("kind", kind, KINDS)
    findings = Findings(path, kind, _line_of(text, kind), options.show)
    if kind == "odvg":
        names = None if options.label_map is None else read_label_map(options.label_map)
        check_odvg(text, findings, options, names)
    elif kind == "refs":
        check_refs(text, findings)
    else:
        _check_lists(text, findings, options)
    return findings


def _line_of(text: str, kind: str) -> Callable[[int], int]:
    """JSON lines have their places as lines."""
    return int if kind == "odvg" else lambda offset: position(text, offset)[0]


def find_kind(text: str) -> str:
    """Returns which of `KINDS` a file's text looks like."""
    if is_json_lines(text):
        return "odvg"
    if text.lstrip().startswith("["):
        return "refs"
    if '"segments_info"' in text:
        return "panoptic"
    if '"neg_category_ids"' in text:
        return "lvis"
    return "mdetr" if '"caption"' in text and '"bbox"' in text else "coco"


def _check_lists(text: str, findings: Findings, options: Options) -> None:
    check = _LISTS[findings.kind](findings, options)
    whole = True
    try:
        for member in members(text, findings.path):
            check.see(member)
    except AnnotationFileError as error:
        findings.add_error(error)
        whole = False
    check.end(whole)
