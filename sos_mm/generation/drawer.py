"""Draws the images of shards, cuts out their objects and judges them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sos_mm.cutouts import build_cutter
from sos_mm.generation.filters import REASONS, Judged, judge
from sos_mm.generation.loading import content_hash, load_pipeline, model_identity
from sos_mm.generation.prompts import DrawingPrompt
from sos_mm.generation.recipe import DrawingRecipe
from sos_mm.generation.shards import ShardEntry
from sos_mm.generation.text_agreement import TextAgreement
from sos_mm.generation.text_to_image import DrawnImage, TextToImage
from sos_mm.seeding import Purpose, generator

# Images that wait for the cutter while further ones are drawn.
_WAITING = 16


class Drawer:
    """Draws, cuts and judges the images of shards.

    Args:
        recipe: The recipe.
        prompts: Its prompts.
        seed: The seed of the bank.
        device: As `sos_mm.generation.loading.find_device`.

    Attributes:
        recipe: The recipe.
        images: Number of images of the bank.
        sources: What identifies the models, for the manifest.
    """

    def __init__(self, recipe: DrawingRecipe, prompts: Sequence[DrawingPrompt], seed: int, device: str):
        self.recipe, self._prompts, self._seed = recipe, prompts, seed
        self._filters = recipe.build_filters()
        self._cutter = build_cutter(recipe.cutter)
        self._second = None if recipe.second_cutter is None else build_cutter(recipe.second_cutter)
        self._text = self._build_text_model(device)
        options = {key: value for key, value in recipe.model.items() if key not in ("licence", "vae_slicing")}
        pipeline = load_pipeline(**options, device=device)
        if recipe.model.get("vae_slicing"):
            pipeline.vae.enable_slicing()
        self._drawing = TextToImage(pipeline, recipe.sampling, recipe.batch_size)
        self.images = len(prompts) * recipe.images_per_prompt
        model = model_identity(recipe.model["source"], recipe.model.get("revision"))
        self._model = {**model, "pipeline": type(pipeline).__name__}
        if recipe.model.get("licence"):
            self._model["licence"] = recipe.model["licence"]
        self.sources = {"model": self._model, **_file_hashes(recipe)}

    def _build_text_model(self, device: str) -> TextAgreement | None:
        if self.recipe.text_model is None:
            return None
        return TextAgreement(**self.recipe.text_model, categories=self._categories(), device=device)

    def _categories(self) -> list[str]:
        return list(dict.fromkeys(prompt.category for prompt in self._prompts))

    def entries(self, shard: int) -> Iterator[ShardEntry]:
        """Yields the images of a shard; one thread cuts and judges while the next images are drawn."""
        first = shard * self.recipe.shard_size
        places = range(first, min(first + self.recipe.shard_size, self.images))
        # From the full size at every shard, so that a resumed run draws the same batches.
        self._drawing.batch_size = self.recipe.batch_size
        seeds = [seed_of(self._seed, place) for place in places]
        drawn = self._drawing.draw([self._prompt(place).text for place in places], seeds)
        waiting: deque[Future[ShardEntry]] = deque()
        pool = ThreadPoolExecutor(1)
        try:
            for place, seed, image in zip(places, seeds, drawn, strict=True):
                waiting.append(pool.submit(self._entry, place, seed, image))
                while len(waiting) > _WAITING or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _prompt(self, place: int) -> DrawingPrompt:
        return self._prompts[place // self.recipe.images_per_prompt]

    def _entry(self, place: int, seed: int, drawn: DrawnImage) -> ShardEntry:
        prompt = self._prompt(place)
        judged = self._judge(drawn, prompt)
        kept = not judged.reasons
        record = {
            "id": f"{place:08d}",
            "category": prompt.category,
            "folder": prompt.folder,
            "phrase": prompt.phrase,
            "description": prompt.description,
            "features": list(prompt.features),
            "prompt": prompt.text,
            "seed": seed,
            "batch": drawn.batch,
            "model": self._model["source"],
            "licence": self._model["licence"],
            "scores": judged.scores,
            "reasons": list(judged.reasons),
        }
        drawing = drawn.image if self.recipe.keep_rejected else None
        return ShardEntry(record, judged.rgba if kept else None, drawing)

    def _judge(self, drawn: DrawnImage, prompt: DrawingPrompt) -> Judged:
        if drawn.flagged:
            return Judged(None, {}, (REASONS[0],))
        judged = judge(drawn.image, self._cutter, self._second, self._filters, prompt.phrase)
        if self._text is None or judged.rgba is None:
            return judged
        scores = self._text.score(judged.rgba, prompt.category, prompt.phrase)
        worst = self._filters.rank
        other = scores["similarity"] < self._filters.similarity or (worst is not None and scores["rank"] > worst)
        return judged.rejected_too(("another object",) if other else (), scores)


def seed_of(run_seed: int, place: int) -> int:
    """Returns the seed of the noise of an image, in [0, 2**63)."""
    return int(generator(run_seed, Purpose.DRAWING_NOISE, place).integers(2**63, dtype=np.uint64))


def _file_hashes(recipe: DrawingRecipe) -> dict[str, str]:
    """Returns the content hashes of the files and folders that cutters and the text model name."""
    found = {}
    for name in ("cutter", "second_cutter", "text_model"):
        for key, value in (getattr(recipe, name) or {}).items():
            if isinstance(value, str | Path) and Path(value).exists():
                found[f"{name}.{key}"] = content_hash(Path(value))
    return found
