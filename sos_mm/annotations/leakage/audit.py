"""The audit: which test images and cut-outs have a near-duplicate in the training data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sos_mm.annotations.leakage.hashing import BITS, forms
from sos_mm.annotations.leakage.search import nearest
from sos_mm.annotations.leakage.sources import KINDS, Hashes, Name, hash_source, open_source
from sos_mm.checks import check_integer

# Different bits of 128 up to which two images are near-duplicates: see docs/leakage.md.
LIMIT = 28
LEAST_SIDE = 32


@dataclass(frozen=True)
class Leak:
    """A test image with near-duplicates in the training data.

    Attributes:
        kind: 'image' or 'cut-out'.
        test, train: Names of the image and of its nearest training image.
        distance: Different bits of their hashes, in [0, 128].
        form: How they are alike: 'whole', 'mirrored', 'cropped' or 'mirrored and cropped'.
        near: Number of training images that are near it.
    """

    kind: str
    test: Name
    train: Name
    distance: int
    form: str
    near: int


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        train, test: The audited data.
        settings: The options.
        counts: Number of images compared, by side and kind, and of those left out, by reason.
        leaks: One for each test image with a near-duplicate, nearest first.
    """

    train: str
    test: str
    settings: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int]]
    leaks: tuple[Leak, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as JSON can hold it."""
        leaks = [asdict(each) | {"test": each.test._asdict(), "train": each.train._asdict()} for each in self.leaks]
        return {"train": self.train, "test": self.test, "settings": self.settings, "counts": self.counts} | {
            "leaks": leaks
        }

    def describe(self) -> str:
        """Formats the numbers as lines of text."""
        lines = []
        for kind in KINDS:
            train, test = (self.counts[side].get(kind, 0) for side in ("train", "test"))
            if train and test:
                leaks = [each for each in self.leaks if each.kind == kind]
                share = f"{len(leaks)} of {test} test {kind}s ({len(leaks) / test:.1%})"
                lines.append(f"{share} have a near-duplicate among {train} training {kind}s")
        for side in ("train", "test"):
            left = [f"{number} {reason}" for reason, number in self.counts[side].items() if reason not in KINDS]
            lines += [f"not compared in {side}: {', '.join(left)}"] * bool(left)
        if not lines:
            return "nothing was compared: one side has only images, the other only cut-outs"
        return "\n".join(lines)


def audit(
    train: str | Path,
    test: str | Path,
    *,
    train_images: str | Path | None = None,
    test_images: str | Path | None = None,
    limit: int = LIMIT,
    mirror: bool = False,
    crops: bool = False,
    least_side: int = LEAST_SIDE,
    workers: int = 1,
    progress: bool = False,
) -> Audit:
    """Finds near-duplicates of test images in training data.

    Images are compared with images, and cut-outs with cut-outs: the objects of COCO files by their masks, or by their
    boxes where there is no mask, files with transparent pixels, and the segments of a bank.

    Args:
        train, test: Data sets, as for `open_source`.
        train_images, test_images: Folders of the images of COCO files; searched for if None.
        limit: Different bits of 128 up to which two images are near-duplicates.
        mirror: Whether to find mirrored images.
        crops: Whether to find images that lack 5 % of the other's height and width at any side; takes eleven times as
            many comparisons.
        least_side: Images with a smaller height or width are left out.
        workers: Number of threads that decode.
        progress: Whether to show progress bars on stderr.

    Raises:
        FileNotFoundError, ValueError: If a file is missing or not of its kind, or an option is out of its range.
    """
    check_integer("limit", limit, 0, BITS)
    check_integer("least_side", least_side, 1, 2**31 - 1)
    check_integer("workers", workers, 1, 1024)
    settings = {"limit": limit, "mirror": mirror, "crops": crops, "least_side": least_side}
    common: dict[str, Any] = dict(crops=crops, least_side=least_side, workers=workers, progress=progress)
    # Both, before the first is read, which may take hours.
    sources = {"train": open_source(train, train_images), "test": open_source(test, test_images)}
    sides = {
        "train": hash_source(sources["train"], mirror=False, **common),
        "test": hash_source(sources["test"], mirror=mirror, **common),
    }
    leaks = [leak for kind in KINDS for leak in _leaks(kind, sides["train"], sides["test"], limit, mirror, crops)]
    leaks.sort(key=lambda each: (each.distance, each.kind, str(each.test)))
    return Audit(str(train), str(test), settings, {side: _counts(each) for side, each in sides.items()}, tuple(leaks))


def _counts(hashes: Hashes) -> dict[str, int]:
    return {kind: len(hashes.names[kind]) for kind in KINDS} | dict(sorted(hashes.left_out.items()))


def _leaks(kind: str, train: Hashes, test: Hashes, limit: int, mirror: bool, crops: bool) -> list[Leak]:
    known, asked = train.values[kind], test.values[kind]
    if not len(known) or not len(asked):
        return []
    names = forms(mirror, crops)
    whole = [position for position, name in enumerate(names) if "cropped" not in name]
    # Each form of the test images against whole training images, and whole ones against cropped training images.
    pairs = [(0, form) for form in range(len(names))]
    pairs += [(crop, form) for crop in range(1, known.shape[1]) for form in whole]
    best, distance = np.full(len(asked), -1), np.full(len(asked), BITS + 1)
    form, near = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.int64)
    for crop, own in pairs:
        found = nearest(np.ascontiguousarray(known[:, crop]), np.ascontiguousarray(asked[:, own]), limit)
        better = found.distance < distance
        best[better], distance[better] = found.index[better], found.distance[better]
        # A cropped training image makes a pair cropped, as a cropped test image does.
        form[better] = own + (1 if crop else 0)
        near = np.maximum(near, found.number)
    return [
        Leak(kind, test.names[kind][i], train.names[kind][best[i]], int(distance[i]), names[form[i]], int(near[i]))
        for i in np.flatnonzero(best >= 0).tolist()
    ]
