"""Converts COCO panoptic files to ODVG and to intra-class referring expressions.

The released composed sets are such files with a ``short_phrase`` for each segment and some irregularities: ``area`` is
always 1, fully occluded segments have the box [0, 0, 0, 0], categories count from 0, ``file_name`` of an annotation is
that of the mask, and the ODVG files beside them are invalid (see `sos_mm.annotations.released`).
"""

from collections import Counter
from collections.abc import Iterator

from sos_mm.checks import check_integer
from sos_mm.formats.mdetr import Expression, Target, to_mdetr
from sos_mm.formats.odvg import boxes_by_phrase, chunks, detection_line, grounding_line, instance_record
from sos_mm.formats.panoptic import PanopticFile
from sos_mm.formats.phrases import caption_phrase
from sos_mm.formats.records import Record
from sos_mm.seeding import Purpose, generator


def phrase_of(file: PanopticFile, segment: Record) -> str:
    """Returns the phrase of a segment for a caption, or its category's name if it has none."""
    phrase = segment.get("phrase") or segment.get("short_phrase") or ""
    return caption_phrase(phrase, file.names[segment["category_id"]])


def _size(image: Record) -> tuple[int, int]:
    return image["height"], image["width"]


def detection_lines(file: PanopticFile) -> Iterator[Record]:
    """Converts to ODVG for detection: one line an image, labels as in `PanopticFile.label_map`."""
    labels = file.labels
    for image, segments in file.images():
        instances = [
            instance_record(box, labels[each["category_id"]], file.names[each["category_id"]]) for each, box in segments
        ]
        yield detection_line(image["file_name"], _size(image), instances)


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
        check_integer("max_characters", max_characters, 1, 2**31)
    for index, (image, segments) in enumerate(file.images()):
        groups = boxes_by_phrase((phrase_of(file, each), box) for each, box in segments)
        order = generator(seed, Purpose.CAPTION, index).permutation(len(groups)).tolist()
        for part in chunks([groups[position] for position in order], max_characters):
            yield grounding_line(image["file_name"], _size(image), part)


def intra_class(file: PanopticFile, dataset_name: str = "refcoco") -> Record:
    """Builds expressions that refer to one of several objects of a category, for `IntraClassReferringMetric`.

    Every object becomes one whose category has others in its image and whose phrase no other object there has.

    Args:
        file: The file.
        dataset_name: The ``dataset_name`` of each expression; mmdet's `RefExpMetric` accepts 'refcoco', 'refcoco+' and
            'refcocog'.

    Returns:
        The content of a file for intra-class referring, as `sos_mm.formats.mdetr` describes it.
    """
    expressions: list[Expression] = []
    for image, segments in file.images():
        phrases = Counter(phrase_of(file, each).lower() for each, _ in segments)
        for target, box in segments:
            category, caption = target["category_id"], phrase_of(file, target)
            others = [b for each, b in segments if each is not target and each["category_id"] == category]
            if not others or phrases[caption.lower()] > 1:
                continue
            expressions.append(
                Expression(
                    len(expressions) + 1,
                    caption,
                    {key: image[key] for key in ("file_name", "height", "width")},
                    image["id"],
                    dataset_name,
                    [Target(box, category, [[0, len(caption)]])],
                    others,
                )
            )
    return to_mdetr(expressions, [{"id": id, "name": name} for id, name in file.names.items()])
