"""Images that show one subject in two scenes side by side, as in Subjects200K, as a source of objects to cut out."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.checks import FaultyInputError, check_integer, check_text
from sos_mm.formats.parquet import ParquetRows, find_parquet_files, image_file
from sos_mm.formats.phrases import category_key, category_phrase, clean_phrase
from sos_mm.generation.filters import UNREADABLE
from sos_mm.generation.prompts import DrawingPrompt, with_article
from sos_mm.generation.source_images import SourceImage
from sos_mm.images import decode_image

_IMAGE, _WORDS, _QUALITY = "image", "description", "quality_assessment"
# What follows the head of a noun phrase: "bowl of soup", "chair with arms".
_AFTER_HEAD = re.compile(r"\b(?:with|of|for|in|on|from|by)\b")
# By how much of its shorter side a row of square images may be longer or shorter than their number.
_TOLERANCE = 0.25


@dataclass(frozen=True)
class SubjectPairs:
    """Parquet files of images that are rows or columns of square panels of one subject, with a description.

    The columns are those of Subjects200K: ``image``; ``description``, a struct or JSON text with ``item``,
    ``category``, ``description_0``, ``description_1`` and ``description_valid``; and ``quality_assessment``, a struct
    of integers from 0 to 5.

    Attributes:
        files: Parquet files, one pattern such as ``'data/*.parquet'``, or a folder of them.
        licence: The licence of the images, for the provenance.
        pictures: Number of panels in each image.
        padding: Pixels that are cut off at each side of each panel: the frame around the panels of Subjects200K is
            at most 16 pixels wide.
        least_quality: Least value of all of a row's ``quality_assessment``; rows without one are then left out. None
            for any.

    Raises:
        ValueError: If a value is invalid.
    """

    files: str | Path | Sequence[str | Path]
    licence: str = ""
    pictures: int = 2
    padding: int = 16
    least_quality: int | None = None

    def __post_init__(self):
        check_integer("pairs.pictures", self.pictures, 2, 16)
        check_integer("pairs.padding", self.padding, 0, 2**15)
        if self.least_quality is not None:
            check_integer("pairs.least_quality", self.least_quality, 0, 5)
        check_text("pairs.licence", self.licence)


@dataclass(frozen=True)
class Panel:
    """A panel in a file, with the words of its object.

    Attributes:
        path: The file.
        row: Row of its image.
        part: Which panel of the image, from 0: the left or upper one.
        prompt: The texts: as ``text`` the description of the scene.
    """

    path: Path
    row: int
    part: int
    prompt: DrawingPrompt

    @property
    def source(self) -> str:
        """Name of the panel, ``<name of the file>/<row>/<part>``."""
        return f"{self.path.stem}/{self.row:06d}/{self.part}"


def list_panels(pairs: SubjectPairs, categories: Sequence[str] | None) -> tuple[list[Panel], Counter[str]]:
    """Lists the panels of objects of some categories, from the texts alone.

    Args:
        pairs: The files.
        categories: The categories; None for those of the files, such as "Furniture".

    Returns:
        The panels, in the order of the files; and the numbers of rows that are left out, by reason.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file is damaged or lacks a column.
    """
    found, left_out = [], Counter[str]()
    keys = None if categories is None else {_comparable(category_phrase(name)): name for name in categories}
    for path in find_parquet_files(pairs.files):
        for row, values in _open(path, pairs).rows(_columns(pairs)):
            words = _words(values[_WORDS])
            category, reason = _category(words, keys) if words else (None, "no description")
            reason = reason or ("low quality" if _is_poor(values.get(_QUALITY), pairs.least_quality) else None)
            if category is None or reason is not None:
                left_out[str(reason)] += 1
                continue
            for part in range(pairs.pictures):
                found.append(Panel(path, row, part, _prompt(category, words, part)))
    return found, left_out


def _columns(pairs: SubjectPairs) -> list[str]:
    return [_WORDS] if pairs.least_quality is None else [_WORDS, _QUALITY]


def _open(path: Path, pairs: SubjectPairs) -> ParquetRows:
    opened = ParquetRows(path)
    opened.check_images("image of pairs.files", _IMAGE)
    for name in _columns(pairs):
        opened.check_column(f"{name} of pairs.files", name)
    return opened


def _words(value: Any) -> Mapping[str, Any]:
    """Returns the description of a row if it names an item and is not marked as invalid; else an empty dict."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(value, Mapping) or value.get("description_valid") is False:
        return {}
    item = value.get("item")
    return value if isinstance(item, str) and category_key(_without_article(item)) else {}


def _is_poor(quality: Any, least: int | None) -> bool:
    if least is None:
        return False
    values = list(quality.values()) if isinstance(quality, Mapping) else []
    return not values or not all(isinstance(value, int) and value >= least for value in values)


