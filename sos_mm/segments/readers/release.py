"""The reader of the layout of the released SOS segments; pixels stay on disk."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sos_mm.checks import FaultyInputError, check_boolean, check_folder, check_names, few
from sos_mm.errors import ErrorCollector
from sos_mm.formats.json_reader import read_json_object
from sos_mm.images import check_read, is_listed
from sos_mm.segments.quality import ANNOTATED
from sos_mm.segments.readers.common import SEGMENT_SUFFIXES, read_words, without_duplicates
from sos_mm.segments.record import SegmentRecord


def read_release_layout(
    root: str | Path,
    metadata: str | Path,
    include: Collection[str] | None = None,
    allow_missing: bool = False,
    filter_annotations: str | Path | None = None,
    faults: ErrorCollector | None = None,
) -> list[SegmentRecord]:
    """Lists a collection in the layout of the released SOS segments.

    Images are ``<root>/<category>/<sub-category>/<id>.png`` (or ``.webp``); the metadata are a JSON object
    with ``"<category>_<sub-category>": {"description": ..., "short_phrase": ..., "features": [...]}``.

    Args:
        root: Folder of the categories.
        metadata: The JSON file.
        include: ``"<category>/<sub-category>"`` names to list; all if None.
        allow_missing: Whether the metadata may describe sub-categories without files, as after a partial download
            of the collection.
        filter_annotations: A JSON file with ``{"IsInstance": bool, "Integrity": bool,
            "QualityAndRegularity": bool}`` for each segment, under its ``source_id`` or the same with
            underscores instead of slashes.
        faults: Records files without metadata and duplicate ids; raises them if None.

    Returns:
        Records sorted by category, sub-category and file name; ``source_id`` is
        ``"<category>/<sub-category>/<id>"``.

    Raises:
        FileNotFoundError: If the folder or the JSON file does not exist.
        ValueError: If there are no segments, or files and metadata do not match; names what is missing.
    """
    check_boolean("allow_missing", allow_missing)
    if include is not None:
        check_names("include", include)
    root, faults = check_folder(root, "The segments' `root`"), faults or ErrorCollector()
    words = _read_metadata(Path(metadata))
    wanted = None if include is None else set(include)
    records = []
    for category, sub_category, path in _walk(root, wanted):
        try:
            records.append(_record(path, category, sub_category, words, metadata))
        except ValueError as error:
            faults.record(error)
    records = without_duplicates(records, faults)
    if filter_annotations is not None:
        answers = read_json_object(filter_annotations, "The segments' `filter_annotations`")
        records = [replace(record, flags=_flags(record, answers, filter_annotations)) for record in records]
    found = {f"{record.category}/{record.sub_category}" for record in records}
    if wanted is not None and wanted - found:
        raise ValueError(f"`include` names {few(wanted - found)}, but {root} has no segments of that name.")
    if not records:
        raise ValueError(f"{root} must hold <category>/<sub-category>/<id>.png or .webp files, but there is none.")
    if wanted is None and not allow_missing:
        without = set(words) - {name.replace("/", "_", 1) for name in found}
        if without:
            raise ValueError(
                f"{metadata} describes {few(without)}, but {root} has no such segments: get the files, or pass "
                "`allow_missing=True` to use those that are there."
            )
    return records


def _walk(root: Path, wanted: set[str] | None) -> Iterator[tuple[str, str, str]]:
    for category in _sorted_folders(root):
        for sub_category in _sorted_folders(root / category):
            if wanted is not None and f"{category}/{sub_category}" not in wanted:
                continue
            folder = os.path.join(root, category, sub_category)
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if is_listed(Path(entry.name)) and not entry.is_dir())
            check_read(Path(folder, name) for name in names)
            for name in names:
                if name.lower().endswith(SEGMENT_SUFFIXES):
                    yield category, sub_category, os.path.join(folder, name)


def _sorted_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and is_listed(Path(entry.name)))


def _record(path: str, category: str, sub_category: str, words: dict, metadata: str | Path) -> SegmentRecord:
    key = f"{category}_{sub_category}"
    if key not in words:
        text = f"{metadata} must describe every segment, but has no {key!r}, the key of {path}: add it."
        raise FaultyInputError("no metadata", text)
    phrase, description, attributes = read_words(words[key], f"{key!r} in {metadata}")
    return SegmentRecord(
        file=path,
        category=category,
        sub_category=sub_category,
        phrase=phrase,
        description=description,
        attributes=attributes,
        source_id=f"{category}/{sub_category}/{os.path.splitext(os.path.basename(path))[0]}",
    )


def _read_metadata(path: Path) -> dict[str, dict]:
    words = read_json_object(path, "The segments' `metadata`")
    if not all(isinstance(entry, dict) for entry in words.values()):
        raise ValueError(f"{path} must hold one JSON object for each '<category>_<sub-category>', but does not.")
    return words


def _flags(record: SegmentRecord, answers: Mapping[str, Any], path: str | Path) -> tuple[bool, bool, bool] | None:
    key = record.source_id if record.source_id in answers else record.source_id.replace("/", "_")
    entry = answers.get(key)
    if entry is None:
        return None
    said: Any = tuple(entry.get(name) for name in ANNOTATED) if isinstance(entry, dict) else ()
    if not said or not all(isinstance(each, bool) for each in said):
        raise ValueError(f"{path} must say true or false to {', '.join(ANNOTATED)} of {key!r}, but holds {entry!r}.")
    return said
