"""Computes positions and spatial relations of objects as three-valued facts (surely, perhaps, surely not).

Coordinates are pixels, boxes half-open xyxy. Arrays are (M, M) bool over M objects: first the instances, then one
phantom for each ignored region and one for the image. Element [i, j] says whether the relation holds for object i with
respect to object j. A phantom may be anywhere in its region, so its coordinates are intervals. `docs/referring.md`
defines each relation.
"""

from functools import cached_property

import cv2
import numpy as np

from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.thresholds import Thresholds

SIDES = ("left", "right", "top", "bottom")
POSITIONS = (*SIDES, "middle")
DIRECTIONS = ("left of", "right of", "above", "below")
RELATIONS = (*DIRECTIONS, "next to", "touching", "overlapping", "in front of", "behind")
RANKS = (*SIDES, "large", "small", "front", "back")
# Relations that need masks which touch, or nearly so.
CONTACTS = ("touching", "overlapping", "in front of", "behind")
_UNKNOWN = -1.0
# Share of the smaller height or width that objects side by side, or one before the other, have in common.
_LEVEL = 0.5


class Geometry:
    """Computes positions and relations of the objects of an image; see the module."""

    def __init__(self, image: AnnotatedImage, thresholds: Thresholds):
        self.image, self.limits = image, thresholds
        self.number, self.width, self.height = len(image.instances), image.width, image.height
        whole = (0.0, 0.0, float(image.width), float(image.height))
        boxes = [each.box for each in (*image.instances, *image.ignored)] + [whole]
        self.boxes = np.array(boxes, np.float64)
        self.real = np.arange(len(boxes)) < self.number
        # (2, M) along x and y: each box's start and end; (2, 1): the image's lengths.
        self._start, self._end = self.boxes.T.reshape(2, 2, -1)
        self._length = np.array([[image.width], [image.height]], np.float64)
        self._relations: dict[str, tuple[list[int], list[int]]] = {}
        self._contacts: dict[tuple[int, int], tuple[bool, bool]] = {}

    @cached_property
    def _centers(self) -> tuple[np.ndarray, np.ndarray]:
        """(2, M) lower and upper bounds of each object's centre along x and y."""
        center = (self._start + self._end) / 2
        return np.where(self.real, center, self._start), np.where(self.real, center, self._end)

    def positions(self) -> list[tuple[int, int]]:
        """Returns for each of `POSITIONS` two bit sets: the objects surely at that position, and perhaps."""
        (low, high), length, limits = self._centers, self._length, self.limits
        # (2 axes, 2 sides, M) distances from a side: of the centre, at least and at most, and of the box's far edge.
        nearest, farthest, reach = (
            np.array([one, length - other]).swapaxes(0, 1)
            for one, other in ((low, high), (high, low), (self._end, self._start))
        )
        size, number = length[:, None], len(SIDES)
        found = np.empty((2, len(POSITIONS), len(self.boxes)), bool)
        sure = (farthest <= limits.side * size) & (reach <= limits.side_reach * size)
        found[0, :number] = sure.reshape(number, -1)
        found[1, :number] = (nearest < limits.not_side * size).reshape(number, -1)
        # Distances from the image's centre.
        low, high = low / length - 0.5, high / length - 0.5
        found[0, number] = (np.maximum(abs(low), abs(high)) <= limits.middle).all(axis=0)
        found[1, number] = ((low <= limits.not_middle) & (high >= -limits.not_middle)).all(axis=0)
        sets = bits(found.reshape(-1, len(self.boxes)))
        return list(zip(sets[: len(POSITIONS)], sets[len(POSITIONS) :], strict=True))

    def relation(self, name: str, to: int) -> tuple[int, int]:
        """Returns two bit sets: the objects for which a relation to object ``to`` surely holds, and perhaps."""
        if name not in CONTACTS:
            surely, maybe = self.relations(name)
            return surely[to], maybe[to]
        found = {
            "touching": self._touching,
            "overlapping": self._overlapping,
            "in front of": self._in_front,
            "behind": self._behind,
        }[name](to)
        sure, may = bits(np.stack(found))
        return sure, may

    def relations(self, name: str) -> tuple[list[int], list[int]]:
        """Returns for each object two bit sets: those surely next to it, or in a direction from it, and perhaps."""
        if name not in self._relations:
            if name == "next to":
                sure, may = (bits(each) for each in self._next_to())
                self._relations[name] = sure, may
            else:
                self._relations.update(self._along_axes[0])
        return self._relations[name]

    def nearly_touching(self, to: int) -> int:
        """Returns the bit set of the objects whose boxes are so close that their masks may touch object ``to``'s."""
        return self._near_boxes[to]

    @cached_property
    def _near_boxes(self) -> list[int]:
        return bits(self._gaps < self.limits.apart)

    @cached_property
    def _along_axes(self) -> tuple[dict[str, tuple[list[int], list[int]]], dict[str, tuple[list[int], list[int]]]]:
        """Results of `relations` for each of `DIRECTIONS`, and of `orders` for each of `SIDES`."""
        # Below, element [axis, i, j] is about object i with respect to j. How far i's centre is at least ahead of j's,
        # toward the image's left (axis 0) or top (1), and how far its box is.
        (low, high), boxes_ahead = self._centers, self._boxes_ahead
        ahead = low[:, None] - high[:, :, None]
        behind = ahead.swapaxes(-1, -2)
        aside = -np.minimum(ahead, behind)[::-1]
        extent = np.where(self.real, self._end - self._start, 0.0)
        allowed = self.limits.beyond * np.minimum(extent[:, :, None], extent[:, None])
        surely = (ahead > 0) & (aside <= ahead) & (-boxes_ahead <= allowed)
        maybe = behind < self.limits.contrary * self._length[:, None]
        start_high, end_low = np.where(self.real, self._start, self._end), np.where(self.real, self._end, self._start)
        first = ahead >= self.limits.order * self._length[:, None]
        first &= (start_high[:, :, None] <= self._start[:, None]) & (self._end[:, :, None] <= end_low[:, None])
        both = np.array([surely, maybe, first])
        found = bits(np.array([both, both.swapaxes(-1, -2)]).reshape(-1, len(self.boxes)))
        rows = [found[start : start + len(self.boxes)] for start in range(0, len(found), len(self.boxes))]
        of_left, of_top, may_left, may_top, after_left, after_top = rows[:6]
        left, top, maybe_left, maybe_top, before_left, before_top = rows[6:]
        directions = (left, maybe_left), (of_left, may_left), (top, maybe_top), (of_top, may_top)
        x, y = (before_left, after_left), (before_top, after_top)
        orders = x, x[::-1], y, y[::-1]
        return dict(zip(DIRECTIONS, directions, strict=True)), dict(zip(SIDES, orders, strict=True))

    def orders(self, by: str) -> tuple[list[int], list[int]]:
        """Returns for each object two bit sets: what surely precedes it in an order, and what follows; see `RANKS`."""
        if by in SIDES:
            return self._along_axes[1][by]
        first, last = self._size_order if by in ("large", "small") else self._depth_order
        return (first, last) if by in ("large", "front") else (last, first)

    @cached_property
    def _size_order(self) -> tuple[list[int], list[int]]:
        low, high = self.log_areas
        larger = low[:, None] - high[None] >= np.log(self.limits.larger)
        return both_ways(larger)

    @cached_property
    def _depth_order(self) -> tuple[list[int], list[int]]:
        return both_ways(self._closer)

    @cached_property
    def _closer(self) -> np.ndarray:
        """[i, j]: whether i is surely closer to the camera, by depth."""
        depths = np.array([_UNKNOWN if each.depth is None else each.depth for each in self.image.instances])
        depths = np.append(depths, np.full(len(self.boxes) - self.number, _UNKNOWN))
        known = (depths[:, None] >= 0) & (depths[None] >= 0)
        return known & (depths[:, None] * self.limits.depth <= depths[None]) & (depths[:, None] < depths[None])

    @cached_property
    def log_areas(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) lower and upper bounds of the logarithm of each object's area in pixels, known hidden parts included."""
        low, high = np.zeros(len(self.boxes)), np.zeros(len(self.boxes))
        for index, each in enumerate(self.image.instances):
            seen = box_area(each.box) if each.mask is None else max(np.count_nonzero(each.mask), 1)
            low[index] = seen
            # Without a known visible share the visible area counts; a truncated object may be twice as large.
            high[index] = seen / (each.visible_share or 1.0) * (2.0 if each.truncated else 1.0)
        areas = [*(box_area(each.box) for each in self.image.ignored), self.width * self.height]
        for index, area in enumerate(areas, self.number):
            low[index], high[index] = 1e-3, area
        return np.log(low), np.log(high)

    @cached_property
    def _gaps(self) -> np.ndarray:
        """(M, M) least distance of boxes in pixels."""
        ahead = self._boxes_ahead
        return np.hypot(*np.maximum(np.maximum(ahead, ahead.swapaxes(-1, -2)), 0.0))

    @cached_property
    def _boxes_ahead(self) -> np.ndarray:
        """(2, M, M) distance in pixels from the end of box i to the start of box j, along x and y."""
        return self._start[:, None] - self._end[:, :, None]

    @cached_property
    def _shared(self) -> np.ndarray:
        """(2, M, M) lengths in pixels by which boxes overlap along x and y."""
        start, end = self._start, self._end
        shared = np.minimum(end[:, :, None], end[:, None]) - np.maximum(start[:, :, None], start[:, None])
        return np.maximum(shared, 0.0)

    @cached_property
    def _common(self) -> np.ndarray:
        """(M, M) share of the smaller box that lies in the other."""
        areas = self._box_areas
        return self._shared[0] * self._shared[1] / np.minimum(areas[:, None], areas[None])

    @cached_property
    def _box_areas(self) -> np.ndarray:
        return (self._end[0] - self._start[0]) * (self._end[1] - self._start[1])

    @cached_property
    def _sizes(self) -> np.ndarray:
        """(M,) square root of each box's area, in pixels."""
        return np.sqrt(self._box_areas)

    def _next_to(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes two (M, M) arrays, which are symmetric: whether i is surely, and perhaps, next to j."""
        sizes, heights, gaps = self._sizes, self.boxes[:, 3] - self.boxes[:, 1], self._gaps
        sure = gaps <= self.limits.near * np.minimum(sizes[:, None], sizes[None])
        sure &= self._shared[1] >= _LEVEL * np.minimum(heights[:, None], heights[None])
        sure &= (self._common < self.limits.overlap) & self.real[:, None] & self.real[None]
        return sure, gaps < self.limits.far * np.maximum(sizes[:, None], sizes[None])

    def _contact(self, one: int, other: int) -> tuple[bool, bool]:
        """Returns whether two instances surely touch, and whether they perhaps do."""
        key = min(one, other), max(one, other)
        if key not in self._contacts:
            first, second = self.image.instances[one], self.image.instances[other]
            if first.mask is None or second.mask is None:
                self._contacts[key] = False, True
            else:
                touching = masks_near(first, second, self.limits.touching)
                self._contacts[key] = touching, touching or masks_near(first, second, self.limits.apart)
        return self._contacts[key]

    def _touching(self, to: int) -> tuple[np.ndarray, np.ndarray]:
        sure = np.zeros(len(self.boxes), bool)
        may = self._gaps[to] < self.limits.apart
        if self.real[to]:
            for other in np.flatnonzero(may[: self.number]).tolist():
                if other != to:
                    sure[other], may[other] = self._contact(to, other)
        return sure, may

    def _overlapping(self, to: int) -> tuple[np.ndarray, np.ndarray]:
        sure, may = self._touching(to)
        real = self.real & self.real[to]
        return sure & (self._common[to] >= self.limits.overlap), may & ((self._common[to] > 0) | ~real)

    @cached_property
    def _stack(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M,) z-order, whether the z-order is known, and visible share, 0 if unknown."""
        rest = [None] * (len(self.boxes) - self.number)
        orders = [each.z_order for each in self.image.instances] + rest
        shares = [each.visible_share for each in self.image.instances] + rest
        known = np.array([each is not None for each in orders], bool)
        return np.array([each or 0 for each in orders]), known, np.array([each or 0.0 for each in shares])

    def _above_and_under(self, to: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns which objects are surely above, and which under, an object in z-order, two (M,) arrays."""
        orders, known, _ = self._stack
        known = known & known[to]
        return known & (orders > orders[to]), known & (orders < orders[to])

    def _in_front(self, to: int) -> tuple[np.ndarray, np.ndarray]:
        """Computes "in front of" from z-order, where one object hides a part of the other, or from depth."""
        (above, under), (_, _, shares) = self._above_and_under(to), self._stack
        hides = above if shares[to] <= self.limits.seen else np.zeros_like(above)
        return self._ordered(to, hides, under, self._closer[:, to], self._closer[to])

    def _behind(self, to: int) -> tuple[np.ndarray, np.ndarray]:
        (above, under), (_, _, shares) = self._above_and_under(to), self._stack
        hidden = under & (shares <= self.limits.seen)
        return self._ordered(to, hidden, above, self._closer[to], self._closer[:, to])

    def _ordered(self, to: int, hides, contrary, by_depth, against_depth) -> tuple[np.ndarray, np.ndarray]:
        """Combines the evidence from z-order and depth for and against "in front of" or "behind" an object.

        Args:
            to: The object.
            hides: (M,) which objects have the z-order in question, where one of the two may hide a part of the other.
            contrary: (M,) which objects have the contrary z-order.
            by_depth, against_depth: (M,) of which objects the depth surely says the same, and the contrary.
        """
        meets, may_meet = self._overlapping(to)
        widths = self.boxes[:, 2] - self.boxes[:, 0]
        in_line = (self._shared[0, to] >= _LEVEL * np.minimum(widths, widths[to])) & may_meet
        real = self.real & self.real[to]
        sure = ((hides & meets) | (by_depth & in_line)) & ~against_depth & ~contrary & real
        may = ~((contrary & meets) | against_depth) | ~real
        may[to] = False
        return sure, may | sure

    def surely_between(self, one: int, other: int) -> int:
        """Returns the bit set of the objects that surely are between two others."""
        found = 0
        for opposites in (DIRECTIONS[:2], DIRECTIONS[2:]):
            before, after = (self.relations(name)[0] for name in opposites)
            found |= (before[one] & after[other]) | (before[other] & after[one])
        return found & ~(1 << one | 1 << other)

    def maybe_between(self, one: int, other: int) -> int:
        """Returns the bit set of the objects that may be between two others by their centres."""
        may = np.ones(len(self.boxes), bool)
        if self.real[one] and self.real[other]:
            centers = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
            line = centers[other] - centers[one]
            length = max(float(np.hypot(*line)), 1e-9)
            offset = centers - centers[one]
            along = offset @ line / length**2
            aside = abs(offset[:, 0] * line[1] - offset[:, 1] * line[0]) / length
            may = (along > -0.05) & (along < 1.05) & (aside < length) | ~self.real
        may[[one, other]] = False
        return bits(may[None])[0]

    def nearer(self, landmark: int) -> np.ndarray:
        """Computes (M, M) whether i is surely nearer to a landmark than k, by the gap of boxes and by centres."""
        if not self.real[landmark]:
            return np.zeros((len(self.boxes),) * 2, bool)
        low, high, gap_low, gap_high = (each[landmark] for each in self._distances)
        sure = high[:, None] * self.limits.nearer <= low
        return sure & (high[:, None] < low) & (gap_high[:, None] <= gap_low)

    @cached_property
    def _distances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(M, M) bounds in pixels of the distance of j's centre from i's, then of the gap of boxes, for instances i."""
        centers = ((self._start + self._end) / 2)[:, :, None]
        apart = np.hypot(*(centers - centers.swapaxes(-1, -2)))
        before, behind = self._start[:, None] - centers, centers - self._end[:, None]
        low = np.where(self.real, apart, np.hypot(*np.maximum(np.maximum(before, behind), 0.0)))
        high = np.where(self.real, apart, np.hypot(*np.maximum(abs(before), abs(behind))))
        return low, high, self._gaps, np.where(self.real, self._gaps, high)


def box_area(box: tuple[float, float, float, float]) -> float:
    """Computes the area of an xyxy box in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def masks_near(one, other, distance: int) -> bool:
    """Returns whether two instances' masks are at most ``distance`` pixels apart along each axis."""
    grown = [_grown(each, distance) for each in (one, other)]
    x0, y0 = max(grown[0][0], grown[1][0]), max(grown[0][1], grown[1][1])
    x1, y1 = min(grown[0][2], grown[1][2]), min(grown[0][3], grown[1][3])
    if x1 <= x0 or y1 <= y0:
        return False
    first, second = (_part(each, (x0, y0, x1, y1)) for each in (one, other))
    if not first.any() or not second.any():
        return False
    kernel = np.ones((2 * distance + 1,) * 2, np.uint8)
    return bool((cv2.dilate(first, kernel) & second).any())


def _window(each) -> tuple[int, int, int, int]:
    (x, y), (height, width) = each.offset, each.mask.shape
    return x, y, x + width, y + height


def _grown(each, distance: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = _window(each)
    return x0 - distance, y0 - distance, x1 + distance, y1 + distance


def _part(each, box: tuple[int, int, int, int]) -> np.ndarray:
    """Returns the (h, w) uint8 part of an instance's mask inside a box, zero outside the mask's window."""
    x0, y0, x1, y1 = box
    part = np.zeros((y1 - y0, x1 - x0), np.uint8)
    left, top, right, bottom = _window(each)
    a, b, c, d = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    if c > a and d > b:
        part[b - y0 : d - y0, a - x0 : c - x0] = each.mask[b - top : d - top, a - left : c - left]
    return part


def both_ways(precedes: np.ndarray) -> tuple[list[int], list[int]]:
    """Converts an (M, M) bool array to bit sets: for each column the rows that hold, for each row the columns."""
    found = bits(np.concatenate([precedes.T, precedes]))
    return found[: len(precedes)], found[len(precedes) :]


def bits(rows: np.ndarray) -> list[int]:
    """Converts each row of an (R, M) bool array to a bit set, an integer with bit i for column i."""
    packed = np.packbits(rows, axis=1, bitorder="little")
    width = packed.shape[1]
    if width in (1, 2, 4, 8):
        return np.ascontiguousarray(packed).view(f"<u{width}").ravel().tolist()
    data = packed.tobytes()
    return [int.from_bytes(data[start : start + width], "little") for start in range(0, len(data), width)]
