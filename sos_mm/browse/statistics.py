"""Statistics of a data set as arrays: counts, sizes, positions, visibility and repeats."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sos_mm.browse.dataset import DataSet
from sos_mm.digest import sha256_of
from sos_mm.formats.coco import SIZE_LIMITS

SIZE_NAMES = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class Figures:
    """The annotations of a data set by column, with N objects in I images of C classes.

    Stuff and ignore regions are only counted.

    Attributes:
        categories: Names of the classes.
        image: (N,) int64, index of the object's image.
        category: (N,) int64, index of its class.
        box: (N, 4) float64, half-open xyxy in pixels.
        area: (N,) float64, number of pixels of its mask, or of its box if there are no masks.
        size: (I, 2) float64, height and width of each image.
        visible_share, truncation: (N,) float64, in [0, 1]; NaN if the data set does not record it.
        cut_off: (N,) bool, whether the border of a source image cut it off.
        limited: (N,) float64, 1 if a limit of enlargement reduced the object, else 0; NaN if not recorded.
        segment_id: Identifiers of the objects' cut-outs; '' if not recorded.
        stuff, ignored: Numbers of stuff and ignore regions.
    """

    categories: tuple[str, ...]
    image: np.ndarray
    category: np.ndarray
    box: np.ndarray
    area: np.ndarray
    size: np.ndarray
    visible_share: np.ndarray
    truncation: np.ndarray
    cut_off: np.ndarray
    limited: np.ndarray
    segment_id: tuple[str, ...]
    stuff: int
    ignored: int


def figures(data_set: DataSet) -> Figures:
    """Computes the columns of a data set."""
    numbers = {name: number for number, name in enumerate(data_set.categories)}
    pairs = [(index, each) for index, image in enumerate(data_set.images) for each in image.annotations]
    objects = [(index, each) for index, each in pairs if each.role == "object"]
    roles = Counter(each.role for _, each in pairs)

    def column(values: Iterable[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], float)

    return Figures(
        data_set.categories,
        np.array([index for index, _ in objects], np.int64),
        np.array([numbers[each.category] for _, each in objects], np.int64),
        np.array([each.box for _, each in objects], float).reshape(-1, 4),
        column(each.area for _, each in objects),
        np.array([image.size for image in data_set.images], float).reshape(-1, 2),
        column(each.visible_share for _, each in objects),
        column(each.truncation for _, each in objects),
        np.array([each.cut_off for _, each in objects], bool),
        column(each.limited for _, each in objects),
        tuple(each.segment_id for _, each in objects),
        roles["stuff"],
        roles["ignore"],
    )


def per_class(stats: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Counts the objects of each class, (C,) int64, and the images with it, (C,) int64."""
    number = len(stats.categories)
    return np.bincount(stats.category, minlength=number), np.bincount(_present(stats)[1], minlength=number)


def per_image(stats: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Counts the objects of each image, (I,) int64, and the classes in it, (I,) int64."""
    number = len(stats.size)
    return np.bincount(stats.image, minlength=number), np.bincount(_present(stats)[0], minlength=number)


def _present(stats: Figures) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image and class indices of each pair of an image and a class in it."""
    number = max(len(stats.categories), 1)
    return np.divmod(np.unique(stats.image * number + stats.category), number)


def size_shares(area: np.ndarray) -> np.ndarray:
    """Computes the shares of small, medium and large objects by `SIZE_LIMITS`, (3,) float64; zeros for no objects."""
    return np.bincount(np.digitize(area, SIZE_LIMITS), minlength=3) / max(len(area), 1)


def relative_sizes(stats: Figures) -> np.ndarray:
    """Computes the square root of each object's area relative to its image's area, (N,) float64."""
    return np.sqrt(stats.area / stats.size[stats.image].prod(axis=1))


def position_map(stats: Figures, cells: int) -> np.ndarray:
    """Computes the share of boxes whose centre is in each cell of the image, (cells, cells) float64; zeros for no
    boxes.
    """
    centres = (stats.box[:, :2] + stats.box[:, 2:]) / 2 / stats.size[stats.image, ::-1]
    # Clipped first: a number from a file may be too large for an integer.
    positions = np.clip(centres * cells, 0, cells - 1).astype(np.int64)
    counted = np.bincount(positions[:, 1] * cells + positions[:, 0], minlength=cells * cells)
    return counted.reshape(cells, cells) / max(len(positions), 1)


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Computes the share of the values between two edges, (len(edges) - 1,) float64; values outside count in the outer
    bins.
    """
    values = values[~np.isnan(values)]
    counted = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return counted / max(len(values), 1)


def segment_uses(segment_ids: Sequence[str]) -> Counter[str]:
    """Counts how often each cut-out was used; objects without one are left out."""
    return Counter(filter(None, segment_ids))


def identical_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups files with the same bytes, the largest group first; reads only files of equal size."""
    by_length = defaultdict(list)
    for path in paths:
        by_length[path.stat().st_size].append(path)
    groups = defaultdict(list)
    for same in by_length.values():
        for path in same if len(same) > 1 else ():
            groups[sha256_of(path)].append(path)
    repeated = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(repeated, key=lambda group: (-len(group), group))
