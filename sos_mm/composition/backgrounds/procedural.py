"""Procedural backgrounds: colours, gradients, textures, or none."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sos_mm.checks import check_integer, check_pair

Color = tuple[int, int, int]


class Procedural:
    """Procedural backgrounds, which depend on their settings alone."""

    @property
    def fingerprint(self) -> str:
        """The settings as text."""
        return repr(self)


@dataclass(frozen=True)
class Colored(Procedural):
    """Procedural backgrounds of colours that are drawn.

    Args:
        colors: RGB colours to draw from; any colour, uniform, if empty.

    Raises:
        ValueError: If a colour is not three numbers in [0, 255].
    """

    colors: tuple[Color, ...] = ()

    def __post_init__(self):
        _check_colors(self.colors)


@dataclass(frozen=True)
class PlainBackgrounds(Colored):
    """Backgrounds of one colour."""

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Draws a colour; returns (height, width, 3) uint8 RGB."""
        return np.full((*size, 3), _draw_color(rng, self.colors), np.uint8)


@dataclass(frozen=True)
class GradientBackgrounds(Colored):
    """Linear gradients between two colours, along a direction drawn uniformly."""

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Draws a gradient, (height, width, 3) uint8 RGB; its two colours are at opposite corners."""
        start, end = _draw_color(rng, self.colors), _draw_color(rng, self.colors)
        angle, dither = rng.uniform(0, 2 * np.pi), rng.random(size, np.float32)
        rows, columns = np.linspace(-1, 1, size[0]) * np.sin(angle), np.linspace(-1, 1, size[1]) * np.cos(angle)
        share = (rows[:, None] + columns) / (2 * max(abs(np.sin(angle)) + abs(np.cos(angle)), 1e-6)) + 0.5
        # Dithered: 8-bit steps would show as bands.
        colors = start + share[..., None] * (end - start) + dither[..., None]
        return np.clip(np.floor(colors), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class TextureBackgrounds(Colored):
    """Smooth noise of several scales between two colours, as of clouds or plaster.

    Args:
        colors: As in `Colored`.
        cells: Number of coarsest cells along the longer side, drawn from this range.
        octaves: Number of scales, each half as coarse and half as strong as the one before.

    Raises:
        ValueError: If an argument is invalid.
    """

    cells: tuple[int, int] = (2, 12)
    octaves: int = 5

    def __post_init__(self):
        super().__post_init__()
        check_pair("cells", self.cells, 1, 1024)
        for each in self.cells:
            check_integer("cells", each, 1, 1024)
        check_integer("octaves", self.octaves, 1, 10)

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Draws a texture between two colours, (height, width, 3) uint8 RGB."""
        start, end = _draw_color(rng, self.colors), _draw_color(rng, self.colors)
        cells = int(rng.integers(self.cells[0], self.cells[1] + 1))
        mixed = np.zeros(size, np.float32)
        for octave in range(self.octaves):
            grid = [max(min(round(cells * 2**octave * side / max(size)), side), 1) + 1 for side in size]
            noise = cv2.resize(rng.random(grid, np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
            mixed += (noise - 0.5) * 0.5**octave
        table = start + np.linspace(0, 1, 256)[:, None] * (end - start)
        level = np.clip(np.rint((mixed + 0.75) * (255 / 1.5)), 0, 255).astype(np.uint8)
        return np.rint(table).astype(np.uint8)[level]


@dataclass(frozen=True)
class NoBackgrounds(Procedural):
    """No background: scenes are transparent, to be lit or composited later."""

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        """Returns None, which `compose` takes as a transparent scene; draws nothing."""


def _check_colors(colors: tuple[Color, ...]) -> None:
    for color in colors if isinstance(colors, list | tuple) else [colors]:
        if not isinstance(color, list | tuple) or len(color) != 3 or not all(map(_is_level, color)):
            raise ValueError(f"`colors` must be a list of triples of numbers in [0, 255], but got {color!r}.")


def _is_level(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 255


def _draw_color(rng: np.random.Generator, colors: tuple[Color, ...]) -> np.ndarray:
    """Draws a colour, (3,) float64."""
    if not colors:
        return rng.integers(0, 256, 3).astype(float)
    return np.array(colors[int(rng.integers(len(colors)))], float)
