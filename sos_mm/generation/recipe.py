"""The recipe of a bank of drawn segments: everything that determines its bytes, except the seed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from typing import Any

from sos_mm.checks import check_choice, check_integer
from sos_mm.generation.filters import DrawingFilters
from sos_mm.generation.prompts import PROMPT_SOURCES, DrawingPrompt, check_folders
from sos_mm.segments.vocabulary import read_vocabulary

MODEL_KEYS = ("source", "licence", "dtype", "offload", "revision", "variant", "pipeline_class", "config", "vae_slicing")


@dataclass(frozen=True)
class DrawingRecipe:
    """The settings of a bank of drawn segments: plain values, as a config file holds them.

    Attributes:
        categories: 'coco', 'lvis', 'objects365', 'ade20k', an annotation file, or a list of names (see
            `sos_mm.segments.vocabulary.read_vocabulary`).
        model: The text-to-image model: ``source`` (folder in diffusers' layout, ``.safetensors`` file or hub id),
            ``licence`` (for the provenance; known for some hub ids), ``dtype``, ``offload``, ``revision``, ``variant``,
            ``pipeline_class`` and ``config`` as `sos_mm.generation.loading.load_pipeline` takes them, and
            ``vae_slicing`` to decode one image at a time.
        sampling: Arguments of the pipeline's call, such as ``num_inference_steps``, ``guidance_scale``, ``height``,
            ``width`` and ``negative_prompt``.
        cutter: The cutter, as `sos_mm.cutouts.build_cutter` takes it.
        second_cutter: A second one, for the filter 'agreement'; None for none.
        prompts: ``type`` 'templates', 'file' or 'language_model' with the options of `TemplatePrompts`, `PromptFile` or
            `WrittenPrompts`.
        images_per_prompt: Number of images of each prompt, each with its own seed.
        batch_size: Number of images that are drawn at once.
        shard_size: Number of images in a shard; a run resumes at a shard.
        filters: The fields of `DrawingFilters`.
        text_model: ``source`` and ``dtype`` of a CLIP or SigLIP model for the filters 'similarity' and 'rank'; None for
            none.
        keep_rejected: Whether to keep the drawn images of rejected segments, in ``rejected/<reason>``.

    Raises:
        ValueError: If a value is invalid.
    """

    categories: Any
    model: dict[str, Any]
    cutter: dict[str, Any]
    sampling: dict[str, Any] = field(default_factory=dict)
    second_cutter: dict[str, Any] | None = None
    prompts: dict[str, Any] = field(default_factory=lambda: {"type": "templates"})
    images_per_prompt: int = 3
    batch_size: int = 4
    shard_size: int = 96
    filters: dict[str, Any] = field(default_factory=dict)
    text_model: dict[str, Any] | None = None
    keep_rejected: bool = False

    def __post_init__(self):
        for name in ("model", "cutter", "sampling", "prompts", "filters"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"`{name}` must be a dict, but got {getattr(self, name)!r}.")
        for name, keys in (("model", MODEL_KEYS), ("text_model", ("source", "dtype"))):
            value = getattr(self, name)
            for key in value or ():
                check_choice(f"key of {name}", key, keys)
            if value is not None and not isinstance(value.get("source"), str):
                raise ValueError(f"`{name}.source` must be a folder, file or hub id, but got {value.get('source')!r}.")
        for name, high in (("images_per_prompt", 10**6), ("batch_size", 10**4), ("shard_size", 10**6)):
            check_integer(name, getattr(self, name), 1, high)
        PROMPT_SOURCES.check(self.prompts)
        self.build_filters()

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "DrawingRecipe":
        """Builds a recipe from the content of a config file.

        Raises:
            ValueError: If a key is unknown (names the nearest one) or missing, or a value is invalid.
        """
        for key in config:
            check_choice("key of the recipe", key, [known.name for known in fields(cls)])
        for name, parameter in signature(cls).parameters.items():
            if parameter.default is parameter.empty and name not in config:
                raise ValueError(f"The recipe must have `{name}`, but has only {', '.join(config)}.")
        return cls(**config)

    def to_dict(self) -> dict[str, Any]:
        """Returns all values, defaults included, as JSON can hold them."""
        return json.loads(json.dumps(asdict(self), default=str))

    @property
    def sha256(self) -> str:
        """Hash of the recipe; equal for recipes that differ only in spelling or order of keys."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def build_filters(self) -> DrawingFilters:
        """Builds the filters."""
        return DrawingFilters.from_dict(self.filters)

    def category_names(self) -> list[str]:
        """Reads the names of the categories; raises what `read_vocabulary` does."""
        return list(read_vocabulary(self.categories))

    def write_prompts(self, seed: int) -> list[DrawingPrompt]:
        """Writes the prompts.

        Raises:
            FileNotFoundError, ValueError: If categories or prompts are invalid, or there are none.
            EndpointError, ImportError: From a language model.
        """
        prompts = list(self._prompts(seed))
        if not prompts:
            raise ValueError("The recipe must give prompts, but gives none: check `categories` and `prompts`.")
        check_folders(prompts)
        return prompts

    def _prompts(self, seed: int) -> Iterator[DrawingPrompt]:
        yield from PROMPT_SOURCES.build(self.prompts).write(self.category_names(), seed)
