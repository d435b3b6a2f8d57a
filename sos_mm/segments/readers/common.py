"""Functions shared by the readers of cut-outs: file suffixes, texts, and unique ids."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.checks import FaultyInputError
from sos_mm.errors import ErrorCollector
from sos_mm.segments.record import SegmentRecord

SEGMENT_SUFFIXES = (".png", ".webp")


def read_words(entry: Mapping[str, Any], name: str) -> tuple[str, str, tuple[str, ...]]:
    """Reads ``short_phrase``, ``description`` and ``features`` of a JSON object; missing ones are empty.

    Raises:
        FaultyInputError: If one has another type; names it and, by ``name``, the object.
    """
    features = entry.get("features", [])
    features = [features] if isinstance(features, str) else features
    for key in ("category", "sub_category", "short_phrase", "description"):
        if not isinstance(entry.get(key, ""), str):
            text = f"`{key}` of {name} must be text, but got {entry[key]!r}: correct it."
            raise FaultyInputError("faulty metadata", text)
    if not isinstance(features, list) or not all(isinstance(word, str) for word in features):
        text = f"`features` of {name} must be a list of words, but got {features!r}: correct it."
        raise FaultyInputError("faulty metadata", text)
    return entry.get("short_phrase", ""), entry.get("description", ""), tuple(features)


def without_duplicates(records: Iterable[SegmentRecord], faults: ErrorCollector) -> list[SegmentRecord]:
    """Drops records whose ``source_id`` is not unique or not valid Unicode, and records an error for each."""
    kept: dict[str, SegmentRecord] = {}
    for record in records:
        if not _is_text(record.source_id):
            text = f"The name {record.file!a} must be UTF-8, but is not: rename it."
            faults.record(FaultyInputError("name that is not UTF-8", text))
            continue
        first = kept.setdefault(record.source_id, record)
        if first is not record:
            faults.record(
                FaultyInputError(
                    "id that is there twice",
                    f"Each segment must have an id of its own, but {record.source_id!r} is that of both {first.file} "
                    f"and {record.file}: rename or remove one.",
                )
            )
    return list(kept.values())


def _is_text(name: str) -> bool:
    # Python represents bytes of file names that are not UTF-8 as lone surrogates.
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def keyed_record(path: str | Path, key: str, words: dict[str, Any], offset: int = 0, length: int = 0) -> SegmentRecord:
    """Builds the record of a cut-out whose name, ``<category>/**/<name>``, is its id; raises FaultyInputError."""
    folders = PurePosixPath(key).parent.parts
    if ".." in folders or PurePosixPath(key).is_absolute():
        text = f"The name {key!r} in {path} must stay below its folder, but leads out of it: rename it."
        raise FaultyInputError("name leads out of its folder", text)
    phrase, description, attributes = read_words(words, f"{key}.json in {path}")
    category = words.get("category") or (folders[0] if folders else "")
    if not category:
        text = f"The category of {key!r} in {path} must be known: put it in {key}.json or in a folder."
        raise FaultyInputError("no category", text)
    return SegmentRecord(
        file=str(path),
        category=category,
        sub_category=words.get("sub_category") or "_".join(folders[1:]),
        phrase=phrase or category.replace("_", " "),
        description=description,
        attributes=attributes,
        source_id=key,
        offset=offset,
        length=length,
    )
