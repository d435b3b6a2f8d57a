"""Steps of light and edges: what they may do to a scene, and how a list of them is built."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zlib import crc32

import cv2
import numpy as np

from sos_mm.checks import check_choice, check_range
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Light
from sos_mm.registry import Registry


@dataclass(frozen=True, eq=False)
class Frame:
    """What a step sees of the scene that is being made.

    Attributes:
        image: (H, W, 3) uint8 RGB, what has been painted so far; steps may change it in place where they say so.
        light: The light of the whole scene.
        bare: Whether there is no background, but transparency.
        nearest: Depth of the nearest object; None if no object has a depth.
        focus: Depth in focus, that of an object drawn at random; None if no object has a depth.
    """

    image: np.ndarray
    light: Light
    bare: bool = False
    nearest: float | None = None
    focus: float | None = None


class Step:
    """One step; each overrides what it needs. Steps hold settings alone, and every draw comes from ``rng``.

    For each object from back to front first all `retouch` are called in the order of the list, then all
    `underlay`, then the object is painted; when all are painted, every `finish`. No step may change whether a
    pixel's alpha is at least 128, so the masks are the same with any steps or none.
    """

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """The object as it is to be painted; ``frame.image`` is what is behind it."""
        return sprite

    def underlay(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> None:
        """Changes ``frame.image``, where the object is painted next."""

    def finish(self, sprites: Sequence[Sprite], frame: Frame, rng: np.random.Generator) -> None:
        """Changes ``frame.image``, where all objects, from back to front, have been painted."""


_STEPS: Registry[Step] = Registry("step.type", "key of {type}")
# Makes a dataclass of settings known to `build_steps` by its name.
register_step = _STEPS.register


def build_steps(configs: Sequence[str | Mapping[str, Any]]) -> tuple[Step, ...]:
    """Steps from a list such as ``[dict(type='Harmonize', strength=0.4), dict(type='CastShadow')]``.

    The word 'default' in it stands for the steps of `default_light`. A step is switched off by leaving it out, or
    by ``enabled=False`` beside its type, which needs one changed value in a config.

    Raises:
        ValueError: If a type or a key is unknown, or a value out of its range.
    """
    steps = []
    words = [config for config in configs if isinstance(config, str)]
    for word in words:
        check_choice("effects", word, ("default",))
    for config in chain.from_iterable(default_light() if isinstance(each, str) else [each] for each in configs):
        step = _STEPS.build({key: value for key, value in config.items() if key != "enabled"})
        if config.get("enabled", True):
            steps.append(step)
    return tuple(steps)


def default_light() -> list[dict[str, Any]]:
    """The steps that are meant by "with light", as a config holds them."""
    names = ("Harmonize", "DirectionalShading", "ContactShadow", "CastShadow", "EdgeFeather", "GrainMatch")
    return [{"type": name} for name in names]


class Lighting:
    """The steps of one scene with their light and their draws.

    The light, over a shoulder of the photographer, is drawn first and each step has a stream of its own,
    keyed by its name, so that a step that is switched off moves nothing else.

    Args:
        steps: What to do.
        rng: Where all draws come from.
    """

    def __init__(self, steps: Sequence[Step], rng: np.random.Generator):
        # From the photographer's side: light from behind throws shadows to the front, and from the very side along
        # the ground, where they lie apart from all that is round or hangs in the air.
        self.light = Light(azimuth=float(rng.uniform(30, 150)), elevation=float(rng.uniform(35, 65)))
        self._focus = float(rng.random())
        key = int(rng.integers(2**63))
        names = [type(step).__name__ for step in steps]
        self._steps = [
            (step, _stream(key, name, names[:index].count(name)))
            for index, (step, name) in enumerate(zip(steps, names, strict=True))
        ]

    def frame(self, image: np.ndarray, bare: bool, sprites: Iterable[Sprite]) -> Frame:
        """What the steps see of a scene of these sprites."""
        depths = sorted(sprite.depth for sprite in sprites if sprite.depth is not None)
        nearest, focus = (depths[0], depths[int(self._focus * len(depths))]) if depths else (None, None)
        return Frame(image, self.light, bare, nearest, focus)

    def before(self, sprite: Sprite, frame: Frame) -> Sprite:
        """All that comes before an object is painted; the object to paint."""
        for step, rng in self._steps:
            sprite = step.retouch(sprite, frame, rng)
        for step, rng in self._steps:
            step.underlay(sprite, frame, rng)
        return sprite

    def finish(self, sprites: Sequence[Sprite], frame: Frame) -> None:
        """All that comes after the last object."""
        for step, rng in self._steps:
            step.finish(sprites, frame, rng)


def _stream(key: int, name: str, occurrence: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([key, crc32(f"{name}/{occurrence}".encode())], np.uint64)))


def small_alpha(sprite: Sprite, side: int) -> np.ndarray:
    """A sprite's alpha, reduced until its longer side is at most that; (h, w) uint8, each at least 2.

    For soft things: of large sprites not every pixel is looked at, but at least two a pixel of the result.
    """
    step = max(max(sprite.rgba.shape[:2]) // (2 * side), 1)
    # What is thinner than half a step keeps its last row or column.
    top, left = (min(step // 2, length - 1) for length in sprite.rgba.shape[:2])
    alpha = np.ascontiguousarray(sprite.rgba[top::step, left::step, 3])
    scale = min(side / max(sprite.rgba.shape[:2]), 1)
    height, width = (max(round(length * scale), 2) for length in sprite.rgba.shape[:2])
    return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)


def check_shares(step: Step, *names: str) -> None:
    """Raises ValueError unless those settings are in [0, 1]."""
    for name in names:
        check_range(name, getattr(step, name), 0, 1)
