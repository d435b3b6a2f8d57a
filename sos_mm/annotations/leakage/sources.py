"""What is compared of a data set: its images, and the cut-outs of its objects, called images too."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from sos_mm.annotations.leakage.hashing import grey_cut_out, perceptual_hashes
from sos_mm.formats.coco import ANNOTATION, CATEGORY, IMAGE, CocoFile, file_names
from sos_mm.formats.folders import annotation_file, find_image, image_folder
from sos_mm.formats.json_reader import read_lists
from sos_mm.formats.records import Record
from sos_mm.formats.rle import decode_window
from sos_mm.images import check_image_size, list_images, read_image, read_with_alpha
from sos_mm.segments import SegmentBank
from sos_mm.segments.segment import OPAQUE
from sos_mm.terminal import progress_bar

KINDS = ("image", "cut-out")
# An index of a bank ends so.
_INDEX = ".arrow"
_WAITING = 8


class Name(NamedTuple):
    """The name of an image or of a cut-out.

    Attributes:
        file: Its image file, or the source's own name of it.
        object: Id of the annotation of a cut-out; None of an image.
        category: Category of a cut-out; '' of an image.
    """

    file: str
    object: Any = None
    category: str = ""


class ComparedImage(NamedTuple):
    """An image or a cut-out, as it is compared.

    Attributes:
        kind: One of `KINDS`.
        name: Its name.
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool of a cut-out; None of an image.
    """

    kind: str
    name: Name
    rgb: np.ndarray
    mask: np.ndarray | None = None


@dataclass
class Hashes:
    """The hashes of the images of a source, by kind.

    Attributes:
        names: Names by kind.
        values: (N, V, 2) uint64 by kind; see `perceptual_hashes`.
        left_out: Number of images that were not hashed, by reason.
    """

    names: dict[str, list[Name]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    values: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


class Source(Protocol):
    """The images of a data set, in groups that are decoded together."""

    def __len__(self) -> int: ...

    def images(self, group: int) -> Iterator[ComparedImage]:
        """Yields the images of a group."""

    def image(self, kind: str, name: Name) -> ComparedImage:
        """Decodes an image again, by its name."""


class CocoSource:
    """The images and objects of a COCO file.

    Args:
        path: The file.
        images: Folder of the images; searched for beside the file if None.

    Raises:
        FileNotFoundError, ValueError: If a file is missing, not of that kind, or lists no image.
    """

    def __init__(self, path: Path, images: Path | None):
        content = read_lists(path, images=IMAGE, annotations=ANNOTATION, categories=CATEGORY)
        self.labels = CocoFile(content, path)
        self.labels.check_holds_any("images")
        if self.labels.is_panoptic:
            raise ValueError(f"{path} must be a COCO file of instances, but is panoptic: convert it first.")
        self._names = [file_names(each) for each in self.labels.images.values()]
        self.folder = images or image_folder(path, self._names)
        self._images = list(self.labels.images.values())
        self._of_image = defaultdict(list)
        for each in self.labels.annotations:
            # Both raise an error where the file lacks what the annotation names.
            self.labels.image_of(each)
            self.labels.category_of(each)
            if not each.get("iscrowd"):
                self._of_image[each["image_id"]].append(each)
        self._group = {str(each["file_name"]): group for group, each in enumerate(self._images)}

    def __len__(self) -> int:
        return len(self._images)

    def images(self, group: int) -> Iterator[ComparedImage]:
        """Yields an image, and the cut-out of each of its objects."""
        image, name = self._images[group], self._names[group]
        path = find_image(self.folder, name)
        if path is None:
            raise FileNotFoundError(f"The image {name[0]} is not in {self.folder}: give its folder.")
        rgb = read_image(path, 3)
        check_image_size(rgb.shape[:2], (image["height"], image["width"]), path)
        yield ComparedImage("image", Name(image["file_name"]), rgb)
        for each in self._of_image[image["id"]]:
            yield self._cut_out(rgb, image, each)

    def _cut_out(self, rgb: np.ndarray, image: Record, annotation: Record) -> ComparedImage:
        category = str(self.labels.category_of(annotation)["name"])
        name = Name(image["file_name"], annotation.get("id"), category)
        if annotation.get("segmentation"):
            window = decode_window(annotation["segmentation"], rgb.shape[:2], f"object {annotation.get('id')}")
            return ComparedImage("cut-out", name, rgb[window.part], window.mask.astype(bool))
        x, y, width, height = annotation["bbox"]
        box = rgb[max(int(y), 0) : int(np.ceil(y + height)), max(int(x), 0) : int(np.ceil(x + width))]
        return ComparedImage("cut-out", name, box, np.ones(box.shape[:2], bool))

    def image(self, kind: str, name: Name) -> ComparedImage:
        """Decodes an image again, by its name."""
        images = self.images(self._group[name.file])
        return next(each for each in images if (each.kind, each.name) == (kind, name))


class FolderSource:
    """The image files of a folder and the folders in it; files with transparent pixels are cut-outs.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If it holds no image.
        ValueError: If it holds images of a kind that is not read, such as GIF.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._files = list_images(folder, recursive=True)
        if not self._files:
            raise FileNotFoundError(f"{folder} must hold images or annotations of them, but holds none.")

    def __len__(self) -> int:
        return len(self._files)

    def images(self, group: int) -> Iterator[ComparedImage]:
        """Yields the image of a file."""
        path = self._files[group]
        yield self._image(path, path.relative_to(self.folder).as_posix())

    def image(self, kind: str, name: Name) -> ComparedImage:
        """Decodes an image again, by its name."""
        return self._image(self.folder / name.file, name.file)

    def _image(self, path: Path, name: str) -> ComparedImage:
        rgb, alpha = read_with_alpha(path)
        mask = None if alpha is None else alpha >= OPAQUE
        if mask is None or mask.all() or not mask.any():
            return ComparedImage("image", Name(name), rgb)
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        part = slice(y, y + height), slice(x, x + width)
        return ComparedImage(
            "cut-out", Name(name, None, Path(name).parts[0]), np.ascontiguousarray(rgb[part]), mask[part]
        )


