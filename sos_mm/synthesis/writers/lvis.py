"""LVIS v1: instances, and for each image its negative and its not exhaustively annotated categories."""

import re
from collections.abc import Iterable

from sos_mm.checks import check_integer
from sos_mm.formats.coco import annotation_record, image_record, json_head
from sos_mm.formats.lvis import category_record, image_part
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis.writers.format import Categories, Encoded, Entry, Format, Record, Table, Totals

PATH = "annotations/lvis_v1.json"


def lvis_format(negatives: int = 20) -> Format:
    """Returns the format LVIS v1, in ``annotations/lvis_v1.json``, which the lvis package and mmdet's `LVISV1Dataset`
    read.

    ``coco_url`` is the image's path in the data set, so that mmdet's ``data_prefix`` stays empty. ``frequency``,
    ``synset``, ``synonyms`` and ``def`` are those of the vocabulary if it is LVIS's annotation file; otherwise the
    frequency is computed from the data set's own counts, and the synset and definition are empty.

    The categories of pasted objects are known; those of a background only by the recipe's ``background_categories``. So
    a category that a background may show is never negative, and not exhaustive if it is present; if the background may
    show anything, that holds for all categories. The same holds for categories with ignore regions. A category that
    shares a word with the image's categories is not negative either: "bear" beside "teddy bear".

    Args:
        negatives: Number of negative categories of an image, drawn uniformly from the possible ones. 20 gives each of
            LVIS's 1203 categories about 17 negative images among 1,000, more than a rare category has positive ones.

    Raises:
        ValueError: If ``negatives`` is no integer or below 0.
    """
    check_integer("negatives", negatives, 0, 2**31 - 1)
    words = _WordIndex()

    def encode(entry: Entry) -> Encoded:
        objects = zip(entry.scene.objects, entry.category_ids, entry.modal_rles, strict=True)
        annotations = [
            annotation_record(entry.image_id, category, each.box, each.area, mask) for each, category, mask in objects
        ]
        image = image_record(entry.image_id, entry.file_name, entry.size)
        image |= image_part(f"images/{entry.file_name}", _negative(entry, negatives, words), _not_exhaustive(entry))
        return Encoded(records={(PATH, "images"): [image], (PATH, "annotations"): annotations})

    return Format(encode, (Table(PATH, ("images", "annotations"), numbered=("annotations",), head=_head),))


class _WordIndex:
    """Finds the categories whose names contain a word; caches the index of the last categories."""

    def __init__(self):
        self._of: Categories | None = None
        self._ids: dict[str, set[int]] = {}

    def find(self, categories: Categories, texts: Iterable[str]) -> set[int]:
        """Returns the ids of the categories that share a word with the texts."""
        if categories is not self._of:
            self._of, self._ids = categories, {}
            for id, name in categories.names.items():
                for word in _words(name):
                    self._ids.setdefault(word, set()).add(id)
        return set().union(*(self._ids.get(word, ()) for text in texts for word in _words(text)))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _negative(entry: Entry, number: int, words: _WordIndex) -> list[int]:
    """Draws categories that the image verifiably lacks; returns their ids, ascending."""
    if entry.background_ids is None:
        return []
    scene = entry.scene
    texts = [text for each in scene.objects for text in (each.category, each.sub_category, each.phrase)]
    texts += [each.category for each in scene.ignored]
    possible = words.find(entry.categories, texts) | _may_show(entry)
    rng, ids = generator(entry.seed, Purpose.NEGATIVES, entry.index), list(entry.categories.names)
    # Draw so many that enough remain after removing the impossible ones.
    drawn = rng.choice(len(ids), min(number + len(possible), len(ids)), replace=False)
    return sorted([ids[position] for position in drawn if ids[position] not in possible][:number])


def _may_show(entry: Entry) -> set[int]:
    return {*entry.category_ids, *entry.ignored_category_ids, *(entry.background_ids or ())}


def _not_exhaustive(entry: Entry) -> list[int]:
    """Returns the ids of the image's categories that may also occur without annotation, ascending.

    A category that only ignore regions have is annotated nowhere in the image: it is neither listed here nor negative,
    so that LVIS's evaluation leaves the image out for it.
    """
    present, behind = set(entry.category_ids), entry.background_ids
    return sorted(present if behind is None else present & (behind | set(entry.ignored_category_ids)))


def _head(totals: Totals) -> Record:
    return json_head([_category(totals, id, name) for id, name in totals.categories.names.items()])


def _category(totals: Totals, id: int, name: str) -> Record:
    images, instances = totals.images_with.get(id, 0), totals.instances_of.get(id, 0)
    return category_record(id, name, images, instances, totals.categories.details.get(id, {}))
