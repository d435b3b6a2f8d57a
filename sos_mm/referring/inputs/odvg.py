"""Reads ODVG lines for detection and for grounding, which have boxes and no masks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from sos_mm.errors import ErrorCollector
from sos_mm.formats.odvg import INSTANCE, REGION, read_detection, read_grounding, region_boxes
from sos_mm.formats.records import Record, check_record
from sos_mm.referring.annotated_image import AnnotatedImage, Instance
from sos_mm.referring.inputs.source import ImageSource, InputOptions, clip_or_widen, reaches_border


class DetectionInput:
    """ODVG for detection; all categories of the label map, or of the file without one, are complete.

    mmdet also takes categories without a box in an image as negatives, so a file must be exhaustive there too.

    Args:
        path: The lines.
        options: The label map.

    Raises:
        ValueError: If a line is not of that kind; names it.
    """

    kind = "detection"

    def __init__(self, path: Path, options: InputOptions):
        self._path, self._names = path, options.label_map
        if self._names is not None:
            self.categories = {name: label for label, name in self._names.items()}
        else:
            instances = (each for _, line in read_detection(path) for each in line["detection"]["instances"])
            self.categories = {
                each["category"]: each["label"]
                for each in instances
                if "label" in each and isinstance(each.get("category"), str)
            }

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images, one for each line."""
        for name, line in read_detection(self._path):
            yield _source(line, partial(self._load, line, name))

    def _load(self, line: Record, name: str, empty: AnnotatedImage) -> AnnotatedImage:
        instances: list[Instance] = []
        ignored: list[Instance] = []
        for position, each in enumerate(line["detection"]["instances"]):
            check_record(each, INSTANCE, f"{name} instance {position}")
            category = each.get("category") if self._names is None else self._names.get(each["label"])
            if category is None:
                raise ValueError(
                    f"{name} instance {position} must have a label with a name, but nothing names {each['label']}: "
                    "give the label map."
                )
            box, small = clip_or_widen(each["bbox"], empty)
            if box is not None:
                instance = Instance(position, category, box, truncated=reaches_border(box, empty))
                (ignored if small else instances).append(instance)
        complete = frozenset(self.categories)
        return replace(empty, instances=tuple(instances), ignored=tuple(ignored), complete=complete)


class GroundingInput:
    """ODVG for grounding; an object's category is its phrase in the caption.

    An image may show further objects of the same kind, so no category is complete.
    """

    kind = "grounding"

    def __init__(self, path: Path, options: InputOptions):
        self._path = path
        self.categories: dict[str, int] = {}

    def sources(self, faults: ErrorCollector) -> Iterator[ImageSource]:
        """Yields the images, one for each line."""
        for name, line in read_grounding(self._path):
            yield _source(line, partial(_load_regions, line, name))


def _source(line: Record, load: Callable) -> ImageSource:
    size, name = (line["width"], line["height"]), line["filename"]
    return ImageSource(AnnotatedImage(*size, (), file_name=name, image_id=line.get("image_id")), (name,), load)


def _load_regions(line: Record, name: str, empty: AnnotatedImage) -> AnnotatedImage:
    instances: list[Instance] = []
    for position, region in enumerate(line["grounding"]["regions"]):
        check_record(region, REGION, f"{name} region {position}")
        phrase = ", ".join(region["phrase"]) if isinstance(region["phrase"], list) else region["phrase"]
        for box in region_boxes(region):
            inside, small = clip_or_widen(box, empty)
            if inside is not None and not small:
                cut = reaches_border(inside, empty)
                instances.append(Instance(len(instances), phrase, inside, phrase=phrase, truncated=cut))
    return replace(empty, instances=tuple(instances))
