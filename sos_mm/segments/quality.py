"""The quality of segments: measurements on their pixels, and filters over these and over annotations."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_boolean, check_choice, check_fields, check_integer, check_names, check_pair, check_range
from sos_mm.segments.segment import OPAQUE

ANNOTATED = ("IsInstance", "Integrity", "QualityAndRegularity")
_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Measurements:
    """The measurements on the pixels of a segment.

    Attributes:
        height, width: Size of the image, in pixels.
        box_x, box_y, box_width, box_height: Tight box of the pixels that are not fully transparent.
        area: Number of pixels with an alpha of at least 128, which count as the object's.
        touching: Whether such a pixel is on the image's border, so that the object may be truncated.
        holes: Share of the filled outline that is not covered by the object.
        soft: Share of pixels with an alpha from 16 to 239 among those of at least 16.
        hash: Perceptual hash, 64 bits.
    """

    height: int
    width: int
    box_x: int
    box_y: int
    box_width: int
    box_height: int
    area: int
    touching: bool
    holes: float
    soft: float
    hash: int


def measure(rgba: np.ndarray) -> Measurements:
    """Measures the pixels of a segment: (H, W, 4) uint8, some alpha at least 128."""
    alpha = rgba[..., 3]
    solid = (alpha >= OPAQUE).view(np.uint8)
    area = int(np.count_nonzero(solid))
    visible = int(np.count_nonzero(alpha >= 16))
    height, width = alpha.shape
    x, y, box_width, box_height = cv2.boundingRect(alpha)
    return Measurements(
        height,
        width,
        x,
        y,
        box_width,
        box_height,
        area=area,
        touching=bool(solid[0].any() or solid[-1].any() or solid[:, 0].any() or solid[:, -1].any()),
        holes=1 - area / _filled_area(solid),
        soft=(visible - int(np.count_nonzero(alpha >= 240))) / visible,
        hash=perceptual_hash(rgba, (x, y, box_width, box_height)),
    )


def _filled_area(solid: np.ndarray) -> int:
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return int(np.count_nonzero(cv2.drawContours(solid.copy(), contours, -1, 1, cv2.FILLED)))


def perceptual_hash(rgba: np.ndarray, box: tuple[int, int, int, int]) -> int:
    """Computes a 64-bit perceptual hash: which low frequencies of the object in its box, grey on grey, exceed the
    median.

    The box is x, y, width and height.
    """
    x, y, width, height = box
    part = rgba[y : y + height, x : x + width]
    small = cv2.resize(part, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = small[..., 3] / 255
    grey = cv2.cvtColor(small[..., :3], cv2.COLOR_RGB2GRAY) * alpha + 127 * (1 - alpha)
    low = cv2.dct(grey)[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


@dataclass(frozen=True)
class Filters:
    """The quality filters of a bank.

    Attributes:
        annotated: Which of 'IsInstance', 'Integrity' and 'QualityAndRegularity' must be annotated as true.
        area: Least and largest number of pixels of the object.
        aspect: Least and largest ratio of width to height of its box.
        touching: Whether it may touch the image's border.
        holes: Largest share of holes.
        soft: Largest share of soft pixels.
        bordering: Largest share of the outline that borders on other objects of the image, which may occlude a part
            of it. Known for objects that `read_annotated` cut out; all other segments pass.
        duplicates: Of segments of one category whose perceptual hashes differ in at most so many of 64 bits, only
            the first is kept; None keeps all. The hash ignores colour.

    Raises:
        ValueError: If a value is invalid.
    """

    annotated: tuple[str, ...] = ()
    area: tuple[float, float] = (0, np.inf)
    aspect: tuple[float, float] = (0, np.inf)
    touching: bool = True
    holes: float = 1.0
    soft: float = 1.0
    bordering: float = 1.0
    duplicates: int | None = None

    def __post_init__(self):
        check_names("filters.annotated", self.annotated)
        object.__setattr__(self, "annotated", tuple(self.annotated))
        for name in self.annotated:
            check_choice("filters.annotated", name, ANNOTATED)
        for name in ("area", "aspect"):
            check_pair(f"filters.{name}", getattr(self, name), 0, np.inf)
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_boolean("filters.touching", self.touching)
        check_range("filters.holes", self.holes, 0, 1)
        check_range("filters.soft", self.soft, 0, 1)
        check_range("filters.bordering", self.bordering, 0, 1)
        if self.duplicates is not None:
            check_integer("filters.duplicates", self.duplicates, 0, 31)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "Filters":
        """Builds filters from a dict; raises ValueError for an unknown key, with the nearest one."""
        check_fields("filters", config, cls)
        return cls(**config)

    @property
    def changed(self) -> dict[str, Any]:
        """The filters that some segment may fail, by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}

    @property
    def measured(self) -> bool:
        """Whether the filters need measurements on the pixels."""
        return bool(self.changed.keys() - {"annotated", "bordering"})

    def keep(self, column: Callable[[str], np.ndarray], starts: Sequence[int]) -> np.ndarray:
        """Returns which of N segments, sorted by category, pass.

        Args:
            column: Returns (N,) values by name: of a field of `Measurements`, of 'bordering' (NaN where unknown), and
                of a name of `ANNOTATED` as int8: 1 for yes, 0 for no, -1 where not annotated.
            starts: Index of the first segment of each category.

        Returns:
            (N,) bool.

        Raises:
            ValueError: If an annotated filter is asked for and a segment has no such annotation.
        """
        kept = np.ones(len(column("area" if self.measured else ANNOTATED[0])), bool)
        for name in self.annotated:
            kept &= _said(column(name), name)
        if self.bordering < 1:
            kept &= ~(column("bordering") > self.bordering)
        if self.measured:
            area, aspect = column("area"), column("box_width") / column("box_height")
            kept &= (self.area[0] <= area) & (area <= self.area[1])
            kept &= (self.aspect[0] <= aspect) & (aspect <= self.aspect[1])
            kept &= (column("holes") <= self.holes) & (column("soft") <= self.soft)
            if not self.touching:
                kept &= ~column("touching").astype(bool)
        if self.duplicates is not None:
            drop_duplicates(kept, column("hash"), starts, self.duplicates)
        return kept


def _said(answers: np.ndarray, name: str) -> np.ndarray:
    missing = np.flatnonzero(answers < 0)
    if missing.size:
        raise ValueError(
            f"`filters.annotated` asks for {name!r}, but {missing.size} of {answers.size} segments have no such "
            "annotation: give the reader its `filter_annotations`, or do not ask for it."
        )
    return answers == 1


def drop_duplicates(kept: np.ndarray, hashes: np.ndarray, starts: Sequence[int], distance: int) -> None:
    """Clears, in place, segments within ``distance`` bits of an earlier kept segment of their category.

    Two hashes that differ in at most d bits are equal in at least one of d + 1 bands of bits, so only hashes with a
    common band need to be compared.

    Args:
        kept: (N,) bool; only segments that are set are compared.
        hashes: (N,) uint64.
        starts: Index of the first segment of each category, ascending.
        distance: Number of bits.
    """
    edges = [_HASH_BITS * band // (distance + 1) for band in range(distance + 2)]
    bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
    for start, stop in zip(starts, [*starts[1:], len(kept)], strict=True):
        buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row in start + np.flatnonzero(kept[start:stop]):
            value = int(hashes[row])
            keys = [(low, value >> low & ones) for low, ones in bands]
            if any((value ^ other).bit_count() <= distance for key in keys for other in buckets[key]):
                kept[row] = False
                continue
            for key in keys:
                buckets[key].append(value)
