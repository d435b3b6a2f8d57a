"""ODVG: detection and grounding as JSON lines, as mmdet's `ODVGDataset` reads them to train Grounding DINO."""

from sos_mm.formats.odvg import boxes_by_phrase, detection_line, grounding_line, instance_record, label_map
from sos_mm.formats.phrases import caption_phrase
from sos_mm.seeding import Purpose, generator
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Record, Table, Totals

DETECTION = "annotations/odvg_detection.jsonl"
LABEL_MAP = "annotations/odvg_label_map.json"
GROUNDING = "annotations/odvg_grounding.jsonl"


def odvg_format() -> Format:
    """Returns the format ODVG: objects by category and by phrase; boxes are half-open xyxy.

    ``annotations/odvg_detection.jsonl`` has labels from 0 in the order of the category ids; their names are in
    ``annotations/odvg_label_map.json``. ``annotations/odvg_grounding.jsonl`` has a caption, ``"a red apple. a dog."``,
    of the objects' phrases (the category if an object has no phrase) and a region for each phrase: the boxes of all its
    objects, and its half-open character span ``tokens_positive``. The order of the phrases is random, since the order
    of the objects, large ones first, would reveal their sizes. The format has no ignore regions: they are left out.
    """
    tables = (Table(DETECTION), Table(LABEL_MAP, head=_label_map), Table(GROUNDING))
    return Format(_encode, tables)


def _encode(entry: Entry) -> Encoded:
    detection = detection_line(entry.file_name, entry.size, _instances(entry))
    grounding = grounding_line(entry.file_name, entry.size, _groups(entry))
    return Encoded(records={(DETECTION, ""): [detection], (GROUNDING, ""): [grounding]})


def _instances(entry: Entry) -> list[Record]:
    labels = entry.categories.labels
    return [
        instance_record(each.box, labels[category], entry.categories.names[category])
        for each, category in zip(entry.scene.objects, entry.category_ids, strict=True)
    ]


def _groups(entry: Entry) -> list[tuple[str, list]]:
    """Lists the phrases of an image and their boxes, in an order that is drawn."""
    names = entry.categories.names
    pairs = [
        (caption_phrase(each.phrase, names[category]), list(each.box))
        for each, category in zip(entry.scene.objects, entry.category_ids, strict=True)
    ]
    groups = boxes_by_phrase(pairs)
    order = generator(entry.seed, Purpose.CAPTION, entry.index).permutation(len(groups)).tolist()
    return [groups[position] for position in order]


def _label_map(totals: Totals) -> Record:
    return label_map(totals.categories.names.values())
