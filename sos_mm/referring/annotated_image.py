"""The input of referring: an image with annotated instances, whatever it was read from."""

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
        box: Half-open xyxy box in pixels, of its modal mask where there is one.
        mask: (h, w) bool, its modal mask inside a window; None where the source has boxes alone.
        offset: x and y of the first pixel of ``mask`` in the image.
        phrase: What the source says of it, such as 'a red wooden chair'; empty if nothing.
        attributes: Words or short phrases that the source says of it.
        z_order: Its position from back (0) to front; None where the source does not know it.
        depth: Its distance from the camera in a unit that the image's instances share; None where unknown.
        visible_share: Share of its amodal mask that nothing hides, in (0, 1]; None where unknown.
        truncated: Whether a part of it lies outside the image; None where unknown.

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
    """An image, its instances, and how far their absence can be known.

    Attributes:
        width: In pixels.
        height: In pixels.
        instances: The objects that expressions may mean.
        ignored: Crowds and ignore regions. What they may contradict is undecidable: one of category 'person' may hold
            any number of persons at any position inside it; one of category '' may hold anything.
        complete: Categories all of whose objects are among ``instances`` (or inside ``ignored``), those without any
            included: what is said of other categories can be true, but neither unique nor absent.
        image: (H, W, 3) uint8 RGB, from which colours are measured; None where the pixels are not at hand.
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
