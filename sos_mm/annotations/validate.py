"""Validates an annotation file of any kind; reports what is wrong, how often, and in which line first."""

import re
from collections.abc import Callable
from pathlib import Path

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.options import Options
from sos_mm.annotations.validate_coco import CocoCheck
from sos_mm.annotations.validate_lines import check_odvg, check_refs
from sos_mm.annotations.validate_lvis import LvisCheck
from sos_mm.annotations.validate_mdetr import MdetrCheck
from sos_mm.annotations.validate_panoptic import PanopticCheck
from sos_mm.checks import check_choice
from sos_mm.formats.json_reader import AnnotationFileError, is_json_lines, members, position, read_text
from sos_mm.formats.odvg import read_label_map

_LISTS = {"coco": CocoCheck, "lvis": LvisCheck, "panoptic": PanopticCheck, "mdetr": MdetrCheck}
KINDS = (*_LISTS, "odvg", "refs")
# The beginnings of files that accompany annotations, each with what the file is and what checks it.
_COMPANIONS = (
    (
        re.compile(r'\s*\{"index":\d+,"seed":\d+,"file_name":'),
        "describes the objects of a composed data set, which is not validated: `sha256sum -c checksums.sha256` in the "
        "data set's folder compares it with what was written",
    ),
    (
        re.compile(r'\s*\{\s*"\d+"\s*:\s*"'),
        "must be an annotation file, but names the labels of one: give it as `--label-map` beside an ODVG file",
    ),
)


def validate(path: str | Path, kind: str | None = None, options: Options | None = None) -> Findings:
    """Validates an annotation file.

    Args:
        path: The file.
        kind: One of `KINDS`; detected if None. 'mdetr' is RefCOCO and gRefCOCO as mmdet reads them, and intra-class
            referring; 'refs' are the lists of RefCOCO's and gRefCOCO's authors.
        options: The options.

    Returns:
        The findings. A JSON syntax error is a fault beside those found before it; records that may follow it are not
        reported as missing. In JSON lines it is a fault of its line only.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the kind, an option or the label map is wrong, or the kind is not given and the file is one that
            accompanies annotations.
    """
    options = options or Options()
    try:
        text = read_text(path)
    except AnnotationFileError as error:
        findings = Findings(path, kind or "unknown", int, options.show)
        findings.add_error(error)
        return findings
    if kind is None:
        _refuse_companions(text, path)
        kind = find_kind(text)
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


def _refuse_companions(text: str, path: str | Path) -> None:
    """Raises ValueError, with the remedy, for files beside annotations that would be taken for faulty ones."""
    for pattern, remedy in _COMPANIONS:
        if pattern.match(text):
            raise ValueError(f"{path} {remedy}.")


def _line_of(text: str, kind: str) -> Callable[[int], int]:
    """Returns the function from a position to its line; in JSON lines positions are line numbers."""
    return int if kind == "odvg" else lambda offset: position(text, offset)[0]


def find_kind(text: str) -> str:
    """Detects which of `KINDS` the text of a file is."""
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
    complete = True
    try:
        for member in members(text, findings.path):
            check.see(member)
    except AnnotationFileError as error:
        findings.add_error(error)
        complete = False
    check.end(complete)
