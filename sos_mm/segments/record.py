"""A segment that is still on disk: where its pixels are, its words, and what is known of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sos_mm.checks import FaultyInputError, decode_image, read_image
from sos_mm.segments.quality import Facts
from sos_mm.segments.rims import cut_out
from sos_mm.segments.segment import Segment


class SegmentInfo(NamedTuple):
    """What a layout needs to know of a segment that is not decoded yet.

    Attributes:
        size: Height and width in pixels without transparent margins, as its `Segment` has them.
        category: Its category.
        source_size: Height and width of the image that it was cut out of; None if it was not, or if that is not known.
    """

    size: tuple[int, int]
    category: str
    source_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment on disk and the words of `Segment`.

    Attributes:
        file: Path of its RGBA file, as text since lists are long; that of the tar shard that holds it, if
            ``length``; that of the photograph that it is cut out of, if ``outline``.
        offset: Where its file begins in the shard, in bytes.
        length: How many bytes it has there.
        outline: JSON text of the ``segmentation`` of a COCO or LVIS annotation.
        soften: Standard deviation, in pixels, by which the edge of that outline is softened; by the object's size if
            None.
        flags: What people or models said of `quality.ANNOTATED`, in that order; None if nothing.
        facts: What was measured on its pixels; None if that was not done yet.
        source_size: Height and width of the image that it was cut out of; None if it was not, or if that is not known.
        decontaminate: Whether colours of the background are replaced at the rim of that outline.
        bordering: Share of that outline that borders on other objects, in [0, 1]; None if it is not known.
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
    facts: Facts | None = None
    source_size: tuple[int, int] | None = None
    decontaminate: bool = False
    bordering: float | None = None

    @property
    def path(self) -> Path:
        """The path of ``file``."""
        return Path(self.file)

    def read(self) -> Segment:
        """Decodes it, without the transparent margin around it.

        Raises:
            FileNotFoundError: If the file is gone.
            ValueError: If it is broken, is not an 8-bit RGBA image, or shows nothing; names the file.
        """
        return self.segment(self.pixels())

    @property
    def name(self) -> str:
        """Says in an error which segment it is."""
        return f"{self.path} ({self.source_id})" if self.length or self.outline else str(self.path)

    def pixels(self) -> np.ndarray:
        """Decodes it as it is, margin included: (H, W, 4) uint8 RGB and straight alpha. Raises as `read` does."""
        if self.outline:
            return cut_out(
                read_image(self.path, 3), json.loads(self.outline), self.soften, self.decontaminate, self.name
            )
        if self.length:
            return decode_image(_read_part(self.path, self.offset, self.length), self.name, 4)
        return read_image(self.path, 4)

    def segment(self, rgba: np.ndarray, full_size: tuple[int, int] | None = None) -> Segment:
        """The segment of these words with pixels that were decoded before.

        Args:
            rgba: (H, W, 4) uint8.
            full_size: Its own height and width where these are the pixels of a reduced copy.

        Raises:
            ValueError: If the pixels show nothing; names the file.
        """
        words = (self.category, self.sub_category, self.phrase, self.description, self.attributes, self.source_id)
        try:
            return Segment(rgba, *words, full_size, source_size=self.source_size).trimmed()
        except ValueError as error:
            raise self.unusable(error) from error

    def unusable(self, error: Exception) -> FaultyInputError:
        """An error that names this segment."""
        text = f"The cut-out {self.name} cannot be used: {error} Replace or remove it."
        return FaultyInputError(getattr(error, "reason", "other"), text)


def _read_part(path: Path, offset: int, length: int) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} does not exist.")
    return np.fromfile(path, np.uint8, count=length, offset=offset)
