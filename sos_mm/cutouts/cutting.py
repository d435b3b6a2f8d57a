"""Cuts the objects out of images into a folder of segments that a bank reads with ``type='folder'``."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from sos_mm.checks import FaultyInputError, check_boolean, check_choice, check_pair, check_range, writable_folder
from sos_mm.cutouts.photographs import Photograph, check_results_apart, find_photographs
from sos_mm.cutouts.writing import save_png
from sos_mm.errors import ErrorCollector
from sos_mm.segments.cutter import Cutter
from sos_mm.segments.foreground import check_image_and_alpha, cut_out
from sos_mm.segments.segment import OPAQUE
from sos_mm.terminal import progress_bar

COMPONENTS = ("all", "largest", "each", "one")


@dataclass(frozen=True)
class CutRules:
    """The rules by which cut-outs become segments or are rejected.

    Attributes:
        share: Least and largest share of the image that the object may cover.
        touching: Whether it may touch the image's border, so that it may be truncated.
        components: Of several connected components: 'all' keeps them as one segment, 'largest' keeps the largest,
            'each' makes a segment of each, and 'one' rejects such images.
        specks: Components below this share of the largest one are noise and are removed.
        hooks: Further checks of the RGBA cut-out: each returns the reason to reject it, or None.

    Raises:
        ValueError: If a value is invalid.
    """

    share: tuple[float, float] = (0.001, 0.95)
    touching: bool = False
    components: str = "all"
    specks: float = 0.01
    hooks: Sequence[Callable[[np.ndarray], str | None]] = field(default=())

    def __post_init__(self):
        check_choice("components", self.components, COMPONENTS)
        check_range("specks", self.specks, 0, 1)
        check_pair("share", self.share, 0, 1)
        check_boolean("touching", self.touching)


def cut_segments(
    photographs: str | Path | Sequence,
    cutter: Cutter,
    out: str | Path,
    category: str | None = None,
    rules: CutRules | None = None,
    broken: str = "skip",
    progress: bool = True,
) -> tuple[int, ErrorCollector]:
    """Cuts the objects out of images and writes them, trimmed, as ``<out>/<category>/<name>.png``.

    Args:
        photographs: The images, as for `find_photographs`; with ``category=None`` a folder with one folder for each
            category.
        cutter: The model that separates objects from backgrounds.
        out: Folder of the segments.
        category: Category of all segments; None takes the name of each image's first folder.
        rules: Rules for cut-outs; `CutRules` by default.
        broken: 'skip' leaves out images that are broken or whose cut-outs the rules reject, and counts them;
            'error' raises the first error.
        progress: Whether to show a progress bar on stderr.

    Returns:
        The number of segments written, and the errors of the images that were left out.

    Raises:
        FileNotFoundError, PermissionError, ValueError: If an input or the folder cannot be used, or a category is not
            known; with ``broken='error'`` also `FaultyInputError`, which names the image.
    """
    found, rules, faults = find_photographs(photographs), rules or CutRules(), ErrorCollector(broken)
    check_results_apart(photographs, out)
    targets = [_target(photograph, category) for photograph in found]
    if rules.components == "each":
        _check_numbered(set(targets))
    out, written = writable_folder(out, "The folder of segments (`out`)"), 0
    pairs = zip(found, targets, strict=True)
    with progress_bar(pairs, total=len(found), unit="photographs", shown=progress) as bar:
        for photograph, target in bar:
            try:
                segments = list(cut_photograph(photograph, cutter, rules))
            except (OSError, ValueError) as error:
                faults.record(error)
                continue
            for index, rgba in enumerate(segments):
                suffix = f"_{index}" if len(segments) > 1 else ""
                save_png(out / f"{target}{suffix}.png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
            written += len(segments)
    return written, faults


def _check_numbered(targets: Collection[str]) -> None:
    """Raises ValueError if the second segment of a photograph "a" could be called as that of a photograph "a_1"."""
    for target in targets:
        stem, _, number = target.rpartition("_")
        if number.isdecimal() and stem in targets:
            raise ValueError(
                f"Segments must have names of their own, but one of {stem!r} could be called {target!r}, as that of "
                "another photograph: rename one of them."
            )


def _target(photograph: Photograph, category: str | None) -> str:
    """Returns the output name ``<category>/<name>``, with the rest of the path kept as folders."""
    if category is not None:
        return f"{category}/{photograph.name}"
    if "/" not in photograph.name:
        raise ValueError(
            f"The category of {photograph.path} must be known: give `category`, or put the images into one folder "
            "for each category and give the folder above."
        )
    return photograph.name


def cut_photograph(photograph: Photograph, cutter: Cutter, rules: CutRules) -> Iterator[np.ndarray]:
    """Yields the segments of one image, each (h, w, 4) uint8, trimmed.

    Raises:
        FileNotFoundError, ValueError: If it cannot be read.
        FaultyInputError: If the rules reject its cut-out; names it and the reason.
    """
    image = photograph.read()
    alpha = cutter.cut(image)
    check_image_and_alpha(image, alpha)
    parts = object_parts(alpha, rules.specks)
    if not parts:
        raise _refused(photograph, "nothing salient", "no salient object was found")
    if len(parts) > 1 and rules.components == "one":
        raise _refused(photograph, "several components", f"the object is in {len(parts)} parts")
    if rules.components == "all":
        parts = [np.maximum.reduce(parts)]
    elif rules.components != "each":
        parts = parts[:1]
    for part in parts:
        yield _segment(photograph, image, part, rules)


def _segment(photograph: Photograph, image: np.ndarray, alpha: np.ndarray, rules: CutRules) -> np.ndarray:
    solid = alpha >= OPAQUE
    share = np.count_nonzero(solid) / solid.size
    if not rules.share[0] <= share <= rules.share[1]:
        what = "too small" if share < rules.share[0] else "too large"
        raise _refused(photograph, what, f"the object covers {share:.2%} of it")
    if not rules.touching and (solid[[0, -1]].any() or solid[:, [0, -1]].any()):
        raise _refused(photograph, "touching the frame", "the object touches its frame")
    x, y, width, height = cv2.boundingRect(alpha)
    box = (slice(y, y + height), slice(x, x + width))
    # Colours are estimated on the complete image: the background's colours are outside the box.
    rgba = np.ascontiguousarray(cut_out(image, alpha)[box])
    for hook in rules.hooks:
        if (reason := hook(rgba)) is not None:
            raise _refused(photograph, reason, reason)
    return rgba


def _refused(photograph: Photograph, reason: str, text: str) -> FaultyInputError:
    return FaultyInputError(reason, f"The photograph {photograph.path} gives no segment: {text}.")


def object_parts(alpha: np.ndarray, specks: float) -> list[np.ndarray]:
    """Splits an alpha into connected components, largest first.

    Args:
        alpha: (H, W) uint8. Components consist of pixels of at least 128; softer pixels belong to the nearest one.
        specks: Share of the largest component below which a component is removed.

    Returns:
        A list of (H, W) uint8; empty if no pixel is opaque.
    """
    solid = (alpha >= OPAQUE).astype(np.uint8)
    number, labels, facts, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = facts[1:, cv2.CC_STAT_AREA]
    order = 1 + np.argsort(-areas, kind="stable")
    if number <= 2:
        return [alpha] * (number - 1)
    kept = order[areas[order - 1] >= specks * areas.max()]
    nearest = _nearest(solid, labels)
    return [np.where(nearest == label, alpha, 0).astype(np.uint8) for label in kept]


def _nearest(solid: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Computes the label of the component nearest to each pixel, (H, W)."""
    _, near = cv2.distanceTransformWithLabels(1 - solid, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    # The distance transform uses its own labels: map them by a pixel of each component.
    table = np.zeros(int(near.max()) + 1, labels.dtype)
    inside = solid > 0
    table[near[inside]] = labels[inside]
    return table[near]
