"""Cuts the object out of an image and judges the cut-out: scores, which are kept, and reasons to reject it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sos_mm.checks import check_fields, check_integer, check_pair, check_range
from sos_mm.cutouts.cutting import object_parts
from sos_mm.segments.colors import COLOR_WORD, color_meaning, color_names
from sos_mm.segments.cutter import Cutter
from sos_mm.segments.foreground import check_image_and_alpha, cut_out
from sos_mm.segments.quality import drop_duplicates, measure
from sos_mm.segments.segment import OPAQUE

# Reasons to reject an image, in the order in which they are counted: the first that applies.
UNREADABLE, FLAGGED, NOTHING = "unreadable", "flagged by the model", "nothing salient"
REASONS = (
    UNREADABLE,
    FLAGGED,
    NOTHING,
    "cutters disagree",
    "several components",
    "touching the frame",
    "too small",
    "too large",
    "too soft",
    "another color",
    "another object",
    "near-duplicate",
)


@dataclass(frozen=True)
class DrawingFilters:
    """The limits that a cut-out must keep. Scores are computed and stored whatever the limits are.

    Attributes:
        agreement: Least IoU of the masks of two cutters; applies where there is a second cutter.
        components: Largest number of connected components; None for any.
        specks: Components below this share of the largest one are noise and are removed.
        margin: Least distance of the object from the frame in pixels; 0 for any, 1 for not touching.
        area: Least and largest share of the image that the object covers.
        soft: Largest share of soft pixels (alpha from 16 to 239) among the visible ones.
        color: Least share of the object's pixels that have the colour that its phrase names; 0 for any.
        similarity: Least cosine similarity of the cut-out and its phrase; applies where there is a text model.
        rank: Worst rank of the category among all categories by similarity; None for any.
        duplicates: Of cut-outs of one category whose perceptual hashes differ in at most so many of 64 bits, only the
            first is kept; None keeps all. Copies of half the size differ in up to 12 bits, mirrored ones in 24 or more.

    Raises:
        ValueError: If a value is invalid.
    """

    agreement: float = 0.85
    components: int | None = 1
    specks: float = 0.01
    margin: int = 1
    area: tuple[float, float] = (0.02, 0.9)
    soft: float = 0.3
    color: float = 0.0
    similarity: float = -1.0
    rank: int | None = None
    duplicates: int | None = 12

    def __post_init__(self):
        for name in ("agreement", "specks", "soft", "color"):
            check_range(f"filters.{name}", getattr(self, name), 0, 1)
        check_range("filters.similarity", self.similarity, -1, 1)
        check_integer("filters.margin", self.margin, 0, 2**15)
        for name, low, high in (("components", 1, 10**6), ("rank", 1, 10**6), ("duplicates", 0, 31)):
            if getattr(self, name) is not None:
                check_integer(f"filters.{name}", getattr(self, name), low, high)
        check_pair("filters.area", self.area, 0, 1)
        object.__setattr__(self, "area", tuple(self.area))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "DrawingFilters":
        """Builds filters from a dict; raises ValueError for an unknown key, with the nearest one."""
        check_fields("filters", config, cls)
        return cls(**config)


@dataclass(frozen=True, eq=False)
class Judged:
    """A cut-out with its scores.

    Attributes:
        rgba: (h, w, 4) uint8, the trimmed cut-out; None if no object was found.
        scores: Scores by name, as JSON values.
        reasons: Why it is rejected, in the order of `REASONS`; empty if it is kept.
    """

    rgba: np.ndarray | None
    scores: dict[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def rejected_too(self, reasons: tuple[str, ...], scores: Mapping[str, Any]) -> "Judged":
        """Returns it with further scores and reasons."""
        told = tuple(sorted({*self.reasons, *reasons}, key=REASONS.index))
        return Judged(self.rgba, {**self.scores, **scores}, told)


def judge(
    image: np.ndarray,
    cutter: Cutter,
    second_cutter: Cutter | None = None,
    filters: DrawingFilters | None = None,
    phrase: str = "",
) -> Judged:
    """Cuts the object out of an image and applies the filters that need the image alone.

    Args:
        image: (H, W, 3) uint8 RGB.
        cutter: Gives the cut-out.
        second_cutter: Gives a second opinion of its mask.
        filters: The limits; `DrawingFilters` by default.
        phrase: Noun phrase of the object, whose colour word is compared with its pixels.

    Raises:
        ValueError: If a cutter returns no alpha of the image's size.
    """
    filters = filters or DrawingFilters()
    alpha = cutter.cut(image)
    check_image_and_alpha(image, alpha)
    scores: dict[str, Any] = {}
    if second_cutter is not None:
        scores["agreement"] = round(mask_iou(alpha >= OPAQUE, second_cutter.cut(image) >= OPAQUE), 4)
    parts = object_parts(alpha, filters.specks)
    if not parts:
        return Judged(None, scores, (NOTHING,))
    alpha = np.maximum.reduce(parts)
    rgba, box = _trimmed(image, alpha)
    solid = alpha >= OPAQUE
    facts = measure(rgba)
    scores |= {
        "components": len(parts),
        "margin": frame_margin(solid),
        "area": round(facts.area / solid.size, 6),
        "soft": round(facts.soft, 4),
        "box": box,
        "hash": f"{facts.hash:016x}",
    }
    if (share := color_share(rgba, phrase)) is not None:
        scores["color"] = round(share, 4)
    return Judged(rgba, scores, reasons_of(scores, filters))


def reasons_of(scores: Mapping[str, Any], filters: DrawingFilters) -> tuple[str, ...]:
    """Returns the reasons of `REASONS` for which the scores of one image reject it."""
    low, high = filters.area
    failed = {
        "cutters disagree": scores.get("agreement", 1.0) < filters.agreement,
        "several components": filters.components is not None and scores["components"] > filters.components,
        "touching the frame": scores["margin"] < filters.margin,
        "too small": scores["area"] < low,
        "too large": scores["area"] > high,
        "too soft": scores["soft"] > filters.soft,
        "another color": scores.get("color", 1.0) < filters.color,
    }
    return tuple(reason for reason, is_so in failed.items() if is_so)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the intersection over union of two masks, (H, W) bool; 0 if both are empty.

    Raises:
        ValueError: If they differ in shape.
    """
    if first.shape != second.shape:
        raise ValueError(f"Masks must be of one shape, but got {first.shape} and {second.shape}.")
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def frame_margin(solid: np.ndarray) -> int:
    """Computes the least distance of a mask's pixels, (H, W) bool, from the frame: 0 if one is at the border."""
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    height, width = solid.shape
    return int(min(rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1]))


