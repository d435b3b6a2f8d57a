"""The reader of Parquet files with an image column, the form of most image data sets on the Hugging Face hub."""

import ast
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from sos_mm.atomic import atomic_path
from sos_mm.checks import FaultyInputError, writable_folder
from sos_mm.errors import ErrorCollector
from sos_mm.formats.parquet import ParquetRows, find_parquet_files, image_file
from sos_mm.images import decode_image
from sos_mm.segments.readers.tar import read_tar
from sos_mm.segments.record import SegmentRecord
from sos_mm.space import check_space

# Raised when the content of the shards changes for the same rows, so that old shards are not taken.
_VERSION = 1
_FAULTS = "faults.json"
_PNG, _WEBP = b"\x89PNG", b"RIFF"
# Colour types of PNG files that have an alpha channel of their own, or a palette that may have one.
_PNG_ALPHA = (3, 4, 6)


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a Parquet file; see `read_parquet`."""

    image: str
    mask: str | None
    category: str
    sub_category: str | None
    short_phrase: str | None
    description: str | None
    features: str | None


def read_parquet(
    files: str | Path | Sequence[str | Path],
    image: str = "image_path",
    mask: str | None = None,
    category: str = "category",
    sub_category: str | None = None,
    phrase: str | None = None,
    description: str | None = None,
    features: str | None = None,
    cutouts: str | Path | None = None,
    faults: ErrorCollector | None = None,
) -> list[SegmentRecord]:
    """Lists the images in Parquet files as segments; the defaults are the columns of the released small set.

    Rows of a Parquet file cannot be read one by one, so its cut-outs are copied once to a tar shard beside it,
    ``<name>.<digits>.tar``, which `read_tar` reads too; it takes about as much disk as the file. The digits depend on
    the file's footer and on the columns, so that a changed file gets a new shard.

    Args:
        files: Parquet files, one pattern such as ``'data/*.parquet'``, or a folder of them.
        image: Column of the images: PNG or WebP files with alpha, as binary values or as structs with ``bytes``; with
            a ``mask`` any kind of image file.
        mask: Column of the masks, images of the same size: grey levels become alpha, and a mask of 0 and 1 alone is
            read as 0 and 255. None if the images have alpha.
        category: Column of the categories: texts, or numbers whose names are in the file (the hub's ``ClassLabel``).
        sub_category: Column of the finer categories; None for ``sub_category`` if there is such a column.
        phrase: Column of the short noun phrases; None for ``short_phrase`` if there is such a column.
        description: Column of the sentences; None for ``description`` if there is such a column.
        features: Column of the attributes, lists of words or texts such as ``'red, round'`` or ``'["red", "round"]'``;
            None for ``features`` if there is such a column.
        cutouts: Folder of the tar shards; beside the files if None.
        faults: Records rows that cannot be used, with file and row; raises the first if None.

    Returns:
        Records in the order of the files; ``source_id`` is ``"<name of the file>/<row>"``.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file is not a Parquet file or lacks a column, or no row can be used.
        OSError: If the folder of the shards cannot be written, or its disk has too little space.
    """
    paths, faults = find_parquet_files(files), faults or ErrorCollector()
    shards = []
    for path in paths:
        source = _Source(path, image, mask, category, (sub_category, phrase, description, features))
        shard = Path(cutouts or path.parent) / f"{path.stem}.{source.digest}.tar"
        if shard.is_file():
            for reason, text in _recorded(shard):
                faults.record(FaultyInputError(reason, text))
        else:
            writable_folder(shard.parent, "The folder of the cut-outs (`cutouts`)")
            check_space({shard.parent: path.stat().st_size}, f"Copying the cut-outs of {path}")
            _write_shard(shard, source, faults)
        shards.append(shard)
    try:
        return read_tar(shards, faults)
    except ValueError as error:
        if len(faults.texts) < 1 or "there is none" not in str(error):
            raise
        raise ValueError(f"{files} must hold rows that can be used, but there is none: {faults.texts[0]}") from error


class _Source:
    """A Parquet file with checked columns.

    Args:
        path: The file.
        image, mask, category: Names of its columns.
        texts: Names of the columns of texts, in the order of `Columns`; None for the default if it exists.

    Attributes:
        digest: Twelve hexadecimal digits of the file's footer, its size, and the columns.

    Raises:
        ValueError: If it is not a Parquet file or lacks a column.
    """

    def __init__(self, path: Path, image: str, mask: str | None, category: str, texts: tuple[str | None, ...]):
        self.path, self._rows = path, ParquetRows(path)
        schema = self._rows.schema
        self.columns = Columns(image, mask, category, *self._texts(schema, texts))
        for option, name in asdict(self.columns).items():
            if name is not None:
                self._rows.check_column("phrase" if option == "short_phrase" else option, name)
        for option, name in (("image", image), ("mask", mask)):
            if name is not None:
                self._rows.check_images(option, name)
        self._names = _class_names(schema, category)
        self.digest = self._rows.digest(json.dumps([_VERSION, path.stat().st_size, asdict(self.columns)]).encode())

    @staticmethod
    def _texts(schema: pa.Schema, names: tuple[str | None, ...]) -> list[str | None]:
        defaults = ("sub_category", "short_phrase", "description", "features")
        there = set(schema.names)
        return [name or (default if default in there else None) for name, default in zip(names, defaults, strict=True)]

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields each row with its values by the names of `Columns`.

        Raises:
            ValueError: If the file is damaged.
        """
        names = {option: name for option, name in asdict(self.columns).items() if name is not None}
        for row, values in self._rows.rows(list(names.values())):
            yield row, {option: values[name] for option, name in names.items()}

    def words(self, row: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the texts of a row as `read_words` takes them.

        Raises:
            FaultyInputError: If it has no category, or a text of another type.
        """
        category = values["category"]
        if isinstance(category, int) and self._names is not None and 0 <= category < len(self._names):
            category = self._names[category]
        if not isinstance(category, str) or not category:
            text = f"The category of row {row} of {self.path} must be a text, but got {category!r}: "
            raise FaultyInputError("no category", f"{text}name its column by `category`.")
        words: dict[str, Any] = {"category": category}
        for option in ("sub_category", "short_phrase", "description"):
            if values.get(option) is not None:
                words[option] = values[option]
        if values.get("features") is not None:
            words["features"] = _attributes(values["features"], f"row {row} of {self.path}")
        return words


def _class_names(schema: pa.Schema, category: str) -> list[str] | None:
    """Returns the names of a column of class numbers, which the hub's library stores with the schema, or None."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"][category]
        names = described["names"] if described.get("_type") == "ClassLabel" else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _attributes(value: Any, name: str) -> list[str]:
    """Parses attributes: a list of words, or a text that holds or separates them."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _parsed_list(value)
    if isinstance(value, str):
        value = re.split(r"[,;\n]", value)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        text = f"`features` of {name} must be words, but got {value!r:.100}: correct it, or name another column."
        raise FaultyInputError("faulty metadata", text)
    return [word.strip() for word in value if word.strip()]


def _parsed_list(text: str) -> Any:
    """Parses a list in JSON or in Python's notation; returns the text if it is neither."""
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _write_shard(path: Path, source: _Source, faults: ErrorCollector) -> None:
    """Writes the cut-outs and texts of a file as a tar shard, and what was wrong with the rows left out."""
    left_out = []
    with atomic_path(path) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as shard:
        for row, values in source.rows():
            key = f"{source.path.stem}/{row:06d}"
            try:
                words = source.words(row, values)
                cutout = _cut_out(values, source, row)
            except FaultyInputError as error:
                faults.record(error)
                left_out.append([error.reason, str(error)])
                continue
            _add(shard, key + (".png" if cutout.startswith(_PNG) else ".webp"), cutout)
            _add(shard, f"{key}.json", json.dumps(words).encode())
        _add(shard, _FAULTS, json.dumps(left_out).encode())


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def _recorded(shard: Path) -> list[tuple[str, str]]:
    """Reads what was wrong with the rows that are not in a shard."""
    try:
        with tarfile.open(shard, "r:") as file:
            content = file.extractfile(_FAULTS)
            return [] if content is None else json.load(content)
    except (KeyError, ValueError, tarfile.TarError) as error:
        raise ValueError(f"The shard {shard} is damaged ({error}): remove it, and it is made anew.") from error


def _cut_out(values: Mapping[str, Any], source: _Source, row: int) -> bytes:
    """Returns the RGBA file of a row; that in the image column itself if there are no masks."""
    columns = source.columns
    image = image_file(values["image"], f"column {columns.image!r} of row {row} of {source.path}")
    where = f"in row {row} of {source.path}"
    if columns.mask is not None:
        mask = image_file(values["mask"], f"column {columns.mask!r} of row {row} of {source.path}")
        return _masked(image, mask, where)
    if _lacks_alpha(image):
        text = (
            f"The image {where} must be a PNG or WebP file with an alpha channel, but has none: name the column of its "
            "mask by `mask`, or cut the object out first."
        )
        raise FaultyInputError("no alpha channel", text)
    return image


def _lacks_alpha(encoded: bytes) -> bool:
    """Returns whether a file surely has no alpha that can be read; reads its first bytes only."""
    if encoded.startswith(_PNG):
        return len(encoded) > 25 and encoded[25] not in _PNG_ALPHA
    return not encoded.startswith(_WEBP)


def _masked(image: bytes, mask: bytes, where: str) -> bytes:
    """Encodes an image with its mask as alpha."""
    colors = decode_image(np.frombuffer(image, np.uint8), f"image {where}", 3)
    alpha = decode_image(np.frombuffer(mask, np.uint8), f"mask {where}", 1)
    if alpha.shape != colors.shape[:2]:
        sizes = " and ".join(f"{width}x{height}" for height, width in (colors.shape[:2], alpha.shape))
        text = f"The image and the mask {where} must have the same size, but are {sizes}: correct or remove the row."
        raise FaultyInputError("mask of another size", text)
    if alpha.max() == 1:
        alpha = alpha * 255
    bgra = np.dstack([cv2.cvtColor(colors, cv2.COLOR_RGB2BGR), alpha])
    return cv2.imencode(".png", bgra, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
