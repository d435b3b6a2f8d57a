"""COCO panoptic files turned into ODVG and into intra-class referring; also the released composed sets.

The released sets are such files with ``short_phrase`` for each segment and some irregularities: ``area`` is always 1,
fully hidden segments have the box [0, 0, 0, 0], categories count from 0, ``file_name`` of an annotation is that of the
mask, and the ODVG files beside them are broken (see `sos_mm.annotations.released`).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sos_mm.checks import check_range
from sos_mm.formats.boxes import BOX, Box, clip, xywh_to_xyxy, xyxy_to_xywh
from sos_mm.formats.json_reader import read_lists
from sos_mm.formats.odvg import boxes_by_phrase, chunks, grounding_record, image_part
from sos_mm.formats.records import (
    CATEGORY,
    ID,
    IMAGE,
    OBJECTS,
    TEXT,
    WHOLE,
    Record,
    by_id,
    check_record,
    optional,
)
from sos_mm.seeding import Purpose, generator
from sos_mm.segments.phrases import caption_phrase

_SEGMENT = {"category_id": WHOLE, "bbox": BOX, "phrase": optional(TEXT), "short_phrase": optional(TEXT)}


class PanopticFile:
    """A COCO panoptic annotation file.

    Args:
        path: The file.
        image_suffix: Suffix of the image files where it is not that of ``images``, such as '.png'.
        stuff: Whether to take segments of stuff categories (``isthing`` 0) too.

    Attributes:
        left_out: How many segments were left out so far, by reason.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a panoptic annotation file; names the line.
    """

    def __init__(self, path: str | Path, image_suffix: str | None = None, stuff: bool = False):
        annotation = {"image_id": ID, "segments_info": OBJECTS}
        content = read_lists(path, images=IMAGE, annotations=annotation, categories=CATEGORY)
        self.path, self.suffix, self.stuff, self.left_out = path, image_suffix, stuff, Counter[str]()
        self.names = {each["id"]: each["name"] for each in sorted(content["categories"], key=lambda each: each["id"])}
        self._stuff = {each["id"] for each in content["categories"] if not each.get("isthing", 1)}
        self._images = by_id(content["images"], f"Images of {path}")
        self._annotations = content["annotations"]

    @property
    def labels(self) -> dict[int, int]:
        """Labels from 0 by category id, in the order of the ids."""
        kept = [id for id in self.names if self.stuff or id not in self._stuff]
        return {id: label for label, id in enumerate(kept)}

    def label_map(self) -> dict[str, str]:
        """What mmdet's `ODVGDataset` takes as ``label_map_file``."""
        return {str(label): self.names[id] for id, label in self.labels.items()}

    def images(self) -> Iterator[tuple[Record, list[tuple[Record, Box]]]]:
        """Each image, with its segments and their xyxy boxes.

        Raises:
            ValueError: If an annotation is of an unknown image, or a segment is faulty or of an unknown category.
        """
        for annotation in self._annotations:
            image = self._images.get(annotation["image_id"])
            if image is None:
                raise ValueError(
                    f"{self.path} has an annotation of the image {annotation['image_id']}, but no such image."
                )
            name = PurePosixPath(image["file_name"])
            image = image | {"file_name": str(name.with_suffix(self.suffix) if self.suffix else name)}
            yield image, list(self._segments(image, annotation["segments_info"]))

    def _segments(self, image: Record, segments: list[Record]) -> Iterator[tuple[Record, Box]]:
        for segment in segments:
            check_record(segment, _SEGMENT, f"{self.path}, image {image['id']!r}: a segment")
            category = segment["category_id"]
            if category not in self.names:
                raise ValueError(f"{self.path}, image {image['id']}: category {category} is not in `categories`.")
            box = clip(xywh_to_xyxy(segment["bbox"]), image["width"], image["height"])
            if segment.get("iscrowd") or (category in self._stuff and not self.stuff):
                self.left_out["crowd or stuff"] += 1
            elif box is None:
                self.left_out["no box of a pixel or more inside the image"] += 1
            else:
                yield segment, box

    def phrase(self, segment: Record) -> str:
        """A segment's phrase, as it stands in a caption; its category's name if it has none."""
        phrase = segment.get("phrase") or segment.get("short_phrase") or ""
        return caption_phrase(phrase, self.names[segment["category_id"]])


def detection_lines(file: PanopticFile) -> Iterator[Record]:
    """ODVG for detection: a line an image, labels as in `PanopticFile.label_map`."""
    labels = file.labels
    for image, segments in file.images():
        instances = [
            {"bbox": box, "label": labels[each["category_id"]], "category": file.names[each["category_id"]]}
            for each, box in segments
        ]
        yield image_part(image) | {"detection": {"instances": instances}}


def grounding_lines(file: PanopticFile, max_characters: int | None = None, seed: int = 0) -> Iterator[Record]:
    """ODVG for grounding: captions of the segments' phrases in an order that is drawn, with half-open spans.

    Args:
        file: The file.
        max_characters: Captions are cut between phrases into several lines of at most so many characters each; a
            phrase that is longer has a line of its own. None gives one line an image.
        seed: Of the order.

    Raises:
        ValueError: If ``max_characters`` or ``seed`` is below 1 or 0.
    """
    if max_characters is not None:
        check_range("max_characters", max_characters, 1, 2**31)
    for index, (image, segments) in enumerate(file.images()):
        groups = boxes_by_phrase((file.phrase(each), box) for each, box in segments)
        order = generator(seed, Purpose.CAPTION, index).permutation(len(groups)).tolist()
        for part in chunks([groups[place] for place in order], max_characters):
            yield image_part(image) | {"grounding": grounding_record(part)}


def intra_class(file: PanopticFile, dataset_name: str = "refcoco") -> Record:
    """Expressions that mean one of several objects of a category, for `IntraClassReferringMetric`.

    Every object becomes one whose category has others in its image and whose phrase no other object there has. In the
    style of MDETR's RefCOCO files, with ``distractors``: the xywh boxes of the others.

    Args:
        file: The file.
        dataset_name: What each expression says it belongs to; mmdet's `RefExpMetric` knows 'refcoco', 'refcoco+' and
            'refcocog'.
    """
    images, annotations = [], []
    for image, segments in file.images():
        phrases = Counter(file.phrase(each).lower() for each, _ in segments)
        for target, box in segments:
            category, caption = target["category_id"], file.phrase(target)
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
