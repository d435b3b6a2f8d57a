"""Converts COCO panoptic files to ODVG and to intra-class referring expressions.

The released composed sets are such files with a ``short_phrase`` for each segment and some irregularities: ``area`` is
always 1, fully occluded segments have the box [0, 0, 0, 0], categories count from 0, ``file_name`` of an annotation is
that of the mask, and the ODVG files beside them are invalid (see `sos_mm.annotations.released`).
"""

from collections import Counter
from collections.abc import Iterator

from sos_mm.checks import check_range
from sos_mm.formats.boxes import xyxy_to_xywh
from sos_mm.formats.odvg import boxes_by_phrase, chunks, grounding_record, image_part, instance_record
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.phrases import caption_phrase
from sos_mm.formats.records import Record
from sos_mm.seeding import Purpose, generator


def phrase_of(file: PanopticFile, segment: Record) -> str:
    """Returns the phrase of a segment for a caption, or its category's name if it has none."""
    phrase = segment.get("phrase") or segment.get("short_phrase") or ""
    return caption_phrase(phrase, file.names[segment["category_id"]])


def _image_part(image: Record) -> Record:
    return image_part(image["file_name"], (image["height"], image["width"]))


def detection_lines(file: PanopticFile) -> Iterator[Record]:
    """Converts to ODVG for detection: one line an image, labels as in `PanopticFile.label_map`."""
    labels = file.labels
    for image, segments in file.images():
        instances = [
            instance_record(box, labels[each["category_id"]], file.names[each["category_id"]]) for each, box in segments
        ]
        yield _image_part(image) | {"detection": {"instances": instances}}


def grounding_lines(file: PanopticFile, max_characters: int | None = None, seed: int = 0) -> Iterator[Record]:
    """Converts to ODVG for grounding: captions of the segments' phrases in random order, with half-open spans.

    Args:
        file: The file.
        max_characters: Captions are split between phrases into several lines of at most so many characters each; a
            longer phrase gets its own line. None gives one line an image.
        seed: Seed of the order.

    Raises:
        ValueError: If ``max_characters`` is below 1 or ``seed`` below 0.
    """
    if max_characters is not None:
        check_range("max_characters", max_characters, 1, 2**31)
    for index, (image, segments) in enumerate(file.images()):
        groups = boxes_by_phrase((phrase_of(file, each), box) for each, box in segments)
        order = generator(seed, Purpose.CAPTION, index).permutation(len(groups)).tolist()
        for part in chunks([groups[position] for position in order], max_characters):
            yield _image_part(image) | {"grounding": grounding_record(part)}


def intra_class(file: PanopticFile, dataset_name: str = "refcoco") -> Record:
    """Builds expressions that refer to one of several objects of a category, for `IntraClassReferringMetric`.

    There is an expression for each object whose category has other objects in its image, and whose phrase no other
    object of the image has. The format is that of MDETR's RefCOCO files, with ``distractors``: the xywh boxes of the
    other objects.

    Args:
        file: The file.
        dataset_name: The ``dataset_name`` of each expression; mmdet's `RefExpMetric` accepts 'refcoco', 'refcoco+' and
            'refcocog'.
    """
    images, annotations = [], []
    for image, segments in file.images():
        phrases = Counter(phrase_of(file, each).lower() for each, _ in segments)
        for target, box in segments:
            category, caption = target["category_id"], phrase_of(file, target)
            others = [xyxy_to_xywh(b) for each, b in segments if each is not target and each["category_id"] == category]
            if not others or phrases[caption.lower()] > 1:
                continue
            id = len(images) + 1
            size = {"height": image["height"], "width": image["width"]}
            names = {"file_name": image["file_name"], "original_id": image["id"], "dataset_name": dataset_name}
            images.append({"id": id, **names, **size, "caption": caption, "distractors": others})
            xywh = xyxy_to_xywh(box)
            spans = {"tokens_positive": [[0, len(caption)]], "area": xywh[2] * xywh[3], "iscrowd": 0}
            annotations.append({"id": id, "image_id": id, "category_id": category, "bbox": xywh, **spans})
    categories = [{"id": id, "name": name} for id, name in file.names.items()]
    return {"categories": categories, "images": images, "annotations": annotations}
