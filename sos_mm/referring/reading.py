"""Reads annotated images from the common formats: COCO, panoptic, LVIS, ODVG, and composed data sets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from sos_mm.checks import check_choice, check_folder
from sos_mm.errors import ErrorCollector
from sos_mm.formats.coco import is_coco
from sos_mm.formats.composed import background_content, is_unfinished
from sos_mm.formats.folders import annotation_file, find_image, image_folder
from sos_mm.formats.json_reader import AnnotationFileError, is_json_lines, read_json, read_text, try_json_lines
from sos_mm.formats.objects import OBJECTS_FILE
from sos_mm.formats.odvg import read_label_map
from sos_mm.formats.shards import check_merged, hint_of_missing
from sos_mm.images import check_image_size, read_image
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.inputs.coco import open_coco
from sos_mm.referring.inputs.composed import ComposedInput, complete_categories
from sos_mm.referring.inputs.odvg import DetectionInput, GroundingInput
from sos_mm.referring.inputs.source import ImageSource, Input, InputOptions

COMPLETE = ("stated", "all")
_KNOWN = "COCO or LVIS instances, COCO panoptic, ODVG lines, or what `sos-mm synthesize` made with the format 'objects'"
# In order of preference: the sidecar file of composed data sets holds the most information.
_NAMES = (OBJECTS_FILE, "lvis_v1.json", "instances.json", "panoptic.json", "odvg_detection.jsonl")
_OF_LINES: dict[str, Callable[[Path, InputOptions], Input]] = {
    "objects": ComposedInput,
    "detection": DetectionInput,
    "grounding": GroundingInput,
}


class AnnotatedImages:
    """The annotated images of a data set; an iterable that loads one image at a time.

    The format determines which categories are complete; see `sos_mm.referring.inputs`.

    Args:
        data: An annotation file, or the folder of a data set.
        images: Folder of the image files; searched for beside the annotations if None.
        masks: Whether to decode masks; otherwise instances have boxes only.
        pixels: Whether to read the image files.
        label_map: File with the names of ODVG's labels; without it, the instances' own names are used.
        complete: 'stated' to follow the format, or 'all' to assert that every object of every category of the file is
            annotated in every image.
        broken: 'error' raises at the first broken record; 'skip' leaves out and counts an image with one, since nothing
            can be proved from the rest of its annotations.

    Attributes:
        source: The annotation file.
        faults: The errors of the images left out so far.
        unknown_backgrounds: Whether it was composed on backgrounds that may show anything, so that nothing is complete.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is of no known kind, or an option is wrong.
    """

    def __init__(
        self,
        data: str | Path,
        images: str | Path | None = None,
        *,
        masks: bool = True,
        pixels: bool = False,
        label_map: str | Path | None = None,
        complete: str = "stated",
        broken: str = "error",
    ):
        check_choice("complete", complete, COMPLETE)
        self.source, self.faults = _find_source(Path(data)), ErrorCollector(broken)
        self._pixels, self._complete, self._label_map = pixels, complete, label_map
        self._folder = None if images is None else check_folder(images, "The folder of images")
        names = None if label_map is None else read_label_map(label_map)
        self._input = _open(self.source, InputOptions(masks, names))
        # The COCO and ODVG files of a composed data set do not say what its backgrounds may show.
        shown = background_content(self.source.parent.parent)
        self.unknown_backgrounds = shown is not None and shown.names == "unknown"
        self._known = None if shown is None else complete_categories(self.categories, shown)

    @property
    def kind(self) -> str:
        """'coco', 'lvis', 'panoptic', 'detection', 'grounding' or 'composed'."""
        return self._input.kind

    @property
    def categories(self) -> dict[str, int]:
        """Ids of the categories by name."""
        return self._input.categories

    def __len__(self) -> int:
        """Counts the images, broken ones included."""
        return sum(1 for _ in self._input.sources(ErrorCollector("skip")))

    def __iter__(self) -> Iterator[AnnotatedImage]:
        return (image for _, image in self.numbered())

    def numbered(self, start: int = 0) -> Iterator[tuple[int, AnnotatedImage]]:
        """Yields the images with their indices in the file, in which broken images count.

        Args:
            start: The first index; images before it are not loaded.
        """
        for index, source in enumerate(self._input.sources(self.faults)):
            if index < start:
                continue
            try:
                image = self._load(source)
            except (OSError, ValueError) as error:
                self.faults.record(error)
                continue
            yield index, image

    def boxes_alone(self) -> "AnnotatedImages":
        """Returns the same images without masks and pixels."""
        return AnnotatedImages(
            self.source, complete=self._complete, broken="skip", masks=False, label_map=self._label_map
        )

    def _load(self, source: ImageSource) -> AnnotatedImage:
        image = source.load(source.image)
        if self._complete == "all":
            image = replace(image, complete=image.complete | frozenset(self.categories))
        elif self._known is not None:
            image = replace(image, complete=image.complete & self._known)
        if not self._pixels:
            return image
        if self._folder is None:
            choices = (each.choices for each in self._input.sources(ErrorCollector("skip")))
            self._folder = image_folder(self.source, choices)
        return replace(image, image=_read_pixels(image, self._folder, source))


def _find_source(data: Path) -> Path:
    if not data.exists():
        hint = hint_of_missing(data) or "."
        raise FileNotFoundError(f"`data` must be a data set ({_KNOWN}), but {data} does not exist{hint}")
    if data.is_file():
        return data
    if is_unfinished(data):
        raise ValueError(f"{data} is a data set in the making: run the command that began it again, which finishes it.")
    file = annotation_file(data, _NAMES)
    if file is None:
        check_merged(data)
        raise ValueError(f"{data} must be a data set ({_KNOWN}), but holds no annotation file: name it.")
    return file


def _open(path: Path, options: InputOptions) -> Input:
    text = read_text(path)
    first = next((value for _, value in try_json_lines(text, path)), None)
    kind = next((name for name in _OF_LINES if isinstance(first, dict) and name in first), None)
    if kind is not None and not is_coco(first):
        return _OF_LINES[kind](path, options)
    if is_json_lines(text) and isinstance(first, AnnotationFileError):
        raise first
    content = first if is_coco(first) else read_json(path)
    if not is_coco(content):
        raise ValueError(f"{path} must hold annotations of a known kind ({_KNOWN}), but does not.")
    assert content is not None, "`is_coco` has looked into it"
    return open_coco(path, content, options)


def _read_pixels(image: AnnotatedImage, folder: Path, source: ImageSource) -> np.ndarray:
    path = find_image(folder, source.choices)
    if path is None:
        raise FileNotFoundError(f"The image {image.file_name} is not in {folder}: give the right folder of images.")
    pixels = read_image(path, 3)
    check_image_size(pixels.shape[:2], (image.height, image.width), path)
    return pixels
