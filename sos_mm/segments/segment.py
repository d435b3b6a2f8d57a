"""The type `Segment`, the contract between the sources and the users of segments."""

from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import FaultyInputError, check_integer
from sos_mm.segments.sides import Sides

# Alpha, of 255, from which a pixel counts as the object's.
OPAQUE = 128


@dataclass(frozen=True, eq=False)
class Segment:
    """A cut-out of one object with texts that describe it.

    Attributes:
        rgba: (H, W, 4) uint8, RGB and straight (not premultiplied) alpha. Read-only. At least one pixel has an alpha
            of at least 128, from which a pixel counts as the object's.
        category: Category name, such as ``"apple"``.
        sub_category: Name of a finer category, such as ``"red_apple"``; may be empty.
        phrase: A short noun phrase, such as ``"a red apple"``; may be empty.
        description: A sentence; may be empty.
        attributes: Single features, such as ``("red", "round")``.
        source_id: Identifier of its source, unique in its bank.
        full_size: Height and width of the full segment if ``rgba`` is a copy of lower resolution; else None.
        source_size: Height and width of the image that the segment was cut out of; None if unknown or not cut out of
            an image.
        cut_sides: The `Sides` on which the border of that image cut it off; 0 if on none, or unknown.

    Raises:
        ValueError: If a field is invalid.
    """

    rgba: np.ndarray
    category: str
    sub_category: str = ""
    phrase: str = ""
    description: str = ""
    attributes: tuple[str, ...] = ()
    source_id: str = ""
    full_size: tuple[int, int] | None = None
    source_size: tuple[int, int] | None = field(default=None, kw_only=True)
    cut_sides: int = field(default=0, kw_only=True)

    def __post_init__(self):
        _check_rgba(self.rgba)
        if not isinstance(self.category, str) or not self.category:
            raise ValueError(f"`category` must be a non-empty string, but got {self.category!r}.")
        for name in ("sub_category", "phrase", "description", "source_id"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise ValueError(f"`{name}` must be a string, but got {value!r}.")
        if not isinstance(self.attributes, tuple) or not all(isinstance(word, str) for word in self.attributes):
            raise ValueError(f"`attributes` must be a tuple of strings, but got {self.attributes!r}.")
        if self.full_size is not None and not all(map(int.__le__, self.rgba.shape[:2], self.full_size)):
            raise ValueError(f"`full_size` must not be below {self.rgba.shape[:2]}, but got {self.full_size}.")
        if self.source_size is not None and not _is_size(self.source_size):
            raise ValueError(f"`source_size` must be a height and a width in pixels, but got {self.source_size!r}.")
        check_integer("cut_sides", self.cut_sides, Sides.NONE, Sides.ALL)
        # A separate view, since banks return the same pixels repeatedly.
        rgba = self.rgba.view()
        rgba.flags.writeable = False
        object.__setattr__(self, "rgba", rgba)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels; those of the full segment if ``rgba`` is a copy of lower resolution."""
        return self.full_size or self.rgba.shape[:2]

    def trimmed(self) -> "Segment":
        """Returns the segment without fully transparent rows and columns at its edges.

        Multi-resolution copies have none.
        """
        if self.full_size is not None:
            return self
        x, y, width, height = cv2.boundingRect(self.rgba[..., 3])
        if (height, width) == self.size:
            return self
        return replace(self, rgba=np.ascontiguousarray(self.rgba[y : y + height, x : x + width]))


def _is_size(size: Any) -> bool:
    """Returns whether a value is a tuple of two integers of at least 1."""
    whole = isinstance(size, tuple) and len(size) == 2 and all(isinstance(side, Integral) for side in size)
    return whole and min(size) >= 1


def _check_rgba(rgba: np.ndarray) -> None:
    if not isinstance(rgba, np.ndarray) or rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4:
        got = f"{rgba.dtype} of shape {rgba.shape}" if isinstance(rgba, np.ndarray) else type(rgba).__name__
        raise ValueError(f"`rgba` must be a uint8 array of shape (H, W, 4), but got {got}.")
    if not rgba.size:
        raise ValueError(f"`rgba` must hold pixels, but got shape {rgba.shape}.")
    strongest = rgba[..., 3].max()
    if strongest < OPAQUE:
        what = "a fully transparent image" if strongest == 0 else f"an alpha of at most {strongest}"
        text = f"`rgba` must show an object (an alpha of at least {OPAQUE} somewhere), but got {what}."
        raise FaultyInputError("nothing opaque in it", text)
