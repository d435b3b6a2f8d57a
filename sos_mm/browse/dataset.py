"""What every kind of annotated data set has in common, as the report sees it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SALIENCY, GROUNDING = "saliency masks", "ODVG grounding"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something marked in an image.

    Attributes:
        category: Name of its class.
        box: Half-open xyxy in pixels.
        role: 'object'; 'stuff' for background classes of panoptic data; 'ignore' for crowds and regions that
            nothing is asked about.
        area: Pixels of its mask; those of its box where the data set has no masks.
        phrase: Words for it.
        mask: Polygons or run lengths as COCO has them; a number, its value in the image's map; None.
        visible_share: How much of it is not hidden by others, in [0, 1]; None where the data set does not say.
        truncation: How much of it is outside the image, in [0, 1]; None likewise.
        segment_id: The cut-out that it was made of, if it was.
        limited: Whether a limit of enlargement made it smaller; None where the data set does not say.

    Raises:
        ValueError: If the box is none.
    """

    category: str
    box: Box
    role: str = "object"
    area: float = 0.0
    phrase: str = ""
    mask: Any = None
    visible_share: float | None = None
    truncation: float | None = None
    segment_id: str = ""
    limited: bool | None = None

    def __post_init__(self):
        if not all(map(math.isfinite, self.box)) or self.box[0] > self.box[2] or self.box[1] > self.box[3]:
            raise ValueError(f"The box must have finite numbers, left before right, top before bottom: {self.box}.")


@dataclass(frozen=True, slots=True)
class Expression:
    """A referring expression of an image.

    Attributes:
        text: Its words.
        targets: Positions among the image's annotations; none where the image shows nothing that it means.
        kind: What tells the targets apart, such as 'spatial'; empty if not told.
    """

    text: str
    targets: tuple[int, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image and what is marked in it.

    Attributes:
        file_name: Its name in the annotations, relative to the folder of images.
        size: Height and width.
        annotations: From back to front, or in the order of the file.
        choices: Places below the folder of images where it may be, the first that exists counts.
        read_map: Reads an (H, W) map of the values that annotations have as masks.
        path: The file; None where it is missing or was not looked for.
        expressions: Referring expressions, which mean some of the annotations, or nothing.

    Raises:
        ValueError: If the size is none.
    """

    file_name: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    choices: tuple[str, ...] = ()
    read_map: Callable[[], np.ndarray] | None = None
    path: Path | None = None
    expressions: tuple[Expression, ...] = ()

    def __post_init__(self):
        if not all(isinstance(side, int) and side > 0 for side in self.size):
            raise ValueError(f"Height and width of {self.file_name} must be whole numbers over 0, but are {self.size}.")


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        source: The annotation file, or the folder of masks.
        kind: What it is, in words, such as 'COCO instances'.
        images: Its images.
        categories: Names of all classes that it knows, with objects or without.
        missing: Names of images that are not on disk.
        faults: What else is wrong with it, a sentence each.
    """

    source: Path
    kind: str
    images: tuple[AnnotatedImage, ...]
    categories: tuple[str, ...]
    missing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def has_masks(self) -> bool:
        """Whether anything is marked by more than a box."""
        return any(each.mask is not None for image in self.images for each in image.annotations)

    @property
    def is_saliency(self) -> bool:
        """Whether its images have one region each, of no class."""
        return self.kind == SALIENCY

    @property
    def classes_word(self) -> str:
        """What it has in the place of classes."""
        return "phrases" if self.kind == GROUNDING else "classes"