def _category(words: Mapping[str, Any], keys: Mapping[str, str] | None) -> tuple[str | None, str | None]:
    """Returns the category of an item, or None and the reason: the longest one with which its name or its head ends.

    >>> _category({"item": "Vintage Teddy Bears"}, {"bear": "bear", "teddy bear": "teddy bear"})
    ('teddy bear', None)
    >>> _category({"item": "Bowl of soup"}, {"bowl": "bowl"})
    ('bowl', None)
    """
    if keys is None:
        named = words.get("category")
        is_name = isinstance(named, str) and named.strip()
        return (named, None) if is_name else (None, "no category")
    item = _without_article(words["item"])
    for name in (item, _AFTER_HEAD.split(item, maxsplit=1)[0]):
        parts = _comparable(name).split()
        for begin in range(len(parts)):
            if (key := " ".join(parts[begin:])) in keys:
                return keys[key], None
    return None, "another category"


def _without_article(item: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", clean_phrase(item).lower())


def _comparable(name: str) -> str:
    """Returns a name in the form in which singular and plural compare equal.

    >>> _comparable("Running Shoes") == _comparable("running shoe"), _comparable("wine glass"), _comparable("bus")
    (True, 'wine glass', 'bus')
    """
    key = category_key(name.replace("-", " "))
    return key[:-1] if re.search(r"[^su]s$", key) else key


def _prompt(category: str, words: Mapping[str, Any], part: int) -> DrawingPrompt:
    item = _without_article(words["item"])
    # A plural has no article.
    phrase = item if re.search(r"[^su]s$", item) else with_article(item)
    scene = words.get(f"description_{part}")
    text = " ".join(scene.split()) if isinstance(scene, str) else ""
    return DrawingPrompt(category, text or phrase, phrase, f"{phrase[:1].upper()}{phrase[1:]}.")


def split_panels(image: np.ndarray, number: int, padding: int) -> list[np.ndarray]:
    """Splits a row or a column of square panels.

    Args:
        image: (H, W, 3) uint8.
        number: Number of panels along the longer side.
        padding: Pixels that are cut off at each side of each panel.

    Returns:
        The panels, from the left or the top.

    Raises:
        FaultyInputError: If the image has another shape, or nothing is left of a panel.
    """
    height, width = image.shape[:2]
    length, side = max(height, width), min(height, width)
    if abs(length / side - number) > _TOLERANCE:
        text = f"An image of {number} panels must be about {number} times as long as wide, but is {width}x{height}."
        raise FaultyInputError("another shape", text)
    edges = [length * position // number for position in range(number + 1)]
    if min(side, length // number) <= 2 * padding:
        text = f"`pairs.padding` must leave something of a panel of an image of {width}x{height}, but is {padding}."
        raise FaultyInputError("padding too wide", text)
    rows = image if width >= height else image.swapaxes(0, 1)
    cut = (rows[padding : side - padding, low + padding : high - padding] for low, high in pairwise(edges))
    return [np.ascontiguousarray(part if width >= height else part.swapaxes(0, 1)) for part in cut]


class PanelImages:
    """The panels of subject pairs as a source of images.

    Args:
        pairs: The files.
        categories: As for `list_panels`.

    Attributes:
        listed: All panels.
        left_out: Number of rows that are left out, by reason.
        identity: What identifies the files, and these numbers.

    Raises:
        FileNotFoundError, ValueError: As `list_panels`.
    """

    def __init__(self, pairs: SubjectPairs, categories: Sequence[str] | None):
        self._pairs = pairs
        self.listed, self.left_out = list_panels(pairs, categories)
        digests = {path.name: ParquetRows(path).digest() for path in find_parquet_files(pairs.files)}
        self.identity = {"pairs": {"files": digests, "left_out": dict(sorted(self.left_out.items()))}}

    def images(self, positions: Sequence[int]) -> Iterator[SourceImage]:
        """Yields the panels at some positions, ascending; refused ones where their image cannot be read or split.

        Raises:
            ValueError: If a file is damaged.
        """
        chosen = [self.listed[position] for position in positions]
        for path, group in groupby(chosen, key=lambda each: each.path):
            wanted: dict[int, list[Panel]] = {}
            for each in group:
                wanted.setdefault(each.row, []).append(each)
            for row, values in _open(path, self._pairs).rows([_IMAGE], list(wanted)):
                yield from self._of_row(wanted[row], values[_IMAGE])

    def _of_row(self, listed: Sequence[Panel], value: Any) -> Iterator[SourceImage]:
        name = f"image of row {listed[0].row} of {listed[0].path}"
        parts, fault = None, ""
        try:
            image = decode_image(np.frombuffer(image_file(value, name), np.uint8), name, 3)
            parts = split_panels(image, self._pairs.pictures, self._pairs.padding)
        except ValueError as error:
            fault = str(error)
        for each in listed:
            origin = {"source": each.source, "scene": each.prompt.text, "licence": self._pairs.licence}
            if parts is None:
                yield SourceImage(None, {**origin, "fault": fault}, UNREADABLE)
            else:
                yield SourceImage(parts[each.part], origin)
