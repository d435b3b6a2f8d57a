"""Referring expressions: proved true and unique of each scene, in the formats that mmdet trains on and evaluates by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from sos_mm.checks import check_choice
from sos_mm.formats.coco import category_records, json_head
from sos_mm.formats.mdetr import Expression, image_record, target_records
from sos_mm.formats.referring import unchecked_expressions
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.concepts import OBJECT
from sos_mm.referring.from_scene import annotated
from sos_mm.referring.intra_class import intra_class_samples
from sos_mm.referring.language import LANGUAGES
from sos_mm.referring.outputs import CAPTION_TOKENS, CaptionWriter, image_line, single_lines
from sos_mm.referring.phrasing import write
from sos_mm.referring.tokens import build_counter
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Record, Table, Totals

PATH = "annotations/referring.jsonl"
CAPTIONS = "annotations/odvg_referring.jsonl"
SINGLE = "annotations/odvg_expressions.jsonl"
GREFCOCO = "annotations/grefcoco.json"
REFCOCO = "annotations/refcoco.json"
INTRA_CLASS = "annotations/intra_class.json"
_LISTS = ("images", "annotations")
# What each output holds of an image: (entry, image, line, its expressions) -> records by stream.
_Part = Callable[[Entry, AnnotatedImage, Record, list[Expression]], dict[tuple[str, str], list[Record]]]


def referring_format(
    outputs: Sequence[str] = ("odvg", "grefcoco", "refcoco", "intra_class"),
    language: str = "en",
    tokenizer: str | None = None,
    tokens: Sequence[int] = CAPTION_TOKENS,
) -> Format:
    """Returns the format of referring expressions, which the scene of each image proves to be true and unique.

    ``annotations/referring.jsonl`` describes each expression completely, one line for each image. ``outputs`` adds

    - 'odvg': ``odvg_referring.jsonl``, captions of several expressions, and ``odvg_expressions.jsonl``, one expression
      in each line;
    - 'grefcoco': ``grefcoco.json`` in MDETR's style, expressions with one target, several or none;
    - 'refcoco': ``refcoco.json`` in MDETR's style, expressions with one target; their ``dataset_name`` follows from
      their kind by `DATASET_NAMES`;
    - 'intra_class': ``intra_class.json``, expressions that distinguish one object from others of its category.

    Uniqueness or absence is never claimed for categories in the recipe's ``background_categories``.

    Args:
        outputs: Files to write in addition to ``referring.jsonl``.
        language: Language of the expressions, as an ISO 639-1 code.
        tokenizer: Tokenizer that measures captions; see `sos_mm.referring.tokens.build_counter`.
        tokens: Least and greatest token limit of a caption.

    Raises:
        FileNotFoundError: If there is no such tokenizer.
        ValueError: If an argument is invalid.
    """
    if isinstance(outputs, str) or not isinstance(outputs, Sequence):
        raise ValueError(f"`outputs` must be a list of names, but got {outputs!r}.")
    for name in outputs:
        check_choice("outputs", name, _PARTS)
    check_choice("language", language, LANGUAGES)
    captions = CaptionWriter(build_counter(tokenizer), tokens)
    parts: list[_Part] = [partial(_captions, captions) if name == "odvg" else _PARTS[name] for name in outputs]
    tables = [Table(PATH), *(table for name in outputs for table in _TABLES[name])]
    return Format(partial(_encode, parts, language), tuple(tables))


def _encode(parts: Sequence[_Part], language: str, entry: Entry) -> Encoded:
    image = annotated_scene(entry)
    found = write(image, generator(entry.seed, Purpose.REFERRING, entry.index), language=language)
    line = image_line(image, found, entry.categories.id_of_name, entry.index, with_ids=False)
    records, expressions = {(PATH, ""): [line]}, unchecked_expressions(line)
    for part in parts:
        records |= part(entry, image, line, expressions)
    return Encoded(records=records)


def annotated_scene(entry: Entry) -> AnnotatedImage:
    """Converts the scene of an entry to the input of referring; colours are measured in the final image."""
    complete = entry.categories.without(entry.background_ids)
    if entry.is_empty:
        complete |= {OBJECT}
    image = annotated(entry.scene, complete, entry.file_name, entry.image_id)
    # A vocabulary may spell a category otherwise than its segments do.
    names = entry.categories.names
    return replace(
        image,
        instances=tuple(map(_named, image.instances, (names[id] for id in entry.category_ids))),
        ignored=tuple(map(_named, image.ignored, (names[id] for id in entry.ignored_category_ids))),
        # What shines through is not the object's colour.
        image=image.image if entry.scene.alpha is None else None,
    )


def _named(instance: Instance, category: str) -> Instance:
    return instance if instance.category == category else replace(instance, category=category)


def _captions(captions: CaptionWriter, entry: Entry, image: AnnotatedImage, line: Record, _) -> dict:
    rng = generator(entry.seed, Purpose.REFERRING_CAPTION, entry.index)
    return {(CAPTIONS, ""): list(captions.lines(line, rng)), (SINGLE, ""): list(single_lines(line))}


def _grefcoco(entry: Entry, image: AnnotatedImage, line: Record, expressions: list[Expression]) -> dict:
    return _mdetr(GREFCOCO, expressions, {"dataset_name": "grefcoco"})


def _refcoco(entry: Entry, image: AnnotatedImage, line: Record, expressions: list[Expression]) -> dict:
    return _mdetr(REFCOCO, [each for each in expressions if len(each.targets) == 1])


def _mdetr(path: str, expressions: Sequence[Expression], common: Mapping[str, str] | None = None) -> dict:
    images = [{**image_record(each), **(common or {})} for each in expressions]
    annotations = [record for each in expressions for record in target_records(each)]
    return {(path, "images"): images, (path, "annotations"): annotations}


def _intra_class(entry: Entry, image: AnnotatedImage, line: Record, _) -> dict:
    return _mdetr(INTRA_CLASS, list(intra_class_samples(image, line)))


def _head(totals: Totals) -> Record:
    return json_head(category_records(totals.categories.names, totals.categories.details))


def _lists(path: str) -> tuple[Table, ...]:
    return (Table(path, _LISTS, numbered=("annotations",), head=_head),)


_PARTS: dict[str, Callable[..., dict[tuple[str, str], list[Record]]]] = {
    "odvg": _captions,
    "grefcoco": _grefcoco,
    "refcoco": _refcoco,
    "intra_class": _intra_class,
}
_TABLES = {
    "odvg": (Table(CAPTIONS), Table(SINGLE)),
    "grefcoco": _lists(GREFCOCO),
    "refcoco": _lists(REFCOCO),
    "intra_class": _lists(INTRA_CLASS),
}
