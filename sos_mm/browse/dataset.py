"""The data set as the page sees it, for every kind of annotation."""

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
    """An annotated object or region of an image.

    Attributes:
        category: Name of its class.
        box: Half-open xyxy in pixels.
        role: 'object'; 'stuff' for background classes of panoptic data; 'ignore' for crowds and ignore regions.
        area: Number of pixels of its mask, or of its box if the data set has no masks.
        phrase: Its phrase.
        mask: COCO's polygons or run lengths; an integer, its value in the image's label map; or None.
        visible_share: Share of it that is not occluded, in [0, 1]; None if the data set does not record it.
        truncation: Share of it outside the image, in [0, 1]; None if the data set does not record it.
        cut_off: Whether the border of its cut-out's source image cut it off.
        segment_id: Identifier of its cut-out, if the data set records it.
        limited: Whether a limit of enlargement reduced it; None if the data set does not record it.

    Raises:
        ValueError: If the box is invalid.
    """

    category: str
    box: Box
    role: str = "object"
    area: float = 0.0
    phrase: str = ""
    mask: Any = None
    visible_share: float | None = None
    truncation: float | None = None
    cut_off: bool = False
    segment_id: str = ""
    limited: bool | None = None

    def __post_init__(self):
        if not all(map(math.isfinite, self.box)) or self.box[0] > self.box[2] or self.box[1] > self.box[3]:
            raise ValueError(f"The box must have finite numbers, left before right, top before bottom: {self.box}.")


@dataclass(frozen=True, slots=True)
class Expression:
    """A referring expression of an image.

    Attributes:
        text: The expression.
        targets: Indices into the image's annotations; empty if the image shows nothing that it describes.
        kind: What distinguishes the targets, such as 'spatial'; empty if not given.
    """

    text: str
    targets: tuple[int, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image with its annotations.

    Attributes:
        file_name: File name in the annotations, relative to the folder of images.
        size: Height and width.
        annotations: From back to front, or in the order of the file.
        choices: Candidate paths relative to the folder of images; the first one that exists is used.
        read_map: Reads the (H, W) label map whose values the annotations' masks refer to.
        path: The file; None if it is missing or was not searched for.
        expressions: Referring expressions, with or without targets among the annotations.

    Raises:
        ValueError: If the size is invalid.
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
            raise ValueError(f"Height and width of {self.file_name} must be integers over 0, but are {self.size}.")


@dataclass(frozen=True)
class DataSet:
    """A data set with its images and annotations.

    Attributes:
        source: The annotation file, or the folder of masks.
        kind: Description of its kind, such as 'COCO instances'.
        images: Its images.
        categories: Names of all its classes, with or without objects.
        missing: Names of images that are not on disk.
        faults: Other errors in it, one sentence each.
    """

    source: Path
    kind: str
    images: tuple[AnnotatedImage, ...]
    categories: tuple[str, ...]
    missing: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has a mask."""
        return any(each.mask is not None for image in self.images for each in image.annotations)

    @property
    def is_saliency(self) -> bool:
        """Whether its images have one region each, without classes."""
        return self.kind == SALIENCY

    @property
    def classes_word(self) -> str:
        """What the page calls its classes: 'classes', or 'phrases' in a data set for grounding."""
        return "phrases" if self.kind == GROUNDING else "classes"
