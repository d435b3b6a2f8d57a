"""What every format gives: its categories, and its images before their masks are decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import clip
from sos_mm.referring.annotated_image import AnnotatedImage, Box


@dataclass(frozen=True)
class ImageSource:
    """An image before its annotations are read.

    Attributes:
        image: It without instances.
        choices: Places below the folder of images where its file may be; the first that exists counts.
        load: Gives it with its instances; raises ValueError or OSError, which names file and record, if one is broken.
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
        """The images in the order of the file; ``faults`` records those that cannot even be named."""


@dataclass(frozen=True)
class InputOptions:
    """What readers are told.

    Attributes:
        masks: Whether to decode masks.
        label_map: Names of ODVG's labels; None to take those beside the instances.
    """

    masks: bool = True
    label_map: dict[int, str] | None = None


def clip_or_widen(box: Sequence[float], image: AnnotatedImage) -> tuple[Box | None, bool]:
    """The part of an xyxy box inside its image, and whether it is below a pixel and was widened to one.

    None where the box lies outside the image.
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


def image_choices(names: Sequence[str]) -> tuple[str, ...]:
    """Places where an image may be: those that a file names, and its bare name."""
    return tuple(dict.fromkeys((*names, Path(names[0]).name)))
