"""Generates the images of a shard: their scenes, files and records."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from sos_mm.composition.scene import Scene
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.scenes import SceneMaker
from sos_mm.synthesis.shards import ShardImage, write_shard
from sos_mm.synthesis.tables import Stream
from sos_mm.synthesis.writers import Categories, Entry, encode_image


class ShardMaker:
    """Generates shards of one data set.

    Args:
        recipe: The recipe; its segments and backgrounds are opened here.
        seed: The seed of the data set.
        left_out: Names of photographs of the backgrounds that are not used.

    Attributes:
        local_recipe: The recipe with the paths of copies on this machine for what is on object storage: other
            processes here open these, rather than list the objects anew.
        categories: Categories of the data set.
        tables: Annotation files that collect the records.

    Raises:
        ValueError, FileNotFoundError: If a source is invalid, or a category is not in the recipe's vocabulary.
    """

    def __init__(self, recipe: Recipe, seed: int, left_out: Collection[str] = ()):
        self.recipe, self.seed, self.left_out = recipe, seed, tuple(left_out)
        self.local_recipe = recipe.with_local_copies()
        self.scenes = SceneMaker(self.local_recipe, seed, left_out)
        self.categories = Categories.of(self.scenes.bank.categories, recipe.vocabulary)
        self.background_ids = recipe.background_ids(self.categories)
        self.formats = recipe.build_formats()
        self.tables = tuple(chain.from_iterable(each.tables for each in self.formats))

    @cached_property
    def sources(self) -> dict[str, str]:
        """Content hashes of the sources (segments, backgrounds, vocabulary), independent of their folders."""
        words = json.dumps([dict(self.categories.names), dict(self.categories.ids)], sort_keys=True)
        return {
            "segments": self.scenes.bank.fingerprint,
            "backgrounds": self.scenes.backgrounds.fingerprint,
            "layout": getattr(self.scenes.layout, "fingerprint", ""),
            "vocabulary": hashlib.sha256(words.encode()).hexdigest(),
        }

    def leave_out(self, photographs: Collection[str]) -> None:
        """Uses the backgrounds without some photographs, given by their names."""
        self.left_out = tuple(photographs)
        self.scenes.leave_out(photographs)

    def make(self, out: Path, number: int, indices: range) -> int:
        """Writes a shard of these images; returns their number."""
        return write_shard(out, number, self._images(indices))

    def encode(self, scene: Scene, index: int) -> ShardImage:
        """Encodes a scene to the files and records of the data set."""
        image_format = self.recipe.image_format
        background = self.background_ids, self.recipe.has_empty_backgrounds
        image = encode_image(scene, image_format)
        entry = Entry(scene, index, self.seed, f".{image_format}", self.categories, *background, image)
        # Nobody needs image files beside archives that hold them.
        archived = all(each.archive for each in self.formats)
        files: dict[str, bytes] = {} if archived else {f"images/{entry.file_name}": image}
        records: dict[Stream, Sequence[Mapping[str, Any]]] = {}
        archives: dict[str, Mapping[str, bytes]] = {}
        for each in self.formats:
            encoded = each.encode(entry)
            files.update(encoded.files)
            records.update(encoded.records)
            if each.archive:
                archives[each.archive] = encoded.members
        limited = sum(each.placement.limited for each in scene.objects)
        return ShardImage(files, records, entry.category_ids, limited, archives)

    def _images(self, indices: range) -> Iterator[ShardImage]:
        for index in indices:
            yield self.encode(self.scenes.make(index), index)
