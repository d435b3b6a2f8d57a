"""Reads a data set of any known kind and finds its image files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sos_mm.browse.coco_files import read_coco
from sos_mm.browse.dataset import DataSet
from sos_mm.browse.expressions import EXPRESSIONS, with_expressions
from sos_mm.browse.line_files import line_kind, read_lines, with_sidecar
from sos_mm.browse.saliency_folders import find_pair, read_saliency
from sos_mm.checks import check_folder
from sos_mm.errors import ErrorCollector
from sos_mm.formats.coco import is_coco
from sos_mm.formats.composed import is_unfinished
from sos_mm.formats.folders import annotation_file, find_image, image_folder
from sos_mm.formats.json_reader import AnnotationFileError, read_json_or_lines
from sos_mm.formats.objects import OBJECTS_FILE
from sos_mm.formats.shards import check_merged, hint_of_missing

# Annotation files of composed data sets; the first one that exists is shown.
_COMPOSED = (
    "instances.json", "lvis_v1.json", "panoptic.json", OBJECTS_FILE, "odvg_grounding.jsonl", "odvg_detection.jsonl",
)  # fmt: skip
_KNOWN = (
    "COCO or LVIS instances, COCO panoptic, ODVG lines, the sidecar of a composed data set, or folders of images "
    "and masks"
)


def read_dataset(
    data: str | Path,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    *,
    expressions: str | Path | None = None,
    broken: str = "error",
    progress: bool = False,
) -> DataSet:
    """Reads a data set.

    Args:
        data: Its folder or annotation file.
        images: Folder of its images; searched for beside the annotations if None.
        masks: Folder of saliency masks, if it is not found from ``data``.
        expressions: File of referring expressions, ours or in MDETR's style; if None, that of a composed data set.
        broken: 'error' raises the first error; 'skip' leaves invalid entries out and records their errors.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError: If there is no such file or folder, or images are missing.
        ValueError: If it is of no known kind, or invalid; names the file.
    """
    faults = ErrorCollector(broken)
    data_set = _read(Path(data), images, masks, faults, progress)
    file = data_set.source.parent / EXPRESSIONS if expressions is None else Path(expressions)
    if expressions is not None or (file.is_file() and data_set.source.name in _COMPOSED):
        data_set = with_expressions(data_set, file, faults)
    data_set = _with_images(data_set, None if images is None else Path(images), faults)
    return replace(data_set, faults=tuple(faults.texts))


def read_annotations(path: str | Path) -> DataSet:
    """Reads an annotation file alone, without searching for image files.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of no known kind, or invalid; names the file.
    """
    return _read_file(Path(path), ErrorCollector())


def _read(data: Path, images: Any, masks: Any, faults: ErrorCollector, progress: bool) -> DataSet:
    if not data.exists():
        raise FileNotFoundError(f"`data` must be a data set, but {data} does not exist{hint_of_missing(data) or '.'}")
    if is_unfinished(data):
        raise ValueError(f"{data} is an unfinished data set: run its command again, which resumes it.")
    if masks is not None:
        return read_saliency(Path(images or data), Path(masks), faults, progress)
    if data.is_file():
        return _read_file(data, faults)
    file = annotation_file(data, _COMPOSED)
    if file is not None:
        return _read_file(file, faults)
    check_merged(data)
    pair = find_pair(data)
    if pair is None:
        children = ", ".join(sorted(child.name for child in data.iterdir())[:8]) or "nothing"
        raise ValueError(f"{data} must be a data set ({_KNOWN}), but holds {children}: name its annotation file.")
    return read_saliency(*pair, faults, progress)


def _read_file(path: Path, faults: ErrorCollector) -> DataSet:
    if not path.is_file():
        raise FileNotFoundError(f"The annotations must be a file, but {path} is none.")
    content = _json(path)
    data_set = read_coco(path, content, faults) if is_coco(content) else _read_lines(path, content, faults)
    sidecar = path.parent / OBJECTS_FILE
    if path.name in _COMPOSED[:3] and sidecar.is_file():
        return with_sidecar(data_set, _read_lines(sidecar, _json(sidecar), faults))
    return data_set


def _read_lines(path: Path, content: Any, faults: ErrorCollector) -> DataSet:
    if isinstance(content, list) and content and line_kind(content[0]):
        return read_lines(path, content, faults)
    found = "does not" if content else "holds nothing"
    raise ValueError(f"{path} must hold annotations of a known kind ({_KNOWN}), but {found}.")


def _json(path: Path) -> Any:
    """Reads a JSON file; returns a list if it holds JSON lines."""
    try:
        content = read_json_or_lines(path)
    except AnnotationFileError as error:
        where = f"line {error.line}, column {error.column}: {error.what}"
        raise ValueError(f"{path} must be a JSON file, but is not: {where}. Give another file.") from error
    return [content] if line_kind(content) and not is_coco(content) else content


def _with_images(data_set: DataSet, images: Path | None, faults: ErrorCollector) -> DataSet:
    found = data_set.images
    if data_set.source.is_file():
        choices = (image.choices for image in found)
        folder = check_folder(images, "The folder of images") if images else image_folder(data_set.source, choices)
        found = tuple(replace(image, path=find_image(folder, image.choices)) for image in found)
    missing = tuple(image.file_name for image in found if image.path is None)
    if missing and faults.broken == "error":
        raise FileNotFoundError(
            f"{len(missing)} of {len(found)} images of {data_set.source} are missing, {missing[0]} first: give the "
            "right folder of images, or skip what is broken."
        )
    return replace(data_set, images=found, missing=missing)
