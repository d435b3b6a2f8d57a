"""The interface of all input formats: categories, and images whose annotations are not read yet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import clip
from sos_mm.referring.annotated_image import AnnotatedImage, Box
from sos_mm.segments.sides import sides_at_border


@dataclass(frozen=True)
class ImageSource:
    """An image before its annotations are read.

    Attributes:
        image: The image without instances.
        choices: Candidate paths relative to the folder of images; the first that exists is used.
        load: Adds the instances to ``image``; raises ValueError or OSError, naming file and record, if one is broken.
    """

    image: AnnotatedImage
    choices: Sequence[str]
    load: Callable[[AnnotatedImage], AnnotatedImage]


class Input(Protocol):
    """An annotation file of one format.

    Attributes:
        kind: Name of the format.
        categories: Ids by name.
    """

    kind: str
    categories: dict[str, int]

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images in the order of the file; ``faults`` records those without a valid name or size."""


@dataclass(frozen=True)
class InputOptions:
    """Options of the readers.

    Attributes:
        masks: Whether to decode masks.
        label_map: Names of ODVG's labels; None for the names stored with the instances.
    """

    masks: bool = True
    label_map: dict[int, str] | None = None


def clip_or_widen(box: Sequence[float], image: AnnotatedImage) -> tuple[Box | None, bool]:
    """Clips an xyxy box to its image, or widens it to a pixel if it is smaller.

    Returns:
        The box, None if it lies outside the image; and whether it was widened.
    """
    inside = clip(box, image.width, image.height)
    if inside is not None:
        left, top, right, bottom = map(float, inside)
        return (left, top, right, bottom), False
    x0, y0, x1, y1 = box
    if x1 < 0 or y1 < 0 or x0 > image.width or y0 > image.height:
        return None, False
    x, y = min(max(x0, 0.0), image.width - 1.0), min(max(y0, 0.0), image.height - 1.0)
    return (x, y, min(max(x1, x + 1), float(image.width)), min(max(y1, y + 1), float(image.height))), True


def reaches_border(box: Box, image: AnnotatedImage) -> bool:
    """Returns whether the border of the image may cut off the object of an xyxy box; see `sides_at_border`."""
    x0, y0, x1, y1 = box
    return bool(sides_at_border((x0, y0, x1 - x0, y1 - y0), (image.height, image.width)))


def image_choices(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the candidate paths of an image: the paths that a file names, and the first one's file name."""
    return tuple(dict.fromkeys((*names, Path(names[0]).name)))
