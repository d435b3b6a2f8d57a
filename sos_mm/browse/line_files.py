"""Reads JSON lines annotations, one object an image: both kinds of ODVG, and the sidecar of composed data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sos_mm.browse.dataset import GROUNDING, AnnotatedImage, Annotation, Box, DataSet
from sos_mm.errors import ErrorCollector
from sos_mm.formats.objects import check_objects
from sos_mm.formats.odvg import INSTANCE, REGION, check_detection, check_grounding, region_boxes
from sos_mm.formats.records import check_record

KINDS = {"grounding": GROUNDING, "detection": "ODVG detection", "objects": "sidecar of composed objects"}


def line_kind(record: Any) -> str | None:
    """Returns which of `KINDS` a line is; None if it is none of them."""
    return next((key for key in KINDS if isinstance(record, dict) and key in record), None)


def read_lines(path: Path, records: Sequence[Mapping[str, Any]], faults: ErrorCollector) -> DataSet:
    """Reads a JSON lines file for the page.

    Args:
        path: The file.
        records: Its lines, at least one of a known kind.
        faults: Records lines of another kind than the first line, and lines with missing fields.
    """
    kind, images = line_kind(records[0]), []
    assert kind is not None
    for number, record in enumerate(records, 1):
        try:
            if line_kind(record) is None:
                raise ValueError(f"it must hold one of {', '.join(KINDS)}, but holds {str(record)[:60]}.")
            images.append(_READERS[kind](record))
        except ValueError as error:
            faults.record(ValueError(f"Line {number} of {path}: {error}"))
    categories = sorted({each.category for image in images for each in image.annotations})
    return DataSet(path, KINDS[kind], tuple(images), tuple(categories))


def with_sidecar(data_set: DataSet, sidecar: DataSet) -> DataSet:
    """Returns the data set with the sidecar's fields of each object: texts, segment, visible share, truncation.

    Raises:
        ValueError: If the two do not have the same objects.
    """
    described = {image.file_name: _objects_of(image) for image in sidecar.images}
    images = []
    for image in data_set.images:
        known = described.get(image.file_name, [])
        if [_numbers(each.box) for each in _objects_of(image)] != [_numbers(each.box) for each in known]:
            raise ValueError(
                f"{sidecar.source} must describe the same objects as {data_set.source}, but does not for "
                f"{image.file_name}: they are of different data sets."
            )
        rest = iter(known)
        joined = [_joined(each, next(rest)) if each.role == "object" else each for each in image.annotations]
        images.append(replace(image, annotations=tuple(joined)))
    return replace(data_set, images=tuple(images))


def _objects_of(image: AnnotatedImage) -> list[Annotation]:
    return [each for each in image.annotations if each.role == "object"]


def _numbers(box: Box) -> tuple[float, ...]:
    return tuple(map(float, box))


def _joined(annotation: Annotation, known: Annotation) -> Annotation:
    keys = ("phrase", "visible_share", "truncation", "cut_off", "segment_id", "limited")
    return replace(annotation, **{key: getattr(known, key) for key in keys})


def _marked(category: str, box: Any, **more) -> Annotation:
    return Annotation(category, box, area=float((box[2] - box[0]) * (box[3] - box[1])), **more)


def _image(record: Mapping[str, Any], annotations: Sequence[Annotation]) -> AnnotatedImage:
    name = record["filename"]
    return AnnotatedImage(name, (record["height"], record["width"]), tuple(annotations), (name,))


def _detection(record: Mapping[str, Any]) -> AnnotatedImage:
    check_detection(record, "it:")
    instances = record["detection"]["instances"]
    for position, each in enumerate(instances):
        check_record(each, INSTANCE, f"its instance {position}")
    # Without names, which a label map may hold, the page shows the numbers.
    return _image(
        record, [_marked(each.get("category") or f"label {each['label']}", each["bbox"]) for each in instances]
    )


def _grounding(record: Mapping[str, Any]) -> AnnotatedImage:
    check_grounding(record, "it:")
    marked = []
    for position, region in enumerate(record["grounding"]["regions"]):
        check_record(region, REGION, f"its region {position}")
        # In some files a phrase is a list of words.
        phrase = region["phrase"] if isinstance(region["phrase"], str) else ", ".join(region["phrase"])
        marked += [_marked(phrase, box) for box in region_boxes(region)]
    return _image(record, marked)


def _objects(record: Mapping[str, Any]) -> AnnotatedImage:
    check_objects(record, "it:")
    name = record["file_name"]
    marked = [
        Annotation(
            each["category"],
            each["box"],
            area=float(each["area"]),
            phrase=each.get("phrase") or "",
            mask=each.get("modal"),
            visible_share=each.get("visible_share"),
            truncation=each.get("truncation"),
            cut_off=bool(each.get("cut_off")),
            segment_id=each.get("segment_id") or "",
            limited=(each.get("placement") or {}).get("limited"),
        )
        for each in record["objects"]
    ]
    ignored = [
        replace(_marked(each["category"], each["box"], mask=each.get("modal")), role="ignore")
        for each in record.get("ignored") or ()
    ]
    return AnnotatedImage(name, tuple(record["canvas"]), tuple(marked + ignored), (name,))


_READERS = {"grounding": _grounding, "detection": _detection, "objects": _objects}
