"""Gets the images of shards, cuts out their objects and judges them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sos_mm.cutouts import build_cutter
from sos_mm.generation.filters import UNREADABLE, Judged, judge
from sos_mm.generation.loading import content_hash
from sos_mm.generation.prompts import DrawingPrompt
from sos_mm.generation.recipe import BankRecipe
from sos_mm.generation.shards import ShardEntry
from sos_mm.generation.source_images import SourceImage
from sos_mm.generation.text_agreement import TextAgreement

# Images that wait for the cutter while further ones are drawn or read.
_WAITING = 16


class Drawer:
    """Draws or reads, cuts and judges the images of shards.

    Args:
        recipe: The recipe.
        prompts: Its prompts.
        seed: The seed of the bank.
        device: As `sos_mm.generation.loading.find_device`.

    Attributes:
        recipe: The recipe.
        images: Number of images of the bank.
        sources: What identifies models and files, for the manifest.
    """

    def __init__(self, recipe: BankRecipe, prompts: Sequence[DrawingPrompt], seed: int, device: str):
        self.recipe, self._prompts = recipe, prompts
        self._filters = recipe.build_filters()
        self._cutter = build_cutter(recipe.cutter)
        self._second = None if recipe.second_cutter is None else build_cutter(recipe.second_cutter)
        self._text = self._build_text_model(device)
        self._source = recipe.build_images(prompts, seed, device)
        self.images = len(prompts) * recipe.repeats
        self.sources = {**self._source.identity, **_file_hashes(recipe)}

    def _build_text_model(self, device: str) -> TextAgreement | None:
        if self.recipe.text_model is None:
            return None
        return TextAgreement(**self.recipe.text_model, categories=self._categories(), device=device)

    def _categories(self) -> list[str]:
        return list(dict.fromkeys(prompt.category for prompt in self._prompts))

    def entries(self, shard: int) -> Iterator[ShardEntry]:
        """Yields the images of a shard; one thread cuts and judges while the next images are drawn or read."""
        first = shard * self.recipe.shard_size
        positions = range(first, min(first + self.recipe.shard_size, self.images))
        waiting: deque[Future[ShardEntry]] = deque()
        pool = ThreadPoolExecutor(1)
        try:
            for position, image in zip(positions, self._source.images(positions), strict=True):
                waiting.append(pool.submit(self._entry, position, image))
                while len(waiting) > _WAITING or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _entry(self, position: int, image: SourceImage) -> ShardEntry:
        prompt = self._prompts[position // self.recipe.repeats]
        judged = self._judge(image, prompt)
        kept = not judged.reasons
        record = {
            "id": f"{position:08d}",
            "category": prompt.category,
            "folder": prompt.folder,
            "phrase": prompt.phrase,
            "description": prompt.description,
            "features": list(prompt.features),
            **image.origin,
            "scores": judged.scores,
            "reasons": list(judged.reasons),
        }
        return ShardEntry(record, judged.rgba if kept else None, image.image if self.recipe.keep_rejected else None)

    def _judge(self, image: SourceImage, prompt: DrawingPrompt) -> Judged:
        if image.image is None or image.refused is not None:
            return Judged(None, {}, (image.refused or UNREADABLE,))
        judged = judge(image.image, self._cutter, self._second, self._filters, prompt.phrase)
        if self._text is None or judged.rgba is None:
            return judged
        scores = self._text.score(judged.rgba, prompt.category, prompt.phrase)
        worst = self._filters.rank
        other = scores["similarity"] < self._filters.similarity or (worst is not None and scores["rank"] > worst)
        return judged.rejected_too(("another object",) if other else (), scores)


def _file_hashes(recipe: BankRecipe) -> dict[str, str]:
    """Returns the content hashes of the files and folders that cutters and the text model name."""
    found = {}
    for name in ("cutter", "second_cutter", "text_model"):
        for key, value in (getattr(recipe, name) or {}).items():
            if isinstance(value, str | Path) and Path(value).exists():
                found[f"{name}.{key}"] = content_hash(Path(value))
    return found