def color_share(rgba: np.ndarray, phrase: str) -> float | None:
    """Computes the share of opaque pixels that have the colour that a phrase names; None unless it names just one."""
    meant = {color_meaning(found[0]) for found in COLOR_WORD.finditer(phrase)}
    if len(meant) != 1 or not (name := meant.pop()):
        return None
    return float(np.mean(color_names(rgba[rgba[..., 3] >= OPAQUE][:, :3]) == name))


def duplicate_positions(categories: list[str], hashes: list[int], distance: int) -> set[int]:
    """Finds near-duplicates among cut-outs.

    Args:
        categories: Category of each.
        hashes: Perceptual hash of each, 64 bits.
        distance: Largest number of bits in which near-duplicates differ.

    Returns:
        The positions of those that are near to an earlier one, which is kept, of their category.
    """
    if not categories:
        return set()
    order = sorted(range(len(categories)), key=lambda position: (categories[position], position))
    named = [categories[position] for position in order]
    starts = [position for position, name in enumerate(named) if position == 0 or name != named[position - 1]]
    kept = np.ones(len(order), bool)
    drop_duplicates(kept, np.array([hashes[position] for position in order], np.uint64), starts, distance)
    return {position for position, is_kept in zip(order, kept, strict=True) if not is_kept}


def _trimmed(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Returns the trimmed cut-out and its box in the image: x, y, width, height."""
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    y, x, height, width = int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    # Colours are estimated on the complete image: the background's colours are outside the box.
    rgba = cut_out(image, alpha)[y : y + height, x : x + width]
    return np.ascontiguousarray(rgba), [x, y, width, height]
