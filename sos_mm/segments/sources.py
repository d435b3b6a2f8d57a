"""Readers of segment collections: they list records and leave the pixels on disk."""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sos_mm.checks import check_folder, read_image
from sos_mm.segments.segment import Segment

SEGMENT_SUFFIXES = (".png", ".webp")


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment that is still on disk: its file and the words of `Segment`."""

    path: Path
    category: str
    sub_category: str
    phrase: str
    description: str
    attributes: tuple[str, ...]
    source_id: str

    def read(self) -> Segment:
        """Decodes it, without the transparent margin around it.

        Raises:
            FileNotFoundError: If the file is gone.
            ValueError: If it is broken, is not an 8-bit RGBA image, or shows nothing; names the file.
        """
        rgba = read_image(self.path, 4)
        words = (self.category, self.sub_category, self.phrase, self.description, self.attributes, self.source_id)
        try:
            return Segment(rgba, *words).trimmed()
        except ValueError as error:
            raise ValueError(f"The cut-out {self.path} cannot be used: {error}") from error


def read_release_layout(
    root: str | Path, metadata: str | Path, include: Collection[str] | None = None, allow_missing: bool = False
) -> list[SegmentRecord]:
    """Lists a collection laid out as the released SOS segments are.

    Images are ``<root>/<category>/<sub-category>/<id>.png`` (or ``.webp``); the metadata are a JSON object
    with ``"<category>_<sub-category>": {"description": ..., "short_phrase": ..., "features": [...]}``.

    Args:
        root: Folder of the categories.
        metadata: The JSON file.
        include: ``"<category>/<sub-category>"`` of those to list; all if None.
        allow_missing: Whether the metadata may describe sub-categories that have no file here, as after a
            download of a part of the collection.

    Returns:
        Records sorted by category, sub-category and file name; ``source_id`` is
        ``"<category>/<sub-category>/<id>"``.

    Raises:
        FileNotFoundError: If the folder or the JSON file does not exist.
        ValueError: If there are no segments, or files and metadata do not match; names what is missing.
    """
    root = check_folder(root, "The segments' `root`")
    words = _read_metadata(Path(metadata))
    wanted = None if include is None else set(include)
    records = [
        _record(path, category, sub_category, words, metadata) for category, sub_category, path in _walk(root, wanted)
    ]
    found = {f"{record.category}/{record.sub_category}" for record in records}
    if wanted is not None and wanted - found:
        raise ValueError(f"`include` names {_few(wanted - found)}, but {root} has no segments of that name.")
    if not records:
        raise ValueError(f"{root} must hold <category>/<sub-category>/<id>.png or .webp files, but there is none.")
    if wanted is None and not allow_missing:
        without = set(words) - {name.replace("/", "_", 1) for name in found}
        if without:
            raise ValueError(
                f"{metadata} describes {_few(without)}, but {root} has no such segments: get the files, or pass "
                "`allow_missing=True` to use those that are there."
            )
    return records


def _walk(root: Path, wanted: set[str] | None) -> Iterator[tuple[str, str, Path]]:
    for category in _sorted_folders(root):
        for sub_category in _sorted_folders(root / category):
            if wanted is not None and f"{category}/{sub_category}" not in wanted:
                continue
            folder = root / category / sub_category
            for name in sorted(os.listdir(folder)):
                if name.lower().endswith(SEGMENT_SUFFIXES) and not name.startswith("."):
                    yield category, sub_category, folder / name


def _sorted_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _record(path: Path, category: str, sub_category: str, words: dict, metadata: str | Path) -> SegmentRecord:
    key = f"{category}_{sub_category}"
    if key not in words:
        raise ValueError(f"{metadata} must describe every segment, but has no {key!r}, the key of {path}.")
    entry = words[key]
    features = entry.get("features", [])
    return SegmentRecord(
        path=path,
        category=category,
        sub_category=sub_category,
        phrase=entry.get("short_phrase", ""),
        description=entry.get("description", ""),
        attributes=(features,) if isinstance(features, str) else tuple(features),
        source_id=f"{category}/{sub_category}/{path.stem}",
    )


def _read_metadata(path: Path) -> dict[str, dict]:
    if not path.is_file():
        raise FileNotFoundError(f"The segments' `metadata` must be a JSON file, but {path} does not exist.")
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"The segments' `metadata` must be a JSON file, but {path} is not: {error}.") from error
    if not isinstance(words, dict) or not all(isinstance(entry, dict) for entry in words.values()):
        raise ValueError(f"{path} must hold one JSON object for each '<category>_<sub-category>', but does not.")
    return words


def _few(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
