"""Contract 2: what every maker of scenes gives and every user of them may rely on.

The truth of a mask: a pixel is owned by the frontmost object whose composited alpha there is at least
`OPAQUE`; the amodal mask of an object is its own alpha >= `OPAQUE`, whatever stands before it. Boxes are
half-open: (x0, y0, x1, y1) holds the pixels x0 <= x < x1, y0 <= y < y1.
"""

import math
from dataclasses import dataclass

import numpy as np

OPAQUE = 128
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Placement:
    """Where a segment goes, and what is done to it on the way, where no word about it would become false.

    Attributes:
        segment: Which one, an index into the segments that the layout was planned for.
        box: Half-open xyxy box in pixels of the canvas. The segment is scaled to fit inside and centred, its
            aspect kept. It may reach over the canvas's border.
        flipped: Whether it is mirrored left to right.
        rotation: By how many degrees it is turned, anticlockwise, after mirroring. What must fit the box is then
            the rectangle around the turned segment.
        hue: By how many degrees its hues are turned, where its words can follow; see `vary_hue`.
        depth: How far it is from the camera, in the layout's own unit; None if the layout knows no depth.
        limited: Whether the layout's ``max_enlargement`` made the box smaller than the one it drew.

    Raises:
        ValueError: If an angle is not finite, or the depth is not above 0.
    """

    segment: int
    box: Box
    flipped: bool = False
    rotation: float = 0.0
    hue: float = 0.0
    depth: float | None = None
    limited: bool = False

    def __post_init__(self):
        for name in ("rotation", "hue"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"`{name}` must be a number of degrees, but got {getattr(self, name)}.")
        if self.depth is not None and not 0 < self.depth < math.inf:
            raise ValueError(f"`depth` must be above 0 and finite, but got {self.depth}.")


@dataclass(frozen=True)
class Light:
    """The one light of a scene, as an object that stands upright sees it.

    Attributes:
        azimuth: Where on the ground it comes from, in degrees: 0 from the right, 90 from the viewer, 180 from
            the left, 270 from behind the objects.
        elevation: How high it stands over the ground, in degrees in (0, 90].

    Raises:
        ValueError: If an angle is out of its range.
    """

    azimuth: float
    elevation: float

    def __post_init__(self):
        if not math.isfinite(self.azimuth):
            raise ValueError(f"`azimuth` must be a number of degrees, but got {self.azimuth}.")
        if not 0 < self.elevation <= 90:
            raise ValueError(f"`elevation` must be in (0, 90], but got {self.elevation}.")

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector towards the light: to the right, downwards, to the viewer."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        flat = math.cos(elevation)
        return flat * math.cos(azimuth), -math.sin(elevation), flat * math.sin(azimuth)


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One visible object of a scene.

    Attributes:
        segment_id, category, sub_category, phrase, description, attributes: As in `Segment`, without words that are
            not true of the finished image; see `compose`.
        placement: Where it was put, and what was really done: not what was planned where words forbade it.
        z_order: Its place from back (0) to front, its index in the scene's objects.
        alpha: (h, w) uint8, its alpha as composited, where its extent meets the canvas.
        offset: x and y of ``alpha``'s first pixel on the canvas.
        box: Tight half-open xyxy box of its modal mask.
        area: Pixels of its modal mask, at least 1.
        amodal_box: Tight half-open xyxy box of its amodal mask.
        amodal_area: Pixels of its amodal mask, inside the canvas.
        truncation: Share of the object's pixels that fell outside the canvas, in [0, 1).
    """

    segment_id: str
    category: str
    sub_category: str
    phrase: str
    description: str
    attributes: tuple[str, ...]
    placement: Placement
    z_order: int
    alpha: np.ndarray
    offset: tuple[int, int]
    box: Box
    area: int
    amodal_box: Box
    amodal_area: int
    truncation: float

    @property
    def visible_share(self) -> float:
        """Share of its amodal mask that nothing hides, in (0, 1]."""
        return self.area / self.amodal_area

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas that ``alpha`` covers."""
        x, y = self.offset
        height, width = self.alpha.shape
        return slice(y, y + height), slice(x, x + width)


@dataclass(frozen=True, eq=False)
class IgnoredRegion:
    """What is seen of an object that was kept without a label.

    Attributes:
        segment_id: Which segment it is.
        category: What it is.
        mask: (h, w) bool, its visible pixels inside its box.
        box: Tight half-open xyxy box of them.
    """

    segment_id: str
    category: str
    mask: np.ndarray
    box: Box


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and all that is known about it.

    Attributes:
        image: (H, W, 3) uint8 RGB, unless its background came in another order.
        objects: From back to front.
        owner: (H, W) int32, who owns each pixel: 0 the background, k + 1 ``objects[k]``.
        ignored: What is seen of things without a label, from back to front; their owner is 0.
        light: The light, where a step of light was asked for.
        alpha: (H, W) uint8, where there is no background: the image is then premultiplied by it, so that over any
            ground it is ``image + ground * (1 - alpha / 255)``. None where the background fills the image.

    Raises:
        ValueError: If the parts do not fit together.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    owner: np.ndarray
    ignored: tuple[IgnoredRegion, ...] = ()
    light: Light | None = None
    alpha: np.ndarray | None = None

    def __post_init__(self):
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            got = f"{self.image.dtype} of shape {self.image.shape}"
            raise ValueError(f"`image` must be a uint8 array of shape (H, W, 3), but got {got}.")
        if self.owner.dtype != np.int32 or self.owner.shape != self.size:
            got = f"{self.owner.dtype} of shape {self.owner.shape}"
            raise ValueError(f"`owner` must be an int32 array of shape {self.size}, but got {got}.")
        if self.alpha is not None and (self.alpha.dtype != np.uint8 or self.alpha.shape != self.size):
            got = f"{self.alpha.dtype} of shape {self.alpha.shape}"
            raise ValueError(f"`alpha` must be a uint8 array of shape {self.size}, but got {got}.")
        z_orders = [scene_object.z_order for scene_object in self.objects]
        if z_orders != list(range(len(self.objects))):
            raise ValueError(f"`objects` must be in their z-order 0, 1, ..., but got {z_orders}.")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[:2]

    def modal_mask(self, index: int) -> np.ndarray:
        """(H, W) bool: the pixels of ``objects[index]`` that are seen."""
        return self.owner == self._place(index) + 1

    def amodal_mask(self, index: int) -> np.ndarray:
        """(H, W) bool: the pixels of ``objects[index]`` inside the canvas, seen or hidden by others."""
        scene_object = self.objects[self._place(index)]
        mask = np.zeros(self.size, bool)
        mask[scene_object.window] = scene_object.alpha >= OPAQUE
        return mask

    def saliency_mask(self) -> np.ndarray:
        """(H, W) uint8: 255 where any object is, 0 elsewhere."""
        return (self.owner > 0).view(np.uint8) * np.uint8(255)

    def _place(self, index: int) -> int:
        # A negative index would otherwise ask for an owner that nobody is.
        if not 0 <= index < len(self.objects):
            raise IndexError(f"`index` must be in [0, {len(self.objects)}), but got {index}.")
        return index
