"""The type `Scene`, the contract between the sources and the users of composed images.

Definition of the masks: a pixel is owned by the frontmost object whose composited alpha there is at least `OPAQUE`; the
amodal mask of an object is its own alpha >= `OPAQUE`, whatever occludes it. Boxes are half-open: (x0, y0, x1, y1)
contains the pixels x0 <= x < x1, y0 <= y < y1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sos_mm.compiled import loops
from sos_mm.segments.segment import OPAQUE

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Placement:
    """The box of a segment on the canvas, with mirroring, rotation, hue and depth.

    Mirroring, rotation and hue are not applied if they could make a text about the segment false.

    Attributes:
        segment: Index into the segments for which the layout was planned.
        box: Half-open xyxy box in pixels of the canvas. The segment is scaled to fit inside and centred, its
            aspect ratio kept. It may extend beyond the canvas.
        flipped: Whether it is mirrored left to right.
        rotation: Rotation in degrees, anticlockwise, after mirroring. The bounding rectangle of the rotated segment is
            fitted into the box.
        hue: Rotation of its hues in degrees, if its texts can be adapted; see `vary_hue`.
        depth: Distance from the camera, in the layout's unit; None if the layout has no depth.
        limited: Whether the layout's ``max_enlargement`` reduced the box.

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
    """The direction of the light of a scene, relative to upright objects.

    Attributes:
        azimuth: Horizontal direction from which it comes, in degrees: 0 from the right, 90 from the viewer, 180 from
            the left, 270 from behind the objects.
        elevation: Angle over the ground, in degrees in (0, 90].

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

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Light":
        """Draws the light of a scene: it comes over a shoulder of the photographer."""
        # Light from behind the objects would cast shadows to the front, and light from the side casts them along the
        # ground, detached from objects that are round or hang in the air.
        return cls(azimuth=float(rng.uniform(30, 150)), elevation=float(rng.uniform(35, 65)))

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector towards the light, with components to the right, downwards, and to the viewer."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        flat = math.cos(elevation)
        return flat * math.cos(azimuth), -math.sin(elevation), flat * math.sin(azimuth)


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One visible object of a scene.

    Attributes:
        segment_id, category, sub_category, phrase, description, attributes: As in `Segment`, without words that are
            not true of the final image; see `compose`.
        placement: Its placement as it was applied, which may differ from the planned one; see `Placement`.
        z_order: Its position from back (0) to front, equal to its index in the scene's objects.
        alpha: (h, w) uint8, its alpha as composited, on the part of its extent inside the canvas.
        offset: x and y of ``alpha``'s first pixel on the canvas.
        mask: (h, w) bool, its modal mask in the window ``box``.
        box: Tight half-open xyxy box of its modal mask.
        area: Number of pixels of its modal mask, at least 1.
        amodal_box: Tight half-open xyxy box of its amodal mask.
        amodal_area: Number of pixels of its amodal mask, inside the canvas.
        truncation: Share of the segment's pixels outside the canvas, in [0, 1).
        cut_off: Whether the border of its source image cut the segment off, so that an unknown part is missing too.
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
    mask: np.ndarray
    box: Box
    area: int
    amodal_box: Box
    amodal_area: int
    truncation: float
    cut_off: bool = False

    @property
    def visible_share(self) -> float:
        """Share of its amodal mask that is not occluded, in (0, 1]."""
        return self.area / self.amodal_area

    @property
    def window(self) -> tuple[slice, slice]:
        """Row and column slices of the canvas that ``alpha`` covers."""
        x, y = self.offset
        height, width = self.alpha.shape
        return slice(y, y + height), slice(x, x + width)


@dataclass(frozen=True, eq=False)
class IgnoredRegion:
    """The visible part of an object without a label: an ignore region.

    Attributes:
        segment_id: Identifier of its segment.
        category: Its category.
        mask: (h, w) bool, its visible pixels in the window ``box``.
        box: Tight half-open xyxy box of its visible pixels.
    """

    segment_id: str
    category: str
    mask: np.ndarray
    box: Box


@dataclass(frozen=True, eq=False)
class Scene:
    """A composed image with its objects and masks.

    Attributes:
        image: (H, W, 3) uint8 RGB, or BGR if its background was given in that order.
        objects: The objects from back to front.
        ignored: Ignore regions, from back to front; their owner is 0.
        light: The light; None without effects.
        alpha: (H, W) uint8, if there is no background: the image is then premultiplied by it, and its composite over
            a background is ``image + background * (1 - alpha / 255)``. None if the background fills the image.

    Raises:
        ValueError: If the shapes of the parts do not match.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    ignored: tuple[IgnoredRegion, ...] = ()
    light: Light | None = None
    alpha: np.ndarray | None = None

    def __post_init__(self):
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            got = f"{self.image.dtype} of shape {self.image.shape}"
            raise ValueError(f"`image` must be a uint8 array of shape (H, W, 3), but got {got}.")
        if self.alpha is not None and (self.alpha.dtype != np.uint8 or self.alpha.shape != self.size):
            got = f"{self.alpha.dtype} of shape {self.alpha.shape}"
            raise ValueError(f"`alpha` must be a uint8 array of shape {self.size}, but got {got}.")
        z_orders = [scene_object.z_order for scene_object in self.objects]
        if z_orders != list(range(len(self.objects))):
            raise ValueError(f"`objects` must be in their z-order 0, 1, ..., but got {z_orders}.")
        height, width = self.size
        for each in self.objects:
            x0, y0, x1, y1 = each.box
            inside = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            if not inside or each.mask.dtype != np.bool_ or each.mask.shape != (y1 - y0, x1 - x0):
                got = f"{each.mask.dtype} of shape {each.mask.shape} in the box {each.box}"
                raise ValueError(f"`mask` of an object must be a bool array that fills its box, but got {got}.")

    @cached_property
    def owner(self) -> np.ndarray:
        """(H, W) int32, the owner of each pixel: 0 for the background, k + 1 for ``objects[k]``."""
        return self._draw_owner(np.int32)

    def small_owner(self) -> np.ndarray:
        """Returns `owner` as uint8, which is drawn several times as fast, or as int32 for more than 254 objects."""
        return self._draw_owner(np.uint8) if len(self.objects) < 255 else self.owner

    def _draw_owner(self, dtype: type[np.integer]) -> np.ndarray:
        owner, fast = np.zeros(self.size, dtype), loops("sos_mm.composition.loops")
        for number, each in enumerate(self.objects, 1):
            x0, y0, x1, y1 = each.box
            if fast:
                fast.mark(owner[y0:y1, x0:x1], each.mask, number)
            else:
                np.copyto(owner[y0:y1, x0:x1], number, where=each.mask)
        return owner

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[:2]

    def modal_mask(self, index: int) -> np.ndarray:
        """Returns the visible pixels of ``objects[index]``, (H, W) bool."""
        scene_object = self.objects[self._checked(index)]
        mask, (x0, y0, x1, y1) = np.zeros(self.size, bool), scene_object.box
        mask[y0:y1, x0:x1] = scene_object.mask
        return mask

    def amodal_mask(self, index: int) -> np.ndarray:
        """Returns all pixels of ``objects[index]`` inside the canvas, visible or occluded, (H, W) bool."""
        scene_object = self.objects[self._checked(index)]
        mask = np.zeros(self.size, bool)
        mask[scene_object.window] = scene_object.alpha >= OPAQUE
        return mask

    def saliency_mask(self) -> np.ndarray:
        """Returns (H, W) uint8: 255 on the pixels of objects, 0 elsewhere."""
        return (self.small_owner() > 0).view(np.uint8) * np.uint8(255)

    def _checked(self, index: int) -> int:
        # A negative index would otherwise count from the end.
        if not 0 <= index < len(self.objects):
            raise IndexError(f"`index` must be in [0, {len(self.objects)}), but got {index}.")
        return index
