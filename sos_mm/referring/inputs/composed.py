"""Reads composed data sets from their sidecar file ``objects.jsonl``, which describes each object."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sos_mm.errors import ErrorCollector
from sos_mm.formats.coco import read_leading_categories
from sos_mm.formats.composed import BackgroundContent, background_content
from sos_mm.formats.objects import read_objects
from sos_mm.formats.phrases import category_key
from sos_mm.formats.records import Record
from sos_mm.formats.rle import decode_window
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.inputs.source import ImageSource, InputOptions

_WITH_CATEGORIES = ("instances.json", "lvis_v1.json", "panoptic.json")


class ComposedInput:
    """The file ``objects.jsonl`` that `sos-mm synthesize` writes.

    All categories are complete except those that the recipe's backgrounds may show; see `complete_categories`. The
    categories are taken from the COCO, LVIS or panoptic file beside it, or else from the objects. Spellings of a name,
    such as 'red_apple' and 'red apple', are one category. An object has the id of its annotation in
    ``instances.json``, which lists the same objects in the same order.

    Args:
        path: The file ``objects.jsonl``.
        options: Whether to decode masks.

    Raises:
        ValueError: If a line, or the manifest in the folder above, is not of that kind; names it.
    """

    kind = "composed"

    def __init__(self, path: Path, options: InputOptions):
        self._path, self._masks = path, options.masks
        ids: dict[str, int | None] = {}
        for _, line in read_objects(path):
            for each in _parts(line):
                ids[each["category"]] = each.get("category_id") or ids.get(each["category"])
        known: dict[str, int | None] = {
            **_vocabulary(path.parent),
            **dict(sorted(ids.items(), key=lambda item: item[0])),
        }
        self._names: dict[str, str] = {}
        for name in known:
            self._names.setdefault(category_key(name), name)
        names = list(self._names.values())
        self.categories = {name: known[name] or number for number, name in enumerate(names, 1)}
        shown = background_content(path.parent.parent) or BackgroundContent()
        self._complete = complete_categories(names, shown)

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images, one for each line."""
        first_id = 1
        for number, (name, line) in enumerate(read_objects(self._path), 1):
            height, width = line["canvas"]
            file = line["file_name"]
            empty = AnnotatedImage(width, height, (), complete=self._complete, file_name=file, image_id=number)
            yield ImageSource(empty, (file,), partial(self._load, line, name, first_id))
            first_id += len(_parts(line))

    def _load(self, line: Record, name: str, first_id: int, empty: AnnotatedImage) -> AnnotatedImage:
        found = [self._instance(each, empty, name, id) for id, each in enumerate(_parts(line), first_id)]
        number = len(line["objects"])
        return replace(empty, instances=tuple(found[:number]), ignored=tuple(found[number:]))

    def _instance(self, each: Record, image: AnnotatedImage, name: str, id: int) -> Instance:
        mask, offset = None, (0, 0)
        if self._masks and each.get("modal"):
            window = decode_window(each["modal"], (image.height, image.width), f"the object {id}, {name}")
            mask, offset = window.mask.astype(bool), (window.x, window.y)
        try:
            return Instance(
                id,
                self._names[category_key(each["category"])],
                _box(each["box"]),
                mask,
                offset,
                each.get("phrase") or "",
                tuple(each.get("attributes") or ()),
                each.get("z_order"),
                (each.get("placement") or {}).get("depth"),
                each.get("visible_share"),
                _truncated(each),
            )
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error


def _truncated(each: Record) -> bool | None:
    """Returns whether a part of the object is missing, or None if unknown."""
    if each.get("cut_off"):
        return True
    return None if each.get("truncation") is None else each["truncation"] > 0


def _vocabulary(folder: Path) -> dict[str, int]:
    """Reads the data set's categories, including unused ones, from a file beside the sidecar; empty without one."""
    found = (folder / name for name in _WITH_CATEGORIES if (folder / name).is_file())
    return next(map(read_leading_categories, found), {})


def complete_categories(categories: Iterable[str], shown: BackgroundContent) -> frozenset[str]:
    """Returns the completely annotated categories of composed images, with 'object' if backgrounds show no object.

    Args:
        categories: Categories of the data set.
        shown: Content of its backgrounds.
    """
    if shown.names == "unknown":
        return frozenset()
    behind = set(map(category_key, shown.names))
    complete = frozenset(name for name in categories if category_key(name) not in behind)
    return complete | {OBJECT} if shown.is_empty else complete


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = map(float, box)
    return x0, y0, x1, y1


def _parts(line: Record) -> list[Record]:
    """Returns the objects, then the ignored regions, in the order of the COCO file."""
    return [*line["objects"], *(line.get("ignored") or ())]
