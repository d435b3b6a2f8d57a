"""The interface of backgrounds, and their factory from dicts, as recipes hold them."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sos_mm.composition.backgrounds.photographs import PhotoBackgrounds, sample_backgrounds
from sos_mm.composition.backgrounds.procedural import (
    GradientBackgrounds,
    NoBackgrounds,
    PlainBackgrounds,
    TextureBackgrounds,
)
from sos_mm.local_copies import local_copy
from sos_mm.registry import Registry
from sos_mm.storage import is_address


class Backgrounds(Protocol):
    """The interface of sources of backgrounds."""

    @property
    def fingerprint(self) -> str:
        """Content hash of the source: the same for the same images in any folder."""

    def sample(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray | None:
        """Draws a background: (height, width, 3) uint8 RGB, not shared, or None for a transparent scene."""


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
