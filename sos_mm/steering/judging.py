"""Judges a detector's results on labelled images: which objects it found, confused or missed, and where."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.checks import check_choice, check_range
from sos_mm.formats.boxes import xywh_to_xyxy
from sos_mm.formats.coco import ANNOTATION, CATEGORY, IMAGE, CocoFile
from sos_mm.formats.detections import LOCATIONS, read_detections
from sos_mm.formats.json_reader import read_lists
from sos_mm.formats.objects import OBJECTS_FILE, read_objects
from sos_mm.formats.records import Record
from sos_mm.formats.rle import packed_mask
from sos_mm.steering.conditions import uncovered_shares
from sos_mm.steering.matching import match, overlaps

OUTCOMES = ("found", "confused", "missed")


@dataclass(frozen=True)
class Outcome:
    """What became of a labelled object.

    Attributes:
        image_id, category_id: Those of the object.
        outcome: 'found' by a detection of its category, 'confused' with another category whose detection lies on it,
            or 'missed'.
        taken_for: Id of the other category of the best detection on it; None if there is none. A found object may have
            one too.
        area, image_area: Areas of its box and of its image, in square pixels.
        crowding: Number of objects in the image, itself included.
        visible_share: Its visible share, in [0, 1].
    """

    image_id: Any
    category_id: int
    outcome: str
    taken_for: int | None
    area: float
    image_area: float
    crowding: int
    visible_share: float


@dataclass(frozen=True)
class Judgement:
    """The outcomes of all objects of a labelled set.

    Attributes:
        outcomes: One for each object that is no crowd, in the order of the images.
        categories: Name by id of all categories of the labelled set.
        score: Detections below this score were not counted.
        visibility: Where visible shares come from: 'objects' of a composed data set, or 'boxes'.
    """

    outcomes: tuple[Outcome, ...]
    categories: Mapping[int, str]
    score: float
    visibility: str


def judge(
    truth: str | Path,
    results: str | Path,
    kind: str = "bbox",
    score: float | None = None,
    least: float = 0.5,
    objects: str | Path | None = None,
) -> Judgement:
    """Judges the results of a detector.

    Args:
        truth: A COCO file with labels.
        results: Detections in COCO's results format, as mmdet's `CocoMetric` writes them with ``outfile_prefix``.
        kind: 'bbox' compares boxes, 'segm' compares masks.
        score: Least score of a detection that counts; None takes the score at which F1 over all detections is best.
        least: Least intersection over union of a detection and its object, in (0, 1].
        objects: The sidecar ``objects.jsonl`` of a composed data set, for visible shares; None takes the one beside the
            labels, if there is one. Otherwise the visible share is what no other box overlaps.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not of its kind, or names images or categories that the labels lack.
    """
    check_choice("kind", kind, LOCATIONS)
    check_range("least", least, 1e-3, 1)
    labels = _read_labels(truth)
    detections = _by_image(read_detections(results, kind), labels, results)
    beside = Path(truth).parent / OBJECTS_FILE
    source = objects if objects is not None else beside if beside.is_file() else None
    shown = None if source is None else _visible_shares(source)
    images = [
        _Image.of(labels, image, annotations, detections.get(id, []), kind, least)
        for id, image, annotations in _images(labels)
    ]
    if score is None:
        score = best_score(images)
    outcomes = [each for image in images for each in image.outcomes(score, shown, str(source))]
    if not outcomes:
        raise ValueError(f"{truth} must hold objects that are no crowds, but has none.")
    names = {id: each["name"] for id, each in labels.categories.items()}
    return Judgement(tuple(outcomes), names, score, "boxes" if shown is None else "objects")


@dataclass(frozen=True)
class _Image:
    """An image with its objects, its detections in descending order of score, and their matches."""

    record: Record
    annotations: Sequence[Record]
    detections: Sequence[Record]
    crowds: np.ndarray
    overlap: np.ndarray
    matched: np.ndarray
    least: float

    @classmethod
    def of(
        cls,
        labels: CocoFile,
        image: Record,
        annotations: Sequence[Record],
        detections: Sequence[Record],
        kind: str,
        least: float,
    ) -> "_Image":
        # Stable, so that equal scores stay in the order of the file, as in COCO's evaluation.
        detections = sorted(detections, key=lambda each: -each["score"])
        crowds = np.array([bool(each.get("iscrowd")) for each in annotations], bool)
        where = f"image {image['id']} of {labels.path}"
        overlap = overlaps(
            [_location(each, image, kind, f"a detection in {where}") for each in detections],
            [_location(each, image, kind, f"an object in {where}") for each in annotations],
            crowds.tolist(),
        )
        own, others = (np.array([each["category_id"] for each in side], np.int64) for side in (detections, annotations))
        matched = np.full(len(detections), -1, np.int64)
        for category in np.unique(own):
            rows, columns = np.flatnonzero(own == category), np.flatnonzero(others == category)
            found = match(overlap[np.ix_(rows, columns)], crowds[columns], least)
            matched[rows[found >= 0]] = columns[found[found >= 0]]
        return cls(image, annotations, detections, crowds, overlap, matched, least)

    def outcomes(self, score: float, shown: "_Shares | None", source: str) -> Iterable[Outcome]:
        """Yields what became of each object that is no crowd."""
        counted = np.array([each["score"] >= score for each in self.detections], bool)
        found = set(self.matched[counted].tolist())
        positions = np.flatnonzero(~self.crowds).tolist()
        shares = self._shares(positions, shown, source)
        for position, share in zip(positions, shares, strict=True):
            annotation = self.annotations[position]
            taken_for = self._taken_for(position, counted)
            yield Outcome(
                self.record["id"],
                annotation["category_id"],
                "found" if position in found else "missed" if taken_for is None else "confused",
                taken_for,
                annotation["bbox"][2] * annotation["bbox"][3],
                self.record["height"] * self.record["width"],
                len(positions),
                share,
            )

    def _taken_for(self, position: int, counted: np.ndarray) -> int | None:
        """Returns the other category of the best detection on an object that matches no object of its own category."""
        for row in np.flatnonzero(counted & (self.matched < 0) & (self.overlap[:, position] >= self.least)).tolist():
            if self.detections[row]["category_id"] != self.annotations[position]["category_id"]:
                return self.detections[row]["category_id"]
        return None

    def _shares(self, positions: Sequence[int], shown: "_Shares | None", source: str) -> list[float]:
        boxes = [xywh_to_xyxy(self.annotations[position]["bbox"]) for position in positions]
        if shown is None:
            return uncovered_shares(np.array(boxes)).tolist() if boxes else []
        keys = [(self.record["file_name"], *map(float, box)) for box in boxes]
        absent = [key for key in keys if key not in shown]
        if absent:
            raise ValueError(
                f"{source} must describe the labelled objects, but has none at {absent[0][1:]} (xyxy) in "
                f"{absent[0][0]}: give the file that was made with the labels as `objects`."
            )
        return [shown[key] for key in keys]


# Visible shares by file name and xyxy box.
_Shares = Mapping[tuple, float]


def best_score(images: Iterable[_Image]) -> float:
    """Finds the score at which F1, over all detections and objects, is best; 0 if no detection matches an object."""
    scores, right, number = [], [], 0
    for image in images:
        number += int((~image.crowds).sum())
        for detection, position in zip(image.detections, image.matched.tolist(), strict=True):
            # Detections on crowds are neither right nor wrong.
            if position < 0 or not image.crowds[position]:
                scores.append(detection["score"])
                right.append(position >= 0)
    if not any(right):
        return 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    ordered, hits = np.array(scores)[order], np.cumsum(np.array(right)[order])
    quality = 2 * hits / (np.arange(1, len(hits) + 1) + number)
    # Detections of equal scores count together.
    quality[:-1][ordered[:-1] == ordered[1:]] = -1
    return float(ordered[int(quality.argmax())])


def _location(record: Record, image: Record, kind: str, name: str) -> Any:
    if kind == "bbox":
        return [float(value) for value in record["bbox"]]
    return packed_mask(record.get("segmentation"), (image["height"], image["width"]), name)


def _read_labels(path: str | Path) -> CocoFile:
    content = read_lists(path, images=IMAGE, annotations=ANNOTATION, categories=CATEGORY)
    labels = CocoFile(content, path)
    for each in labels.annotations:
        labels.image_of(each), labels.category_of(each)
        if min(each["bbox"][2:]) <= 0:
            raise ValueError(f"{path}: each `bbox` must have a width and a height over 0, but one is {each['bbox']}.")
    return labels


def _images(labels: CocoFile) -> Iterable[tuple[Any, Record, list[Record]]]:
    annotations = defaultdict(list)
    for each in labels.annotations:
        annotations[each["image_id"]].append(each)
    for id, image in labels.images.items():
        yield id, image, annotations[id]


def _by_image(detections: Sequence[Record], labels: CocoFile, path: str | Path) -> dict[Any, list[Record]]:
    found = defaultdict(list)
    for each in detections:
        for key, known in (("image_id", labels.images), ("category_id", labels.categories)):
            if each[key] not in known:
                raise ValueError(
                    f"{path} must be results on {labels.path}, but has a detection whose `{key}` is {each[key]}, which "
                    "is not in it: give the labels that the detector was tested on."
                )
        found[each["image_id"]].append(each)
    return dict(found)


def _visible_shares(path: str | Path) -> _Shares:
    return {
        (line["file_name"], *map(float, each["box"])): float(each.get("visible_share") or 0.0)
        for _, line in read_objects(path)
        for each in line["objects"]
    }
