"""Reads saliency data sets: a folder of images and a folder of masks with the same names."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sos_mm.browse.dataset import SALIENCY, AnnotatedImage, Annotation, DataSet
from sos_mm.checks import check_folder
from sos_mm.errors import ErrorCollector
from sos_mm.images import is_listed, list_images, read_mask
from sos_mm.terminal import progress_bar

CATEGORY = "salient"
# Words in the names of the two folders in public data sets.
_MASK_WORDS, _IMAGE_WORDS = ("mask", "gt", "truth"), ("image", "img", "rgb")


def find_pair(folder: Path) -> tuple[Path, Path] | None:
    """Finds the folders of images and of masks in a data set's folder, if their names are unambiguous."""
    children = sorted(child for child in folder.iterdir() if child.is_dir() and is_listed(Path(child.name)))
    masks = [child for child in children if any(word in child.name.lower() for word in _MASK_WORDS)]
    images = [c for c in children if c not in masks and any(word in c.name.lower() for word in _IMAGE_WORDS)]
    return (images[0], masks[0]) if len(images) == len(masks) == 1 else None


def read_saliency(images: Path, masks: Path, faults: ErrorCollector, progress: bool = False) -> DataSet:
    """Reads the masks as annotations: one region an image, or none if a mask is empty.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        faults: Records masks that cannot be read, and images without one.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If there is no mask.
    """
    sources = _by_stem(check_folder(images, "The folder of images"))
    drawn = _by_stem(check_folder(masks, "The folder of masks"))
    if not drawn:
        raise ValueError(f"The folder of masks must hold image files, but {masks} holds none.")
    for stem in sorted(sources.keys() - drawn.keys()):
        faults.record(FileNotFoundError(f"The image {sources[stem]} must have a mask of its name in {masks}."))
    found = []
    with progress_bar(drawn.items(), total=len(drawn), unit="masks", shown=progress) as bar:
        for stem, path in bar:
            try:
                found.append(_image(sources.get(stem), path))
            except (OSError, ValueError) as error:
                faults.record(error)
    return DataSet(masks, SALIENCY, tuple(found), (CATEGORY,))


def read_saliency_map(path: Path) -> np.ndarray:
    """Reads a mask as (H, W) uint8: 1 where it is over 128, as saliency metrics do; errors are those of `read_mask`."""
    return (read_mask(path) > 128).view(np.uint8)


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same stem: keep one of them.")
        found[path.stem] = path
    return found


def _image(source: Path | None, path: Path) -> AnnotatedImage:
    mask = read_saliency_map(path)
    x, y, width, height = cv2.boundingRect(mask)
    area = float(np.count_nonzero(mask))
    marked = (Annotation(CATEGORY, (x, y, x + width, y + height), area=area, mask=1),) if area else ()
    name = source.name if source else path.stem
    return AnnotatedImage(name, mask.shape, marked, read_map=partial(read_saliency_map, path), path=source)