class BankSource:
    """The cut-outs of a bank.

    Args:
        bank: The bank.
    """

    def __init__(self, bank: SegmentBank):
        self.bank = bank

    def __len__(self) -> int:
        return len(self.bank)

    def images(self, group: int) -> Iterator[ComparedImage]:
        """Yields a cut-out."""
        segment = self.bank.record(group).read()
        name = Name(self.bank.file(group), group, segment.category)
        rgb = np.ascontiguousarray(segment.rgba[:, :, :3])
        yield ComparedImage("cut-out", name, rgb, segment.rgba[:, :, 3] >= OPAQUE)

    def image(self, kind: str, name: Name) -> ComparedImage:
        """Decodes a cut-out again, by its name."""
        return next(self.images(name.object))


def open_source(path: str | Path, images: str | Path | None = None) -> Source:
    """Opens a data set.

    Args:
        path: A COCO file; a folder with one in it or in its folder ``annotations``, as a composed data set has it;
            another folder of images or cut-outs; or an index of a bank (``.arrow``).
        images: Folder of the images of a COCO file; searched for beside it if None.

    Raises:
        FileNotFoundError: If it, or its images, does not exist.
        ValueError: If it is not of that kind.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"A data set must be a file or folder, but {path} does not exist.")
    if path.suffix == _INDEX:
        return BankSource(SegmentBank.from_index(path))
    if path.is_dir():
        annotations = annotation_file(path, ("instances.json",))
        if annotations is None:
            return FolderSource(path)
        path = annotations
    return CocoSource(path, None if images is None else Path(images))


def hash_source(
    source: Source, *, mirror: bool, crops: bool, least_side: int, workers: int, progress: bool = False
) -> Hashes:
    """Hashes all images of a source.

    Args:
        source: The source.
        mirror, crops: As for `perceptual_hashes`.
        least_side: Images with a smaller height or width are left out.
        workers: Number of threads that decode.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError, ValueError: If an image is missing or broken; names it.
    """

    def hash_group(group: int) -> list[tuple[str, Name, np.ndarray | str]]:
        return [(each.kind, each.name, _hashes_of(each, mirror, crops, least_side)) for each in source.images(group)]

    found, values = Hashes(), defaultdict(list)
    with ThreadPoolExecutor(workers) as pool, progress_bar(total=len(source), unit="files", shown=progress) as bar:
        for group in _in_order(pool, hash_group, len(source), workers * _WAITING):
            for kind, name, hashed in group:
                if isinstance(hashed, str):
                    found.left_out[f"{kind}s {hashed}"] += 1
                else:
                    found.names[kind].append(name)
                    values[kind].append(hashed)
            bar.update()
    for kind in KINDS:
        found.values[kind] = np.stack(values[kind]) if values[kind] else np.zeros((0, 1, 2), np.uint64)
    return found


def _hashes_of(image: ComparedImage, mirror: bool, crops: bool, least_side: int) -> np.ndarray | str:
    """Returns the hashes of an image, or why it has none."""
    if min(image.rgb.shape[:2]) < least_side:
        return f"smaller than {least_side} pixels"
    grey = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY) if image.mask is None else grey_cut_out(image.rgb, image.mask)
    hashed = perceptual_hashes(grey, mirror, crops)
    return "without structure" if hashed is None else hashed


def _in_order(pool: ThreadPoolExecutor, work: Any, number: int, waiting: int) -> Iterator[Any]:
    """Yields the results for 0 to number - 1 in order, with a limited number of results that wait."""
    left, pending = iter(range(number)), []
    for group in islice(left, waiting):
        pending.append(pool.submit(work, group))
    while pending:
        yield pending.pop(0).result()
        for group in islice(left, 1):
            pending.append(pool.submit(work, group))


def thumbnail(image: ComparedImage, side: int) -> np.ndarray:
    """Returns an image for a page: (h, w, 3) uint8, white around a cut-out, its longer side at most ``side``."""
    rgb = image.rgb if image.mask is None else np.where(image.mask[:, :, None], image.rgb, np.uint8(255))
    scale = side / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1)
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
