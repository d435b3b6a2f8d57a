"""The type `Format`: files and records for each image, and tables that collect the records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sos_mm.composition.scene import Scene
from sos_mm.formats.phrases import category_key
from sos_mm.formats.rle import encode_masks
from sos_mm.segments.segment import OPAQUE
from sos_mm.segments.vocabulary import category_ids, vocabulary_entries

Record = dict[str, Any]


@dataclass(frozen=True)
class Categories:
    """The categories of a data set.

    Attributes:
        names: Names by id, of the complete vocabulary, ids ascending.
        ids: Ids by the segments' category names.
        details: Further fields of the vocabulary's categories, by id.
    """

    names: Mapping[int, str]
    ids: Mapping[str, int]
    details: Mapping[int, Record] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[str], vocabulary: Any = None) -> "Categories":
        """Builds the categories from a vocabulary, or from the names found, with ids from 1 in alphabetical order.

        Args:
            found: Category names of the segments.
            vocabulary: A vocabulary for `read_vocabulary`, or None.

        Raises:
            ValueError: If a name is not in the vocabulary, or has no letter and no digit.
        """
        found = list(found)
        for name in found:
            if not category_key(name):
                raise ValueError(
                    f"Categories of segments must have a letter or a digit, but one is {name!r}: rename it."
                )
        if vocabulary is None:
            vocabulary = sorted({category_key(name) for name in found})
        entries = sorted(vocabulary_entries(vocabulary), key=lambda entry: entry["id"])
        names = {entry["id"]: entry["name"] for entry in entries}
        ids = category_ids(found, {name: id for id, name in names.items()})
        return cls(names, ids, {entry["id"]: entry for entry in entries})

    def without(self, ids: frozenset[int] | None) -> frozenset[str]:
        """Returns the names of all categories except some ids; empty if ``ids`` is None, which stands for any."""
        if ids not in self._without:
            kept = () if ids is None else (name for id, name in self.names.items() if id not in ids)
            self._without[ids] = frozenset(kept)
        return self._without[ids]

    @cached_property
    def _without(self) -> dict[frozenset[int] | None, frozenset[str]]:
        return {}

    @cached_property
    def labels(self) -> Mapping[int, int]:
        """Labels from 0 without gaps, in the order of the ids, by id."""
        return {id: label for label, id in enumerate(self.names)}

    @cached_property
    def id_of_name(self) -> Mapping[str, int]:
        """Id by name, for the complete vocabulary."""
        return {name: id for id, name in self.names.items()}

    @cached_property
    def id_of_key(self) -> Mapping[str, int]:
        """Ids by `category_key`, of the complete vocabulary."""
        return {category_key(name): id for id, name in self.names.items()}


@dataclass(frozen=True, eq=False)
class Entry:
    """One image of a data set, the input of every format.

    Attributes:
        scene: Its scene.
        index: Its index in the data set, from 0.
        seed: Seed of the data set.
        suffix: Suffix of the image file, with its dot.
        categories: The categories of the data set.
        background_ids: Categories that the background may show; None if it may show any.
        is_empty: Whether the background shows no object at all, of the vocabulary or not.
        image_file: Content of the image file.
    """

    scene: Scene
    index: int
    seed: int
    suffix: str
    categories: Categories
    background_ids: frozenset[int] | None = None
    is_empty: bool = False
    image_file: bytes = b""

    @property
    def image_id(self) -> int:
        """Image id, from 1."""
        return self.index + 1

    @property
    def name(self) -> str:
        """Stem of the names of its files."""
        return f"{self.index:08d}"

    @property
    def file_name(self) -> str:
        """File name of the image in the folder ``images``."""
        return self.name + self.suffix

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.scene.size

    @cached_property
    def category_ids(self) -> tuple[int, ...]:
        """Category id of each object of the scene."""
        return tuple(self.categories.ids[each.category] for each in self.scene.objects)

    @cached_property
    def ignored_category_ids(self) -> tuple[int, ...]:
        """Category id of each ignore region of the scene."""
        return tuple(self.categories.ids[each.category] for each in self.scene.ignored)

    @cached_property
    def ignored_rles(self) -> tuple[dict[str, Any], ...]:
        """Masks of the ignore regions, in COCO's compressed run lengths."""
        return tuple(encode_masks([(each.mask, each.box[:2]) for each in self.scene.ignored], self.size))

    @cached_property
    def modal_rles(self) -> tuple[dict[str, Any], ...]:
        """Modal mask of each object, in COCO's compressed run lengths."""
        return tuple(encode_masks([(each.mask, each.box[:2]) for each in self.scene.objects], self.size))

    @cached_property
    def amodal_rles(self) -> tuple[dict[str, Any], ...]:
        """Amodal mask of each object inside the canvas, in COCO's compressed run lengths."""
        hidden = [each for each in self.scene.objects if each.area < each.amodal_area]
        encoded = iter(encode_masks([(each.alpha >= OPAQUE, each.offset) for each in hidden], self.size))
        # The modal mask of an object that nothing occludes is its amodal mask.
        return tuple(
            next(encoded) if each.area < each.amodal_area else modal
            for each, modal in zip(self.scene.objects, self.modal_rles, strict=True)
        )


@dataclass(frozen=True)
class Totals:
    """The totals of a data set, known when all its images have been generated.

    Attributes:
        categories: Its categories.
        images: Its number of images.
        images_with: Number of images with each category, by id; without zeros.
        instances_of: Number of objects of each category, by id; without zeros.
    """

    categories: Categories
    images: int
    images_with: Mapping[int, int]
    instances_of: Mapping[int, int]


@dataclass(frozen=True)
class Table:
    """An annotation file that collects records of all images, in the order of the images.

    Attributes:
        path: Its path in the data set.
        sections: Names of the lists of a JSON object that hold records; empty for a JSON lines file.
        numbered: Sections whose records get an ``id``, from 1 in their order.
        head: Computes the other members of the JSON object, which precede the lists.
        text: Computes the content of a file without records.
        by_shard: Whether its records are those of archives, one a shard, rather than of images.
    """

    path: str
    sections: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    head: Callable[[Totals], Record] | None = None
    text: Callable[[Totals], str] | None = None
    by_shard: bool = False

    @property
    def streams(self) -> tuple[tuple[str, str], ...]:
        """Keys of `Encoded.records`: this path with each section, or with '' for JSON lines."""
        lines = ("",) if self.head is None and self.text is None else ()
        return tuple((self.path, section) for section in self.sections or lines)


@dataclass(frozen=True)
class Encoded:
    """The files and records of one image in a format.

    Attributes:
        files: Contents by path in the data set.
        records: Lists of records by (path of the table, section).
        members: Contents of the members of the shard's archive, by name.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    records: Mapping[tuple[str, str], list[Record]] = field(default_factory=dict)
    members: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A data set format.

    Attributes:
        encode: Encodes an image to its files and records.
        tables: The annotation files.
        archive: Folder of the archives of a format that puts its images into one for each shard; see
            `sos_mm.formats.webdataset`.
    """

    encode: Callable[[Entry], Encoded]
    tables: tuple[Table, ...] = ()
    archive: str | None = None
