"""Effect steps: their interface, their order, and the factory of a list of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zlib import crc32

import numpy as np

from sos_mm.checks import check_boolean, check_choice, check_range
from sos_mm.composition.place import Sprite
from sos_mm.composition.scene import Light
from sos_mm.registry import Registry


@dataclass(frozen=True, eq=False)
class Frame:
    """The state of a scene while effects are applied.

    Attributes:
        image: (H, W, 3) uint8 RGB, painted so far; steps may change it in place where documented.
        light: The light of the scene.
        bare: Whether the scene is transparent, without a background.
        nearest: Depth of the nearest object; None if no object has a depth.
        focus: Depth in focus, of an object drawn at random; None if no object has a depth.
    """

    image: np.ndarray
    light: Light
    bare: bool = False
    nearest: float | None = None
    focus: float | None = None


class Step:
    """The interface of an effect. A step overrides the methods that it needs, holds only settings, and draws from
    ``rng``.

    For each object, from back to front, all `retouch` methods are called in the order of the list, then all `underlay`
    methods, then the object is painted. When all objects are painted, every `finish` is called. No step may change
    whether a pixel's alpha is at least 128, so the masks do not depend on the steps.
    """

    def retouch(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> Sprite:
        """Returns the object as it will be painted; ``frame.image`` holds the pixels behind it."""
        return sprite

    def underlay(self, sprite: Sprite, frame: Frame, rng: np.random.Generator) -> None:
        """Changes ``frame.image``, on which the object is painted next."""

    def finish(self, sprites: Sequence[Sprite], frame: Frame, rng: np.random.Generator) -> None:
        """Changes ``frame.image`` after all objects, from back to front, have been painted."""


_STEPS: Registry[Step] = Registry("step.type", "key of {type}")
# Registers a dataclass of settings with `build_steps` under its name.
register_step = _STEPS.register


def build_steps(configs: Sequence[str | Mapping[str, Any]]) -> tuple[Step, ...]:
    """Builds steps from a list such as ``[dict(type='Harmonize', strength=0.4), dict(type='CastShadow')]``.

    The string 'default' in it stands for the steps of `default_light`. A step is disabled by leaving it out, or by
    ``enabled=False`` beside its type, which changes a single value of a config.

    Raises:
        ValueError: If a type or a key is unknown, or a value out of its range.
    """
    if not isinstance(configs, list | tuple):
        raise ValueError(f"`effects` must be a list of dicts with a `type`, or 'default', but got {configs!r}.")
    steps = []
    words = [config for config in configs if isinstance(config, str)]
    for word in words:
        check_choice("effects", word, ("default",))
    for config in chain.from_iterable(default_light() if isinstance(each, str) else [each] for each in configs):
        if not isinstance(config, Mapping):
            raise ValueError(f"`effects` must be a list of dicts with a `type`, or 'default', but has {config!r}.")
        check_boolean("enabled", config.get("enabled", True))
        step = _STEPS.build({key: value for key, value in config.items() if key != "enabled"})
        if config.get("enabled", True):
            steps.append(step)
    return tuple(steps)


def default_light() -> list[dict[str, Any]]:
    """Returns the default light effects, as a config holds them."""
    names = ("Harmonize", "DirectionalShading", "ContactShadow", "CastShadow", "EdgeFeather", "GrainMatch")
    return [{"type": name} for name in names]


class Lighting:
    """The steps of one scene with their light and their random streams.

    The light is drawn first. Each step has its own random stream, keyed by its name, so that disabling one step does
    not change the draws of the others.

    Args:
        steps: The steps.
        rng: Source of all random draws.
    """

    def __init__(self, steps: Sequence[Step], rng: np.random.Generator):
        self.light = Light.drawn(rng)
        self._focus = float(rng.random())
        key = int(rng.integers(2**63))
        names = [type(step).__name__ for step in steps]
        self._steps = [
            (step, _stream(key, name, names[:index].count(name)))
            for index, (step, name) in enumerate(zip(steps, names, strict=True))
        ]

    def frame(self, image: np.ndarray, bare: bool, sprites: Iterable[Sprite]) -> Frame:
        """Builds the state of a scene with these objects before any effect is applied; see `Frame`."""
        depths = sorted(sprite.depth for sprite in sprites if sprite.depth is not None)
        nearest, focus = (depths[0], depths[int(self._focus * len(depths))]) if depths else (None, None)
        return Frame(image, self.light, bare, nearest, focus)

    def before(self, sprite: Sprite, frame: Frame) -> Sprite:
        """Applies all effects that precede the painting of an object; returns the object to paint."""
        for step, rng in self._steps:
            sprite = step.retouch(sprite, frame, rng)
        for step, rng in self._steps:
            step.underlay(sprite, frame, rng)
        return sprite

    def finish(self, sprites: Sequence[Sprite], frame: Frame) -> None:
        """Applies all effects that follow the last object."""
        for step, rng in self._steps:
            step.finish(sprites, frame, rng)


def _stream(key: int, name: str, occurrence: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([key, crc32(f"{name}/{occurrence}".encode())], np.uint64)))


def check_shares(step: Step, *names: str) -> None:
    """Raises ValueError unless the settings of these names are in [0, 1]."""
    for name in names:
        check_range(name, getattr(step, name), 0, 1)
