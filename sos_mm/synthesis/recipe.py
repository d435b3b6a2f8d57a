"""The recipe: all settings that determine the bytes of a data set, except the seed and the number of images."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sos_mm.checks import check_boolean, check_choice, check_integer, check_range, did_you_mean, one_name
from sos_mm.composition.backgrounds.factory import Backgrounds, build_backgrounds, check_backgrounds, with_local_root
from sos_mm.composition.effects.step import Step, build_steps
from sos_mm.composition.layouts.prior import LayoutPrior, build_layout
from sos_mm.config_file import check_settings, naming_file, open_config
from sos_mm.formats.composed import PHOTOGRAPHS, shown_by_backgrounds
from sos_mm.formats.phrases import category_key
from sos_mm.segments import build_bank
from sos_mm.segments.factory import check_bank, check_sampling, with_local_copies
from sos_mm.segments.protocol import Bank
from sos_mm.segments.sample import GROUPS
from sos_mm.synthesis.writers import IMAGE_FORMATS, Categories, Format, build_formats


@dataclass(frozen=True)
class Recipe:
    """The settings of a data set: plain numbers, strings, lists and dicts, as a config file holds them.

    Attributes:
        canvas: Height and width of the images.
        segments: ``dict(type='sample')`` for the bundled bank, or another dict for `build_bank`.
        backgrounds: ``dict(type='sample')``, ``dict(type='folder', root=...)``, or another dict for
            `build_backgrounds`.
        group: Group of the bundled segments and backgrounds: 'train', 'held_out' or 'all'.
        layout: ``dict(type='StructuredLayout', ...)`` with the options of that prior, or another prior.
        sampling: How segments are drawn: 'category', 'uniform', 'weighted' or 'single_category'.
        background_categories: Categories that the backgrounds may show without labels: a list of names of the
            vocabulary, or 'unknown' for any. None is 'unknown' for photographs and the empty list for procedural
            backgrounds. It determines LVIS's negative and not-exhaustive categories, and for which categories referring
            expressions may claim uniqueness or absence.
        effects: Light, shadows, edges and other effects, as `build_steps` takes them; 'default' for those of
            `default_light`. Empty by default: objects are painted unchanged. The old name ``light`` is accepted.
        min_visible_share: Objects with a smaller visible share are left out.
        min_area: Objects with fewer visible pixels are left out.
        keep_ignored: Paint such objects too, and annotate their visible pixels as ignore regions.
        vocabulary: The category ids by name: 'coco', 'lvis', an annotation file, or names (see `read_vocabulary`).
            None gives the segments' categories the ids 1 to N in alphabetical order.
        formats: Formats of the data set, as `build_formats` takes them.
        image_format: 'jpg' or 'png'.

    Raises:
        ValueError: If a value is invalid.
    """

    canvas: tuple[int, int]
    segments: dict[str, Any] = field(default_factory=lambda: {"type": "sample"})
    backgrounds: dict[str, Any] = field(default_factory=lambda: {"type": "sample"})
    group: str = "train"
    layout: dict[str, Any] = field(default_factory=lambda: {"type": "StructuredLayout"})
    sampling: str = "category"
    background_categories: str | Sequence[str] | None = None
    effects: str | Sequence[Mapping[str, Any]] = ()
    min_visible_share: float = 0.5
    min_area: int = 16
    keep_ignored: bool = False
    vocabulary: Any = None
    formats: Sequence[str | Mapping[str, Any]] = ("coco",)
    image_format: str = "jpg"
    light: InitVar[str | Sequence[Mapping[str, Any]] | None] = None

    def __post_init__(self, light: str | Sequence[Mapping[str, Any]] | None):
        object.__setattr__(self, "effects", one_name("effects", self.effects, "light", light))
        canvas = self.canvas
        if (
            not isinstance(canvas, list | tuple)
            or len(canvas) != 2
            or not all(isinstance(side, int) and not isinstance(side, bool) for side in canvas)
        ):
            raise ValueError(f"`canvas` must be a height and a width in integer pixels, but got {canvas!r}.")
        for side in canvas:
            check_integer("canvas", side, 16, 16384)
        with _naming("segments", self.segments):
            check_bank(self._with_group(self.segments))
        with _naming("backgrounds", self.backgrounds):
            check_backgrounds(self._with_group(self.backgrounds))
        check_choice("group", self.group, GROUPS)
        self.build_layout()
        check_sampling(self.sampling, self.segments)
        self.build_steps()
        check_range("min_visible_share", self.min_visible_share, 0, 1)
        check_integer("min_area", self.min_area, 1, canvas[0] * canvas[1])
        check_boolean("keep_ignored", self.keep_ignored)
        self.build_formats()
        self._check_background_categories()
        check_choice("image_format", self.image_format, IMAGE_FORMATS)
        if self.backgrounds["type"] == "none" and self.image_format == "jpg":
            raise ValueError("`image_format` must be 'png' where `backgrounds` is of type 'none', but got 'jpg'.")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "Recipe":
        """Builds a recipe from the content of a config file.

        Raises:
            ValueError: If a key is unknown (names the nearest one) or missing, or a value is invalid.
        """
        for key in config:
            check_choice("key of the recipe", key, _known_keys())
        if "canvas" not in config:
            raise ValueError("The recipe must have a `canvas`, such as `canvas = (384, 384)`.")
        return cls(**config)

    def to_dict(self) -> dict[str, Any]:
        """Returns all values, defaults included, as JSON can hold them."""
        return json.loads(json.dumps(asdict(self)))

    @property
    def sha256(self) -> str:
        """Hash of the recipe; equal for recipes that differ only in spelling or order of keys."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def build_bank(self) -> Bank:
        """Opens the segments; raises the errors of their reader."""
        with _naming("segments", self.segments):
            return build_bank(self._with_group(self.segments))

    def build_backgrounds(self) -> Backgrounds:
        """Opens the backgrounds; raises the errors of their reader."""
        with _naming("backgrounds", self.backgrounds):
            return build_backgrounds(self._with_group(self.backgrounds))

    def with_local_copies(self) -> "Recipe":
        """Copies segments and backgrounds on object storage to this machine; returns the recipe with their paths.

        It composes the same images, but on this machine alone.
        """
        segments, backgrounds = with_local_copies(self.segments), with_local_root(self.backgrounds)
        same = segments == self.segments and backgrounds == self.backgrounds
        return self if same else replace(self, segments=segments, backgrounds=backgrounds)

    def build_layout(self) -> LayoutPrior:
        """Builds the layout prior."""
        with _naming("layout", self.layout):
            return build_layout(self.layout)

    def build_steps(self) -> tuple[Step, ...]:
        """Builds the steps of the effects."""
        with _naming("effects", self.effects):
            return build_steps([self.effects] if isinstance(self.effects, str) else self.effects)

    def build_formats(self) -> tuple[Format, ...]:
        """Builds the formats of the data set."""
        with _naming("formats", self.formats):
            return build_formats(self.formats)

    @property
    def has_empty_backgrounds(self) -> bool:
        """Whether backgrounds show no object at all, since they are no photographs."""
        return self.backgrounds["type"] not in PHOTOGRAPHS

    def background_ids(self, categories: Categories) -> frozenset[int] | None:
        """Returns the ids of the categories that the backgrounds may show; None for any.

        Raises:
            ValueError: If a name is not in the vocabulary (says the nearest one).
        """
        names = shown_by_backgrounds(self.background_categories, self.backgrounds["type"])
        if names == "unknown":
            return None
        ids = categories.id_of_key
        for name in names:
            if category_key(name) not in ids:
                hint = did_you_mean(category_key(name), ids)
                raise ValueError(f"`background_categories` must be names of the vocabulary, but got {name!r}.{hint}")
        return frozenset(ids[category_key(name)] for name in names)

    @property
    def _is_referring(self) -> bool:
        options = [{"type": each} if isinstance(each, str) else each for each in self.formats]
        return any(each.get("type") == "referring" for each in options)

    def _check_background_categories(self) -> None:
        names = self.background_categories
        if self._is_referring and shown_by_backgrounds(names, self.backgrounds["type"]) == "unknown":
            raise ValueError(
                "The format 'referring' needs `background_categories`, since what the backgrounds show decides which "
                "expressions are unique: give the categories that they may show, [] if none of the vocabulary."
            )
        if names is None or names == "unknown":
            return
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"`background_categories` must be 'unknown' or a list of names, but got {names!r}.")

    def _with_group(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(source, Mapping) and source.get("type") == "sample":
            return {"group": self.group, **source}
        return source


def _known_keys() -> list[str]:
    return [*(known.name for known in fields(Recipe)), "light"]


@contextmanager
def _naming(key: str, value: object) -> Iterator[None]:
    """Names the recipe's key in an error about a value of the wrong type, such as a number instead of a list."""
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError) as error:
        raise ValueError(f"`{key}` cannot be {value!r}: {error}.") from error


