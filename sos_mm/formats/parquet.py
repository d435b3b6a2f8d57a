"""Parquet files: listing them, reading rows, and the images in their columns."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from glob import glob
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sos_mm.checks import FaultyInputError

# Few enough that the images of a batch take little memory.
_BATCH_ROWS = 64


def find_parquet_files(files: str | Path | Sequence[str | Path]) -> list[Path]:
    """Lists Parquet files.

    Args:
        files: The files, one pattern such as ``'data/*.parquet'``, or a folder.

    Raises:
        FileNotFoundError: If there are no such files.
    """
    if not isinstance(files, str | Path):
        paths = [Path(path) for path in files]
    elif Path(files).is_dir():
        paths = sorted(Path(files).rglob("*.parquet"))
    else:
        paths = [Path(files)] if Path(files).is_file() else sorted(map(Path, glob(str(files), recursive=True)))
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        where = missing[0] if missing else files
        raise FileNotFoundError(f"`files` must name Parquet files, but there is none at {where}.")
    return paths


class ParquetRows:
    """The rows of a Parquet file.

    Args:
        path: The file.

    Attributes:
        path: The file.
        schema: Its columns.

    Raises:
        ValueError: If it is not a complete Parquet file.
    """

    def __init__(self, path: Path):
        import pyarrow.parquet as pq  # Takes a tenth of a second, which other readers do without.

        self.path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path} must be a complete Parquet file, but is not ({error}): get it again.") from error
        self.schema: pa.Schema = self._file.schema_arrow

    def check_column(self, option: str, name: str) -> None:
        """Raises ValueError, which names ``option``, if there is no such column."""
        if name not in self.schema.names:
            has = ", ".join(map(repr, self.schema.names))
            raise ValueError(f"`{option}` must be a column of {self.path}, which has {has}, but got {name!r}.")

    def check_images(self, option: str, name: str) -> None:
        """Raises ValueError, which names ``option``, if there is no such column of image files."""
        self.check_column(option, name)
        kind = self.schema.field(name).type
        if not _holds_files(kind):
            text = f"`{option}` must be a column of image files (binary, or a struct with `bytes`), but "
            raise ValueError(f"{text}{name!r} of {self.path} is of type {kind}: name another column.")

    def digest(self, told: bytes = b"") -> str:
        """Hashes ``told`` and the footer, which holds the positions of all values, to twelve hexadecimal digits."""
        with self.path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(size - 8)
            # The last eight bytes are the footer's length and a magic number; the file was opened by them above.
            length = int.from_bytes(file.read(4), "little")
            file.seek(size - 8 - length)
            footer = file.read(length)
        return hashlib.sha256(told + footer).hexdigest()[:12]

    def rows(self, columns: Sequence[str], wanted: Sequence[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields rows with their values by column.

        Args:
            columns: Names of the columns.
            wanted: Numbers of the rows, ascending; all if None. Only the row groups that hold them are read.

        Raises:
            ValueError: If the file is damaged.
        """
        columns, row = sorted(set(columns)), 0
        try:
            for group, (start, stop) in enumerate(pairwise(self._starts())):
                positions = (
                    range(start, stop)
                    if wanted is None
                    else [position for position in wanted if start <= position < stop]
                )
                if not positions:
                    continue
                row = start
                for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
                    for position in (position for position in positions if row <= position < row + batch.num_rows):
                        yield position, {name: batch.column(name)[position - row].as_py() for name in columns}
                    row += batch.num_rows
                    if row > positions[-1]:
                        break
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self.path} is damaged after row {row} ({error}): get it again.") from error

    def _starts(self) -> list[int]:
        """Returns the first row of each row group, and the number of all rows."""
        facts = self._file.metadata
        sizes = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
        return [0, *np.cumsum(sizes, dtype=int).tolist()]


def _holds_files(kind: pa.DataType) -> bool:
    """Returns whether a column's type is that of files: binary, or a struct with such ``bytes``."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_files(kind.field(index).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def image_file(value: Any, name: str) -> bytes:
    """Returns the content of an image file: a value of an image column.

    Raises:
        FaultyInputError: If it holds none; ``name`` names it in the message.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content:
        path = value.get("path") if isinstance(value, dict) else None
        held = f"only the path {path!r}" if path else "nothing"
        text = f"The {name} must hold an image file, but holds {held}: embed the file or remove the row."
        raise FaultyInputError("no image", text)
    return content
