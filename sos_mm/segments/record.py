"""The record of a segment on disk: the position of its pixels, its texts, and its metadata."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sos_mm.checks import FaultyInputError
from sos_mm.images import check_image_size, decode_image, read_image
from sos_mm.segments.quality import Measurements
from sos_mm.segments.rims import cut_out
from sos_mm.segments.segment import Segment


class SegmentInfo(NamedTuple):
    """Size and category of a segment: what a layout needs, without decoding it.

    Attributes:
        size: Height and width in pixels without transparent margins, as its `Segment` has them.
        category: Its category.
        source_size: Height and width of the image that it was cut out of; None if unknown or not cut out of an image.
        cut_sides: The `Sides` on which the border of that image cut it off; 0 if on none, or unknown.
    """

    size: tuple[int, int]
    category: str
    source_size: tuple[int, int] | None = None
    cut_sides: int = 0


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment on disk with the texts of its `Segment`.

    Attributes:
        file: Path of its RGBA file, a string since lists are long; of the tar shard that holds it, if ``length``;
            of the image that it is cut out of, if ``outline``.
        offset: Offset of its file in the shard, in bytes.
        length: Size of its file in the shard, in bytes.
        outline: JSON text of the ``segmentation`` of a COCO or LVIS annotation.
        soften: Standard deviation, in pixels, by which the edge of that outline is softened; by the object's size if
            None.
        flags: Annotated values of `quality.ANNOTATED`, in that order; None if not annotated.
        measurements: Measurements on its pixels; None if it has not been measured.
        source_size: Height and width of the image that it was cut out of; None if unknown or not cut out of an image.
        decontaminate: Whether colours of the background are replaced at the rim of that outline.
        bordering: Share of that outline that borders on other objects, in [0, 1]; None if unknown.
        cut_sides: The `Sides` on which the border of its image cut it off; 0 if on none, or unknown.
    """

    file: str
    category: str
    sub_category: str
    phrase: str
    description: str
    attributes: tuple[str, ...]
    source_id: str
    offset: int = 0
    length: int = 0
    outline: str = ""
    soften: float | None = 0.0
    flags: tuple[bool, bool, bool] | None = None
    measurements: Measurements | None = None
    source_size: tuple[int, int] | None = None
    decontaminate: bool = False
    bordering: float | None = None
    cut_sides: int = 0

    @property
    def path(self) -> Path:
        """The path of ``file``."""
        return Path(self.file)

    @property
    def segmentation(self) -> list | dict:
        """The polygons or run lengths of ``outline``."""
        return json.loads(self.outline)

    def read(self) -> Segment:
        """Decodes the segment, without transparent margins.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If it is broken, is not an 8-bit RGBA image, or has no opaque pixel; names the file.
        """
        return self.segment(self.pixels())

    @property
    def name(self) -> str:
        """Name of the segment in error messages."""
        return f"{self.path} ({self.source_id})" if self.length or self.outline else str(self.path)

    def pixels(self) -> np.ndarray:
        """Decodes the segment with its margin: (H, W, 4) uint8 RGB and straight alpha. Raises the errors of `read`."""
        if self.outline:
            image = read_image(self.path, 3)
            if self.source_size is not None:
                check_image_size(image.shape[:2], self.source_size, self.path)
            return cut_out(image, self.segmentation, self.soften, self.decontaminate, self.name)
        if self.length:
            return decode_image(_read_part(self.path, self.offset, self.length), self.name, 4)
        return read_image(self.path, 4)

    def segment(self, rgba: np.ndarray, full_size: tuple[int, int] | None = None) -> Segment:
        """Builds the segment from its texts and pixels that have been decoded before.

        Args:
            rgba: (H, W, 4) uint8.
            full_size: Height and width of the full segment if these are the pixels of a copy of lower resolution.

        Raises:
            ValueError: If no pixel is opaque; names the file.
        """
        words = (self.category, self.sub_category, self.phrase, self.description, self.attributes, self.source_id)
        try:
            return Segment(rgba, *words, full_size, source_size=self.source_size, cut_sides=self.cut_sides).trimmed()
        except ValueError as error:
            raise self.unusable(error) from error

    def unusable(self, error: Exception) -> FaultyInputError:
        """Builds an error that names this segment."""
        text = f"The cut-out {self.name} cannot be used: {error} Replace or remove it."
        return FaultyInputError(getattr(error, "reason", "other"), text)


def _read_part(path: Path, offset: int, length: int) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} does not exist.")
    # A length that a shard or an index claims must not size an allocation.
    there = max(path.stat().st_size - offset, 0)
    return np.fromfile(path, np.uint8, count=min(length, there), offset=offset)
