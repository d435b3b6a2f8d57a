"""Recipes of banks of drawn segments: everything that determines their bytes, except the seed."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from typing import Any, TypeVar

from sos_mm.checks import check_boolean, check_choice, check_fields, check_integer
from sos_mm.generation.filters import DrawingFilters
from sos_mm.generation.prompts import PROMPT_SOURCES, DrawingPrompt, check_folders
from sos_mm.generation.source_images import DrawnImages, SourceImages
from sos_mm.generation.subject_pairs import PanelImages, SubjectPairs
from sos_mm.segments.vocabulary import read_vocabulary

MODEL_KEYS = ("source", "licence", "dtype", "offload", "revision", "variant", "pipeline_class", "config", "vae_slicing")
Recipe = TypeVar("Recipe", bound="BankRecipe")


@dataclass(frozen=True, kw_only=True)
class BankRecipe(ABC):
    """The settings of a bank of segments that are cut out of images of one object, as a config file holds them.

    Attributes:
        categories: 'coco', 'lvis', 'objects365', 'ade20k', an annotation file, or a list of names (see
            `sos_mm.segments.vocabulary.read_vocabulary`).
        cutter: The cutter, as `sos_mm.cutouts.build_cutter` takes it.
        second_cutter: A second one, for the filter 'agreement'; None for none.
        filters: The fields of `DrawingFilters`.
        text_model: ``source`` and ``dtype`` of a CLIP or SigLIP model for the filters 'similarity' and 'rank'; None for
            none.
        shard_size: Number of images in a shard; a run resumes at a shard.
        keep_rejected: Whether to keep the images of rejected segments, in ``rejected/<reason>``.

    Raises:
        ValueError: If a value is invalid.
    """

    categories: Any
    cutter: dict[str, Any]
    second_cutter: dict[str, Any] | None = None
    filters: dict[str, Any] = field(default_factory=dict)
    text_model: dict[str, Any] | None = None
    shard_size: int = 96
    keep_rejected: bool = False

    def __post_init__(self):
        self._check_dicts("cutter", "filters")
        if self.text_model is not None:
            self._check_model("text_model", ("source", "dtype"))
        check_integer("shard_size", self.shard_size, 1, 10**6)
        check_boolean("keep_rejected", self.keep_rejected)
        self.build_filters()

    def _check_dicts(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"`{name}` must be a dict, but got {getattr(self, name)!r}.")

    def _check_model(self, name: str, keys: Sequence[str]) -> None:
        self._check_dicts(name)
        value = getattr(self, name)
        for key in value:
            check_choice(f"key of {name}", key, keys)
        if not isinstance(value.get("source"), str):
            raise ValueError(f"`{name}.source` must be a folder, file or hub id, but got {value.get('source')!r}.")

    @classmethod
    def from_dict(cls: type[Recipe], config: Mapping[str, Any]) -> Recipe:
        """Builds a recipe from the content of a config file.

        Raises:
            ValueError: If a key is unknown (names the nearest one), keys are missing, or a value is invalid.
        """
        check_fields("recipe", config, cls)
        needed = [name for name, each in signature(cls).parameters.items() if each.default is each.empty]
        if missing := [name for name in needed if name not in config]:
            named, held = (", ".join(f"`{name}`" for name in names) for names in (missing, config))
            raise ValueError(f"The recipe must have {named}, but has only {held}: add what is missing.")
        return cls(**config)

    def to_dict(self) -> dict[str, Any]:
        """Returns all values, defaults included, as JSON can hold them."""
        return json.loads(json.dumps(asdict(self), default=str))

    @property
    def sha256(self) -> str:
        """Hash of the recipe; equal for recipes that differ only in spelling or order of keys."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def repeats(self) -> int:
        """Number of images of each prompt."""
        return 1

    def build_filters(self) -> DrawingFilters:
        """Builds the filters."""
        return DrawingFilters.from_dict(self.filters)

    def category_names(self) -> list[str]:
        """Reads the names of the categories; raises what `read_vocabulary` does."""
        return list(read_vocabulary(self.categories))

    def write_prompts(self, seed: int) -> list[DrawingPrompt]:
        """Writes the prompts: the texts of all segments.

        Raises:
            FileNotFoundError, ValueError: If categories or prompts are invalid, or there are none.
            EndpointError, ImportError: From a language model.
        """
        prompts = list(self._prompts(seed))
        if not prompts:
            raise ValueError("The recipe must give prompts, but gives none: check `categories` and `prompts`.")
        check_folders(prompts)
        return prompts

    @abstractmethod
    def _prompts(self, seed: int) -> Iterator[DrawingPrompt]:
        """Yields the prompts."""

    @abstractmethod
    def build_images(self, prompts: Sequence[DrawingPrompt], seed: int, device: str) -> SourceImages:
        """Builds the source of the images: `repeats` of each prompt."""


