"""Sources of the images that segments are cut out of, and the images that a text-to-image model draws."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sos_mm.generation.filters import FLAGGED
from sos_mm.generation.prompts import DrawingPrompt
from sos_mm.seeding import Purpose, generator


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image of one object.

    Attributes:
        image: (H, W, 3) uint8 RGB; None if it could not be read.
        origin: Where it comes from, as JSON values, for the provenance.
        refused: The reason of `sos_mm.generation.filters.REASONS` for which it is not cut out; None if it is.
    """

    image: np.ndarray | None
    origin: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None


class SourceImages(Protocol):
    """Gives the images of a bank by their positions."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What identifies models or files, by names for the manifest."""
        ...

    def images(self, positions: Sequence[int]) -> Iterator[SourceImage]:
        """Yields the images at some positions of the bank, ascending."""
        ...


class DrawnImages:
    """Images that a text-to-image model draws.

    Args:
        model: The model; this and the next three as in `sos_mm.generation.recipe.DrawingRecipe`.
        sampling: Arguments of the pipeline's call.
        images_per_prompt: Number of images of each prompt.
        batch_size: Number of images that are drawn at once.
        prompts: The prompts.
        seed: The seed of the bank.
        device: As `sos_mm.generation.loading.find_device`.

    Attributes:
        identity: What identifies the model.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        sampling: Mapping[str, Any],
        images_per_prompt: int,
        batch_size: int,
        prompts: Sequence[DrawingPrompt],
        seed: int,
        device: str,
    ):
        from sos_mm.generation.loading import load_pipeline, model_identity
        from sos_mm.generation.text_to_image import TextToImage

        self._images_per_prompt, self._batch_size = images_per_prompt, batch_size
        self._prompts, self._seed = prompts, seed
        options = {key: value for key, value in model.items() if key not in ("licence", "vae_slicing")}
        pipeline = load_pipeline(**options, device=device)
        if model.get("vae_slicing"):
            pipeline.vae.enable_slicing()
        self._drawing = TextToImage(pipeline, sampling, batch_size)
        identity = model_identity(model["source"], model.get("revision"))
        self._model = {**identity, "pipeline": type(pipeline).__name__}
        if model.get("licence"):
            self._model["licence"] = model["licence"]
        self.identity = {"model": self._model}

    def images(self, positions: Sequence[int]) -> Iterator[SourceImage]:
        """Draws the images; raises RuntimeError if memory runs out even for one."""
        # From the full size at every shard, so that a resumed run draws the same batches.
        self._drawing.batch_size = self._batch_size
        texts = [self._prompts[position // self._images_per_prompt].text for position in positions]
        seeds = [seed_of(self._seed, position) for position in positions]
        for text, seed, drawn in zip(texts, seeds, self._drawing.draw(texts, seeds), strict=True):
            origin = {
                "prompt": text,
                "seed": seed,
                "batch": drawn.batch,
                "model": self._model["source"],
                "licence": self._model["licence"],
            }
            yield SourceImage(drawn.image, origin, FLAGGED if drawn.flagged else None)


def seed_of(run_seed: int, position: int) -> int:
    """Returns the seed of the noise of an image, in [0, 2**63)."""
    return int(generator(run_seed, Purpose.DRAWING_NOISE, position).integers(2**63, dtype=np.uint64))
