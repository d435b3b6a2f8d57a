"""Finding banks of segments among the files of a data set: their folder, and the file that describes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.phrases import category_key
from sos_mm.segments.readers.common import SEGMENT_SUFFIXES


class BankFinder:
    """Collects the paths of a data set's files, and tells the banks among them.

    Segments have paths ``<root>/<category>/<sub-category>/<id>.png`` (or ``.webp``), in archives or as files of their
    own; the metadata are a JSON object with keys ``<category>_<sub-category>``.

    Args:
        out: The folder of the data set.
        files: Paths, relative to it, of its files outside archives.
        partial: Whether only some of the segments are there.

    Attributes:
        categories: Keys of the categories of the segments that were chosen.
        categories_there: Names of all categories that were seen.
    """

    def __init__(self, out: Path, files: Iterable[str], partial: bool):
        self._out, self._partial = out, partial
        self.categories: set[str] = set()
        self.categories_there: set[str] = set()
        self._keys: dict[str, set[str]] = {}
        files = list(files)
        self._tables = [path for path in files if path.endswith(".parquet")]
        self._metadata = [path for path in files if path.endswith(".json")]
        for path in files:
            self.see(path, None)

    def see(self, path: str, wanted: Mapping[str, str] | None) -> bool:
        """Takes note of a file; returns whether it is to be unpacked.

        Args:
            path: Its path in the data set.
            wanted: Keys of the wanted categories; all if None. Files that are no segments are always wanted.
        """
        parts = PurePosixPath(path).parts
        if not is_segment(path):
            if path.endswith(".json") and path not in self._metadata:
                self._metadata.append(path)
            return True
        if len(parts) < 3:
            return wanted is None
        category, sub_category = parts[-3:-1]
        self.categories_there.add(category)
        if wanted is not None and category_key(category) not in wanted:
            return False
        self.categories.add(category_key(category))
        self._keys.setdefault("/".join(parts[:-3]), set()).add(f"{category}_{sub_category}")
        return True

    def banks(self, categories: list[str] | None) -> list[dict[str, Any]]:
        """Returns the banks in the files that are there, as `build_bank` takes them.

        Args:
            categories: The wanted categories, which a bank of a table gets as its vocabulary; None for all.
        """
        found: list[dict[str, Any]] = []
        folders = sorted({str((self._out / path).parent) for path in self._tables})
        for folder in folders:
            found.append(
                {"type": "parquet", "files": f"{folder}/*.parquet"} | ({"vocabulary": categories} if categories else {})
            )
        for root, keys in sorted(self._keys.items()):
            metadata = next((path for path in self._metadata if self._describes(path, keys)), None)
            if metadata is not None:
                bank = {"type": "release", "root": str(self._out / root), "metadata": str(self._out / metadata)}
                found.append(bank | ({"allow_missing": True} if self._partial else {}))
        return found

    def _describes(self, path: str, keys: set[str]) -> bool:
        """Returns whether a JSON file is the metadata of segments."""
        try:
            words = read_json_object(self._out / path, "The metadata")
        except ValueError:
            return False
        return any(isinstance(words.get(key), dict) for key in keys)


def is_segment(path: str) -> bool:
    """Returns whether a file of a data set is named as a segment."""
    return PurePosixPath(path).suffix.lower() in SEGMENT_SUFFIXES
