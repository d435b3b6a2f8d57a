"""The input of `sos_mm.referring`: an image with annotated instances, independent of the file format."""

import math
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Instance:
    """One annotated object of an image.

    Attributes:
        id: Its id in the source, such as a COCO annotation's id.
        category: The name of its category.
        box: Half-open xyxy box in pixels, of the modal mask if there is one.
        mask: (h, w) bool, the modal mask inside a window; None if the source has boxes only.
        offset: x and y of the first pixel of ``mask`` in the image.
        phrase: The source's description, such as 'a red wooden chair'; empty if there is none.
        attributes: The source's attributes, words or short phrases.
        z_order: Order from back (0) to front; None if unknown.
        depth: Distance from the camera, in a unit that the image's instances share; None if unknown.
        visible_share: Share of the amodal mask that no other object hides, in (0, 1]; None if unknown.
        truncated: Whether a part of the object lies outside the image; None if unknown.

    Raises:
        ValueError: If the box is empty or not finite.
    """

    id: int | str
    category: str
    box: Box
    mask: np.ndarray | None = None
    offset: tuple[int, int] = (0, 0)
    phrase: str = ""
    attributes: tuple[str, ...] = ()
    z_order: int | None = None
    depth: float | None = None
    visible_share: float | None = None
    truncated: bool | None = None

    def __post_init__(self):
        x0, y0, x1, y1 = self.box
        if not all(map(math.isfinite, self.box)) or x1 <= x0 or y1 <= y0:
            raise ValueError(f"The box of instance {self.id!r} must have an area, but is {self.box}.")


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image, its instances, and which categories are annotated completely.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        instances: The objects that expressions may mean.
        ignored: Crowds and ignored regions. A region of category 'person' may contain any number of persons anywhere
            inside it; one of category '' may contain any object. What depends on them is undecidable.
        complete: Categories whose objects all are in ``instances`` (or inside ``ignored``), including categories
            without any object. For other categories neither uniqueness nor absence can be proved.
        image: (H, W, 3) uint8 RGB, from which colours are measured; None if the pixels are not available.
        file_name: The image's file.
        image_id: The image's id in the source.
    """

    width: int
    height: int
    instances: tuple[Instance, ...]
    ignored: tuple[Instance, ...] = ()
    complete: frozenset[str] = frozenset()
    image: np.ndarray | None = None
    file_name: str = ""
    image_id: int | str | None = None
