"""What a data set format is: per image some files and some records, and tables that gather the records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sos_mm.composition.scene import OPAQUE, Scene
from sos_mm.formats.rle import encode_masks
from sos_mm.segments.vocabulary import category_ids, category_key, vocabulary_entries

Record = dict[str, Any]


@dataclass(frozen=True)
class Categories:
    """The categories of a data set.

    Attributes:
        names: Name by id, of the whole vocabulary, ids rising.
        ids: Id by name, as the segments have it.
        details: What else the vocabulary says of a category, by id.
    """

    names: Mapping[int, str]
    ids: Mapping[str, int]
    details: Mapping[int, Record] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[str], vocabulary: Any = None) -> "Categories":
        """Those of a vocabulary, or of the names found, from 1 in alphabetical order.

        Args:
            found: Names that the segments have.
            vocabulary: What `read_vocabulary` takes, or None.

        Raises:
            ValueError: If a name is not in the vocabulary.
        """
        found = list(found)
        if vocabulary is None:
            vocabulary = sorted({category_key(name) for name in found})
        entries = sorted(vocabulary_entries(vocabulary), key=lambda entry: entry["id"])
        names = {entry["id"]: entry["name"] for entry in entries}
        ids = category_ids(found, {name: id for id, name in names.items()})
        return cls(names, ids, {entry["id"]: entry for entry in entries})

    def without(self, ids: frozenset[int] | None) -> frozenset[str]:
        """Names of the other categories; none where ``ids`` may be any (None)."""
        if ids not in self._without:
            kept = () if ids is None else (name for id, name in self.names.items() if id not in ids)
            self._without[ids] = frozenset(kept)
        return self._without[ids]

    @cached_property
    def _without(self) -> dict[frozenset[int] | None, frozenset[str]]:
        return {}

    @cached_property
    def labels(self) -> Mapping[int, int]:
        """Numbers from 0 without gaps, in the order of the ids, by id."""
        return {id: label for label, id in enumerate(self.names)}

    @cached_property
    def id_of_name(self) -> Mapping[str, int]:
        """Id by name, of the whole vocabulary."""
        return {name: id for id, name in self.names.items()}

    @cached_property
    def id_of_key(self) -> Mapping[str, int]:
        """Id by `category_key`, of the whole vocabulary."""
        return {category_key(name): id for id, name in self.names.items()}


@dataclass(frozen=True, eq=False)
class Entry:
    """One image of a data set, as every format is told it.

    Attributes:
        scene: What it shows.
        index: Its number in the data set, from 0.
        seed: Seed of the data set.
        suffix: Suffix of the image file, with its dot.
        categories: The data set's.
        background_ids: Categories that the background may show; None where it may show any.
        is_empty: Whether the background shows no object at all, of the vocabulary or not.
    """

    scene: Scene
    index: int
    seed: int
    suffix: str
    categories: Categories
    background_ids: frozenset[int] | None = None
    is_empty: bool = False

    @property
    def image_id(self) -> int:
        """Its id, from 1."""
        return self.index + 1

    @property
    def name(self) -> str:
        """Name of its files, without suffix."""
        return f"{self.index:08d}"

    @property
    def file_name(self) -> str:
        """Name of the image in the folder ``images``."""
        return self.name + self.suffix

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.scene.size

    @cached_property
    def category_ids(self) -> tuple[int, ...]:
        """The category of each object of the scene."""
        return tuple(self.categories.ids[each.category] for each in self.scene.objects)

    @cached_property
    def ignored_category_ids(self) -> tuple[int, ...]:
        """The category of each of the scene's regions to ignore."""
        return tuple(self.categories.ids[each.category] for each in self.scene.ignored)

    @cached_property
    def ignored_rles(self) -> tuple[dict[str, Any], ...]:
        """The pixels of the regions to ignore."""
        return tuple(encode_masks([(each.mask, each.box[:2]) for each in self.scene.ignored], self.size))

    @cached_property
    def modal_rles(self) -> tuple[dict[str, Any], ...]:
        """The visible pixels of each object, in COCO's compressed run lengths."""
        owner, objects = self.scene.owner, self.scene.objects
        windows = [(slice(each.box[1], each.box[3]), slice(each.box[0], each.box[2])) for each in objects]
        masks = (owner[window] == index + 1 for index, window in enumerate(windows))
        return tuple(encode_masks(zip(masks, (each.box[:2] for each in objects), strict=True), self.size))

    @cached_property
    def amodal_rles(self) -> tuple[dict[str, Any], ...]:
        """All pixels of each object inside the canvas, seen or hidden by others."""
        return tuple(encode_masks([(each.alpha >= OPAQUE, each.offset) for each in self.scene.objects], self.size))


@dataclass(frozen=True)
class Totals:
    """What is known of a data set when all its images are made.

    Attributes:
        categories: Its categories.
        images: Its number of images.
        images_with: In how many images each category is, by id; those in none are left out.
        instances_of: How many objects each category has, by id; those without are left out.
    """

    categories: Categories
    images: int
    images_with: Mapping[int, int]
    instances_of: Mapping[int, int]


@dataclass(frozen=True)
class Table:
    """An annotation file that gathers records of all images, in the order of the images.

    Attributes:
        path: Its place in the data set.
        sections: Names of the lists of a JSON object that hold records; none for a file of JSON lines.
        numbered: Those whose records get an ``id``, from 1 in their order.
        head: The other members of the JSON object, in front of the lists.
        text: All of the file, if it holds no records.
    """

    path: str
    sections: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    head: Callable[[Totals], Record] | None = None
    text: Callable[[Totals], str] | None = None

    @property
    def streams(self) -> tuple[tuple[str, str], ...]:
        """What `Encoded.records` files records under: this path, with each section or, in JSON lines, ''."""
        lines = ("",) if self.head is None and self.text is None else ()
        return tuple((self.path, section) for section in self.sections or lines)


@dataclass(frozen=True)
class Encoded:
    """What a format holds for one image.

    Attributes:
        files: Contents by path in the data set.
        records: Lists of records by (path of the table, section).
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    records: Mapping[tuple[str, str], list[Record]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A data set format.

    Attributes:
        encode: From an image to what the format holds for it.
        tables: The annotation files.
    """

    encode: Callable[[Entry], Encoded]
    tables: tuple[Table, ...] = ()
