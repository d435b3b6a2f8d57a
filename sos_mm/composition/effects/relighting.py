"""Relighting of complete images: the interface of relighters, and a classical one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from sos_mm.checks import check_range
from sos_mm.composition.scene import Light
from sos_mm.registry import Registry


@runtime_checkable
class Relighter(Protocol):
    """The interface of models that relight an image, such as generative ones."""

    def relight(self, image: np.ndarray, alpha: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
        """Relights a scene.

        Args:
            image: (H, W, 3) uint8 RGB; not to be changed.
            alpha: (H, W) uint8, joint alpha of the objects.
            light: The target light.
            rng: Source of random draws.

        Returns:
            (H, W, 3) uint8 RGB, with unchanged geometry.
        """


@runtime_checkable
class BatchRelighter(Relighter, Protocol):
    """The interface of relighters that relight several images at once: all random draws first, then their application.

    `Relighter.relight` of such a class is `plan`, followed by `relight_batch` of one image.
    """

    def plan(self, light: Light, rng: np.random.Generator) -> Mapping[str, Any]:
        """Draws how an image is relit.

        Args:
            light: The target light.
            rng: Source of all random draws.

        Returns:
            The draws, as JSON can hold them.
        """

    def relight_batch(
        self, images: Sequence[np.ndarray], alphas: Sequence[np.ndarray], plans: Sequence[Mapping[str, Any]]
    ) -> list[np.ndarray]:
        """Relights images of one size; draws nothing.

        Args:
            images: (H, W, 3) uint8 RGB each; not to be changed.
            alphas: (H, W) uint8 each, joint alpha of the objects.
            plans: The draws of `plan` for each image.

        Returns:
            (H, W, 3) uint8 RGB each, with unchanged geometry.

        Raises:
            MemoryError: If so many images need more memory than there is.
        """


_RELIGHTERS: Registry[Relighter] = Registry(
    "relighter.type", "key of {type}", elsewhere={"ICLightRelighter": "sos_mm.generation.relighting.relighter"}
)
# Registers a dataclass of settings with `build_relighter` under its name.
register_relighter = _RELIGHTERS.register


def build_relighter(config: Mapping[str, Any]) -> Relighter:
    """Builds a relighter from a dict such as ``dict(type='GradientRelighter', strength=0.4)``.

    Raises:
        ValueError: If the type or a key is unknown, or a value out of its range.
    """
    return _RELIGHTERS.build(config)


@register_relighter
@dataclass(frozen=True)
class GradientRelighter:
    """Brightens an image towards the light and darkens it away from it, evenly, and warms or cools it.

    It needs no network: it is a placeholder for a generative one, and gives objects and background the same light.

    Args:
        strength: Largest gain or loss of brightness, as a share of it, in [0, 1].
        warmth: Largest shift between red and blue, as a share of their brightness, in [0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """

    strength: float = 0.35
    warmth: float = 0.1

    def __post_init__(self):
        check_range("strength", self.strength, 0, 1)
        check_range("warmth", self.warmth, 0, 1)

    def relight(self, image: np.ndarray, alpha: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
        """Multiplies every pixel by a smooth gain; see `Relighter`."""
        right, down, _ = light.direction
        rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in image.shape[:2])
        towards = (rows[:, None] * down + columns * right) / max(abs(down) + abs(right), 1e-6)
        tint = self.warmth * rng.uniform(-1, 1)
        gain = (1 + self.strength * towards)[..., None] * np.array([1 + tint, 1, 1 - tint], np.float32)
        return cv2.multiply(image, gain.astype(np.float32), dtype=cv2.CV_8U)