_A_RECIPE = (
    "a recipe of a data set, a config file that sets what is composed, such as `canvas` and `segments` "
    "(`sos-mm config synthesis/sample_detection.py` copies one out)"
)


def load_recipe(path: str | Path, options: Mapping[str, Any] | None = None) -> Recipe:
    """Reads a recipe from an OpenMMLab config file.

    Args:
        path: A ``.py``, ``.json`` or ``.yaml`` file; ``_base_`` works as in any config.
        options: Values that replace those of the file, by dotted keys, as from ``--cfg-options``.

    Raises:
        ImportError: If mmengine is not installed (which works without torch).
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a recipe.
    """
    config = read_config(path, options)
    check_settings(path, config, _known_keys(), _A_RECIPE)
    with naming_file(path):
        return Recipe.from_dict(config)


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Reads the values of an OpenMMLab config file; takes and raises what `load_recipe` does."""
    config = open_config(path, "The recipe")
    # One by one, so that an error names its option; `_delete_` first, which empties what the others fill.
    for name, value in sorted((options or {}).items(), key=lambda option: not option[0].endswith("_delete_")):
        try:
            config.merge_from_dict({name: value})
        except (AttributeError, LookupError, TypeError) as error:
            text = f"The option {name}={value!r} cannot replace a value of {path}: {error} ({type(error).__name__})."
            raise ValueError(f"{text} Give the complete value instead, such as canvas=48,48.") from error
    return config.to_dict()
