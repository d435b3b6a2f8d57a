"""Figures of a data set: counts, sizes, positions, visibility and repeats, as plain arrays."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sos_mm.browse.dataset import DataSet

# Areas in pixels where COCO's evaluation parts small from medium and medium from large objects.
SIZE_LIMITS = (32**2, 96**2)
SIZE_NAMES = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class Figures:
    """What is marked in a data set, by column; N objects in I images of C classes. Stuff and regions to ignore are
    only counted.

    Attributes:
        categories: Names of the classes.
        image: (N,) int64, which image an object is in.
        category: (N,) int64, its class.
        box: (N, 4) float64, half-open xyxy in pixels.
        area: (N,) float64, pixels of its mask, or of its box where there are no masks.
        size: (I, 2) float64, height and width of each image.
        visible_share, truncation: (N,) float64, in [0, 1]; NaN where the data set does not say.
        limited: (N,) float64, 1 for those that a limit of enlargement made smaller, else 0; NaN likewise.
        segment_id: Cut-outs that the objects were made of; '' where it does not say.
        stuff, ignored: How many such regions there are.
    """

    categories: tuple[str, ...]
    image: np.ndarray
    category: np.ndarray
    box: np.ndarray
    area: np.ndarray
    size: np.ndarray
    visible_share: np.ndarray
    truncation: np.ndarray
    limited: np.ndarray
    segment_id: tuple[str, ...]
    stuff: int
    ignored: int


def figures(data_set: DataSet) -> Figures:
    """Returns the columns of a data set."""
    numbers = {name: number for number, name in enumerate(data_set.categories)}
    pairs = [(place, each) for place, image in enumerate(data_set.images) for each in image.annotations]
    objects = [(place, each) for place, each in pairs if each.role == "object"]
    roles = Counter(each.role for _, each in pairs)

    def column(values: Iterable[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], float)

    return Figures(
        data_set.categories,
        np.array([place for place, _ in objects], np.int64),
        np.array([numbers[each.category] for _, each in objects], np.int64),
        np.array([each.box for _, each in objects], float).reshape(-1, 4),
        column(each.area for _, each in objects),
        np.array([image.size for image in data_set.images], float).reshape(-1, 2),
        column(each.visible_share for _, each in objects),
        column(each.truncation for _, each in objects),
        column(each.limited for _, each in objects),
        tuple(each.segment_id for _, each in objects),
        roles["stuff"],
        roles["ignore"],
    )


def per_class(told: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Returns (C,) int64 objects of each class, and (C,) int64 images with it."""
    number = len(told.categories)
    return np.bincount(told.category, minlength=number), np.bincount(_present(told)[1], minlength=number)


def per_image(told: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Returns (I,) int64 objects of each image, and (I,) int64 classes in it."""
    number = len(told.size)
    return np.bincount(told.image, minlength=number), np.bincount(_present(told)[0], minlength=number)


def _present(told: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Images and classes of each pair of an image and a class in it."""
    number = max(len(told.categories), 1)
    return np.divmod(np.unique(told.image * number + told.category), number)


def size_shares(area: np.ndarray) -> np.ndarray:
    """Returns (3,) float64: which shares of the objects are small, medium and large, by
    `SIZE_LIMITS`; zeros for none.
    """
    return np.bincount(np.digitize(area, SIZE_LIMITS), minlength=3) / max(len(area), 1)


def relative_sizes(told: Figures) -> np.ndarray:
    """Returns (N,) float64: side of the square of an object's area, as a share of that of its image's."""
    return np.sqrt(told.area / told.size[told.image].prod(axis=1))


def position_map(told: Figures, cells: int) -> np.ndarray:
    """Returns (cells, cells) float64: which share of the boxes has its centre in each cell of the image; zeros for
    none.
    """
    centres = (told.box[:, :2] + told.box[:, 2:]) / 2 / told.size[told.image, ::-1]
    places = np.clip((centres * cells).astype(np.int64), 0, cells - 1)
    counted = np.bincount(places[:, 1] * cells + places[:, 0], minlength=cells * cells)
    return counted.reshape(cells, cells) / max(len(places), 1)


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns (len(edges) - 1,) float64: which share of the values is between two edges, those outside in the outer
    ones.
    """
    values = values[~np.isnan(values)]
    counted = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return counted / max(len(values), 1)


def segment_uses(segment_ids: Sequence[str]) -> Counter[str]:
    """Returns how often each cut-out was used; objects without one are left out."""
    return Counter(filter(None, segment_ids))


def identical_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files with the same bytes, the largest first; only those of one length are read."""
    by_length = defaultdict(list)
    for path in paths:
        by_length[path.stat().st_size].append(path)
    groups = defaultdict(list)
    for same in by_length.values():
        for path in same if len(same) > 1 else ():
            groups[_content_hash(path)].append(path)
    repeated = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(repeated, key=lambda group: (-len(group), group))


def _content_hash(path: Path) -> bytes:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.digest()
