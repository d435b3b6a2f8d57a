"""The reader of plain folders of cut-outs."""

import os
from collections.abc import Iterator
from pathlib import Path

from sos_mm.checks import check_folder
from sos_mm.errors import ErrorCollector
from sos_mm.images import check_read, is_listed
from sos_mm.segments.readers.common import SEGMENT_SUFFIXES, keyed_record, without_duplicates
from sos_mm.segments.record import SegmentRecord


def read_folder(root: str | Path, faults: ErrorCollector | None = None) -> list[SegmentRecord]:
    """Lists RGBA files, each in the folder of its category: ``<root>/<category>/**/<name>.png`` (or ``.webp``).

    Folders below the category's folder are sub-categories; phrases are the category's name in words.

    Args:
        root: Folder of the categories.
        faults: Records duplicate ids; raises them if None.

    Returns:
        Records sorted by path; ``source_id`` is the path relative to ``root`` without its suffix.

    Raises:
        FileNotFoundError, NotADirectoryError: If there is no such folder.
        ValueError: If it holds no segments.
    """
    root = check_folder(root, "The segments' `root`")
    records = []
    with os.scandir(root) as entries:
        categories = sorted(entry.name for entry in entries if entry.is_dir() and is_listed(Path(entry.name)))
    for category in categories:
        for inside in _walk(str(root), category):
            records.append(keyed_record(os.path.join(root, inside), os.path.splitext(inside)[0], {}))
    if not records:
        raise ValueError(f"{root} must hold <category>/<name>.png or .webp files, but there is none.")
    return without_duplicates(records, faults or ErrorCollector())


def _walk(root: str, folder: str) -> Iterator[str]:
    """Yields the paths of the cut-outs below a folder, sorted part by part; symbolic links to
    folders are not followed.
    """
    with os.scandir(os.path.join(root, folder)) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        inside = f"{folder}/{name}"
        if not is_listed(Path(name)):
            continue
        if is_folder:
            yield from _walk(root, inside)
            continue
        check_read([Path(root, inside)])
        # A symbolic link to a folder is no file.
        if name.lower().endswith(SEGMENT_SUFFIXES) and not os.path.isdir(os.path.join(root, inside)):
            yield inside