@dataclass(frozen=True, kw_only=True)
class DrawingRecipe(BankRecipe):
    """The settings of a bank whose images a text-to-image model draws; further ones are those of `BankRecipe`.

    Attributes:
        model: The text-to-image model: ``source`` (folder in diffusers' layout, ``.safetensors`` file or hub id),
            ``licence`` (for the provenance; known for some hub ids), ``dtype``, ``offload``, ``revision``, ``variant``,
            ``pipeline_class`` and ``config`` as `sos_mm.generation.loading.load_pipeline` takes them, and
            ``vae_slicing`` to decode one image at a time.
        sampling: Arguments of the pipeline's call, such as ``num_inference_steps``, ``guidance_scale``, ``height``,
            ``width`` and ``negative_prompt``.
        prompts: ``type`` 'templates', 'file' or 'language_model' with the options of `TemplatePrompts`, `PromptFile` or
            `WrittenPrompts`.
        images_per_prompt: Number of images of each prompt, each with its own seed.
        batch_size: Number of images that are drawn at once.

    Raises:
        ValueError: If a value is invalid.
    """

    model: dict[str, Any]
    sampling: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=lambda: {"type": "templates"})
    images_per_prompt: int = 3
    batch_size: int = 4

    def __post_init__(self):
        super().__post_init__()
        self._check_dicts("model", "sampling", "prompts")
        self._check_model("model", MODEL_KEYS)
        for name, high in (("images_per_prompt", 10**6), ("batch_size", 10**4)):
            check_integer(name, getattr(self, name), 1, high)
        PROMPT_SOURCES.check(self.prompts)

    @property
    def repeats(self) -> int:
        """Number of images of each prompt."""
        return self.images_per_prompt

    def _prompts(self, seed: int) -> Iterator[DrawingPrompt]:
        yield from PROMPT_SOURCES.build(self.prompts).write(self.category_names(), seed)

    def build_images(self, prompts: Sequence[DrawingPrompt], seed: int, device: str) -> SourceImages:
        """Loads the model; raises what `sos_mm.generation.loading.load_pipeline` does."""
        return DrawnImages(self.model, self.sampling, self.images_per_prompt, self.batch_size, prompts, seed, device)


@dataclass(frozen=True, kw_only=True)
class PairsRecipe(BankRecipe):
    """The settings of a bank that is cut out of subject pairs; further ones are those of `BankRecipe`.

    Attributes:
        pairs: The fields of `SubjectPairs`.
        categories: As for `BankRecipe`: a row's category is the longest name with which its item ends, such as "chair"
            for "Eames Lounge Chair"; rows without one are left out. None takes the categories of the files.

    Raises:
        ValueError: If a value is invalid.
    """

    pairs: dict[str, Any]

    def __post_init__(self):
        super().__post_init__()
        self.subject_pairs()

    def subject_pairs(self) -> SubjectPairs:
        """Builds the description of the files; raises ValueError for an unknown key, with the nearest one."""
        check_fields("pairs", self.pairs, SubjectPairs)
        if "files" not in self.pairs:
            raise ValueError("`pairs.files` must name Parquet files, but is not given.")
        return SubjectPairs(**self.pairs)

    def _prompts(self, seed: int) -> Iterator[DrawingPrompt]:
        paired = self._paired()
        if not paired.listed:
            reasons = ", ".join(f"{number} {reason}" for reason, number in paired.left_out.items())
            raise ValueError(
                "`pairs.files` must hold pairs of the recipe's categories, but all rows are left out "
                f"({reasons}): check `categories` and `pairs.least_quality`."
            )
        yield from (each.prompt for each in paired.listed)

    def build_images(self, prompts: Sequence[DrawingPrompt], seed: int, device: str) -> SourceImages:
        """Lists the images of the files; raises ValueError if they are not those of the prompts."""
        paired = self._paired()
        if [each.prompt for each in paired.listed] != list(prompts):
            raise ValueError("`pairs.files` must be as they were when the run began, but other pairs are there now.")
        return paired

    def _paired(self) -> PanelImages:
        return PanelImages(self.subject_pairs(), None if self.categories is None else self.category_names())


# Names of the settings of either recipe.
KEYS = frozenset(each.name for kind in (DrawingRecipe, PairsRecipe) for each in fields(kind))


def build_bank_recipe(config: Mapping[str, Any]) -> BankRecipe:
    """Builds the recipe of a config file: a `PairsRecipe` if it has ``pairs``, else a `DrawingRecipe`.

    Raises:
        ValueError: As `BankRecipe.from_dict`.
    """
    return PairsRecipe.from_dict(config) if "pairs" in config else DrawingRecipe.from_dict(config)
