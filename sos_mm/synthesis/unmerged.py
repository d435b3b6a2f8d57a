"""Annotation files of single shards: written where a data set's files are not merged, and read to merge them later.

Each of these files is a complete one, of the images of its shard. Its records stand in lines of their own, as in a
merged file, so that they are merged without being parsed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from sos_mm.atomic import remove_if_empty
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.json_writer import readable_json
from sos_mm.formats.records import INTEGERS, OBJECT, TEXT, Field, check_record, list_of
from sos_mm.formats.shards import SHARDS, SHARDS_INDEX, shard_file
from sos_mm.synthesis.shards import read_stream, read_summary, stream_length
from sos_mm.synthesis.tables import table_parts
from sos_mm.synthesis.workspace import replace_file
from sos_mm.synthesis.writers.format import Table, Totals

# Which annotation files are merged: none, those of JSON lines (ODVG and others), or all.
MERGE = ("none", "odvg", "all")

_FILE = re.compile(rf"{SHARDS}/\w+-\d{{6,}}\.jsonl?")
_INDEX = {"shards": Field("a list of lists of integers", list_of(INTEGERS.holds)), "tables": OBJECT}
# The names are those of files that are removed when they are merged.
_NAMES = Field(f"names of files in {SHARDS}/", list_of(lambda name: bool(_FILE.fullmatch(str(name)))))
_TABLE = {"sections": Field("a list of texts", list_of(TEXT.holds)), "files": _NAMES}


def is_merged(table: Table, merge: str) -> bool:
    """Tells whether an annotation file is written as one; those without records of images always are."""
    return merge == "all" or not table.streams or table.by_shard or (merge == "odvg" and not table.sections)


def write_shard_files(out: Path, table: Table, folders: Sequence[Path], totals: Totals) -> dict[str, str]:
    """Writes an annotation file of each shard; returns their SHA-256 by path.

    Args:
        out: The data set's folder, locked by `sole_run`.
        table: The annotation file.
        folders: The folders of the complete shards.
        totals: Totals of the data set, which the header holds: it is the same in all files.
    """
    (out / SHARDS).mkdir(exist_ok=True)
    written, before = {}, Counter[str]()
    for number, folder in enumerate(folders):
        name = shard_file(table.path, number)
        parts = table_parts(table, totals, partial(read_stream, [folder]), before)
        written[name] = replace_file(out, out / name, parts)
        summary = read_summary(folder)
        before.update({section: stream_length(summary, (table.path, section)) for section in table.numbered})
    return written


def write_index(out: Path, tables: Iterable[Table], images: Sequence[int]) -> str:
    """Writes the list of these files; returns its SHA-256.

    Args:
        out: The data set's folder, locked by `sole_run`.
        tables: The annotation files that are not merged.
        images: Number of images of each shard.
    """
    ends = list(accumulate(images))
    index = {
        "shards": [[end - number, end - 1] for end, number in zip(ends, images, strict=True)],
        "tables": {
            table.path: {
                "sections": list(table.sections),
                "files": [shard_file(table.path, number) for number in range(len(images))],
            }
            for table in tables
        },
    }
    return replace_file(out, out / SHARDS_INDEX, [readable_json(index)])


def read_index(out: Path) -> dict[str, Any]:
    """Reads the list of these files.

    Returns:
        ``shards``: [first, last] index of the images of each shard. ``tables``: by path of the annotation file its
        ``sections`` and ``files``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its content is invalid.
    """
    path = out / SHARDS_INDEX
    index = read_json_object(path, "The list of annotation files in shards")
    check_record(index, _INDEX, f"The list {path}")
    for name, table in index["tables"].items():
        check_record(table, _TABLE, f"`{name}` of {path}")
        if len(table["files"]) != len(index["shards"]):
            raise ValueError(
                f"{path} must list a file of each shard, but does not for {name}: make the data set again."
            )
    return index


def lines_file(out: Path, name: str, index: int) -> Path:
    """Finds the file of JSON lines that holds an image's lines: the merged one, or that of the image's shard.

    Args:
        out: The data set's folder.
        name: Path of the merged file in it.
        index: Index of the image, from 0.
    """
    if not (out / name).exists() and (out / SHARDS_INDEX).exists():
        listed = read_index(out)
        for (first, last), file in zip(listed["shards"], listed["tables"][name]["files"], strict=True):
            if first <= index <= last:
                return out / file
    return out / name


def merged_parts(files: Sequence[Path], sections: Sequence[str]) -> Iterator[bytes]:
    """Yields the pieces of the merged annotation file, which are those of `table_parts`, byte for byte.

    Args:
        files: The files of all shards.
        sections: Sections of the annotation file; empty for JSON lines.
    """
    if not sections:
        for file in files:
            with open(file, "rb") as lines:
                yield from lines
        return
    yield from _header(files[0], sections[0])
    for position, section in enumerate(sections):
        yield (b",\n" if position else b"") + _opening(section)
        separator = b"\n"
        for file in files:
            for record in _section(file, section):
                yield separator + record
                separator = b",\n"
        yield b"]"
    yield b"\n}\n"


def _opening(section: str) -> bytes:
    return b'"%s":[' % section.encode()


def _header(file: Path, section: str) -> Iterator[bytes]:
    """Yields the lines before a section."""
    with open(file, "rb") as lines:
        for line in lines:
            if line.startswith(_opening(section)):
                return
            yield line


def _section(file: Path, section: str) -> Iterator[bytes]:
    """Yields the records of a section, each of which is a JSON object in a line."""
    with open(file, "rb") as lines:
        inside = False
        for line in lines:
            if inside:
                record = line.rstrip(b"\n").removesuffix(b",")
                yield record.removesuffix(b"]")
                if record.endswith(b"]"):
                    return
            else:
                # An empty list ends in the line in which it begins.
                inside = line == _opening(section) + b"\n"


def remove_shard_files(out: Path, tables: Iterable[str]) -> None:
    """Removes the files of single shards of some annotation files, and then their list.

    Args:
        out: The data set's folder.
        tables: Paths of the annotation files.
    """
    if not (out / SHARDS).is_dir():
        return
    paths = [Path(name) for name in tables]
    own = re.compile("|".join(rf"{re.escape(path.stem)}-\d{{6,}}{re.escape(path.suffix)}" for path in paths))
    for path in (out / SHARDS).iterdir():
        if own.fullmatch(path.name):
            path.unlink(missing_ok=True)
    (out / SHARDS_INDEX).unlink(missing_ok=True)
    remove_if_empty(out / SHARDS)
