"""Procedural backgrounds: colours, gradients, textures, or none; and the factory of all kinds of backgrounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sos_mm.checks import check_integer, check_pair
from sos_mm.composition.backgrounds.photographs import PhotoBackgrounds, sample_backgrounds
from sos_mm.local_copies import local_copy
from sos_mm.registry import Registry
from sos_mm.storage import is_address

Color = tuple[int, int, int]


class Backgrounds(Protocol):
    """The interface of sources of backgrounds."""

    @property
    def fingerprint(self) -> str:
        """Content hash of the source: the same for the same images in any folder."""

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray | None:
        """Draws a background: (height, width, 3) uint8 RGB, not shared, or None for a transparent scene."""


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


_PHOTO_KEYS = tuple(name for name in signature(PhotoBackgrounds).parameters if name != "photos")
_MAKERS: Registry[Backgrounds] = Registry(
    "backgrounds.type",
    "key of backgrounds",
    {
        "folder": PhotoBackgrounds.from_folder,
        "sample": sample_backgrounds,
        "plain": PlainBackgrounds,
        "gradient": GradientBackgrounds,
        "texture": TextureBackgrounds,
        "none": NoBackgrounds,
    },
    {"folder": ("root", *_PHOTO_KEYS), "sample": ("group", *_PHOTO_KEYS)},
)


def build_backgrounds(config: Mapping[str, Any]) -> Backgrounds:
    """Builds backgrounds from a dict such as ``dict(type='plain', colors=[(127, 127, 127)])``.

    Args:
        config: ``type`` is 'folder' (with ``root``), 'sample' (with ``group``), each with the options of
            `PhotoBackgrounds`; 'plain', 'gradient' or 'texture' with those of their classes; or 'none'. ``root`` may be
            an address on object storage: what is there is copied to this machine, see `local_copy`.

    Raises:
        ValueError: From `check_backgrounds`, and for a value out of its range.
        FileNotFoundError: If there is no such folder.
        ConnectionError, ImportError, OSError: From `local_copy`.
    """
    check_backgrounds(config)
    return _MAKERS.build(with_local_root(config))


def with_local_root(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copies a ``root`` on object storage to this machine; returns the dict with the path of the copy."""
    return {**config, "root": local_copy(config["root"])} if is_address(config.get("root")) else dict(config)


def check_backgrounds(config: Mapping[str, Any]) -> None:
    """Checks the keys of a backgrounds dict without reading any file.

    Raises:
        ValueError: If the type or a key is unknown (says the nearest one), or ``root`` is missing.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"`backgrounds` must be a dict with a `type`, but got {config!r}.")
    _MAKERS.check(config)
    if config["type"] == "folder" and not isinstance(config.get("root"), str | Path):
        raise ValueError(f"`backgrounds` of type 'folder' must have `root`, a folder, but got {dict(config)}.")


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
