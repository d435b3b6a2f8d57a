"""Adds referring expressions to the images of a page, with the objects that each expression means."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.browse.dataset import AnnotatedImage, DataSet, Expression
from sos_mm.errors import ErrorCollector
from sos_mm.formats.json_reader import is_json_lines, read_text
from sos_mm.formats.mdetr import read_mdetr
from sos_mm.formats.referring import read_expression_lines

# A composed data set has its expressions in this file, beside its other annotations.
EXPRESSIONS = "referring.jsonl"
# How far the sides of a target's box may be from those of an object, in pixels: files round boxes differently.
_TOLERANCE = 1.5

# An expression as its file gives it: text, kind, and boxes or indices of its targets.
_Told = tuple[str, str, Sequence[Sequence[float]] | None, Sequence[int]]


def with_expressions(data_set: DataSet, path: Path, faults: ErrorCollector) -> DataSet:
    """Adds the expressions of a file to the images with the same file names.

    Args:
        data_set: The data set.
        path: Our own lines, or expressions in MDETR's style.
        faults: Records expressions whose targets are not objects of the data set.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of neither kind, or has no expression of any image; names the record.
    """
    told: dict[str, list[_Told]] = defaultdict(list)
    for name, each in _read(path):
        told[PurePosixPath(name).name].append(each)
    images = tuple(
        _joined(image, told.get(PurePosixPath(image.file_name).name, ()), path, faults) for image in data_set.images
    )
    if told and not any(image.expressions for image in images):
        raise ValueError(f"{path} must have expressions of the images of {data_set.source}, but has none.")
    return replace(data_set, images=images)


def _read(path: Path) -> Iterator[tuple[str, _Told]]:
    text = read_text(path)
    if is_json_lines(text) or '"expressions"' in text[:4096]:
        for _, line in read_expression_lines(path):
            for each in line["expressions"]:
                yield (
                    line.get("file_name") or "",
                    (each["text"], each.get("kind") or "", each.get("boxes"), each.get("targets") or ()),
                )
    else:
        for each in read_mdetr(path):
            yield each.image["file_name"], (each.text, "", [target.box for target in each.targets], ())


def _joined(image: AnnotatedImage, told: Iterable[_Told], path: Path, faults: ErrorCollector) -> AnnotatedImage:
    objects = [position for position, each in enumerate(image.annotations) if each.role == "object"]
    found = []
    for text, kind, boxes, positions in told:
        if boxes is None:
            named = [objects[each] if 0 <= each < len(objects) else None for each in positions]
        else:
            named = [_nearest(box, image, objects) for box in boxes]
        targets = [each for each in named if each is not None]
        if len(targets) < len(named):
            faults.record(
                ValueError(f"{path}: {text!r} means something of {image.file_name} that is no object of the data set.")
            )
            continue
        found.append(Expression(text, tuple(targets), kind))
    return replace(image, expressions=tuple(found))


def _nearest(box: Sequence[float], image: AnnotatedImage, objects: Sequence[int]) -> int | None:
    """Finds the object with the most similar box; returns None if none is similar enough."""

    def distance(position: int) -> Any:
        return max(abs(a - b) for a, b in zip(box, image.annotations[position].box, strict=True))

    best = min(objects, key=distance, default=None)
    return best if best is not None and distance(best) <= _TOLERANCE else None
