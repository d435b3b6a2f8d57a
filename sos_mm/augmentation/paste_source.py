"""The source of pasted objects: the segments of a bank, and the mapper of their labels."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sos_mm.augmentation.label_mapper import LabelMapper, find_labels
from sos_mm.segments import build_bank
from sos_mm.segments.record import SegmentRecord

# A segment that was cut out of the same image is drawn again, at most so often.
_REDRAWS = 8


class PasteSource:
    """The segments of a bank whose categories a set of classes contains.

    Args:
        bank: A dict for `build_bank`; opened here.
        classes: Names in the order of their labels; None if no labels are needed.
        unknown: What to do with other categories; see `find_labels`.

    Attributes:
        bank: The segments.
        mapper: The mapper of their labels.

    Raises:
        ValueError, FileNotFoundError: From `build_bank` and `find_labels`.
    """

    def __init__(self, bank: Mapping[str, Any], classes: tuple[str, ...] | None, unknown: str):
        self.bank = build_bank(bank)
        self.mapper = LabelMapper()
        if classes is not None:
            labels = find_labels(self.bank.categories, classes, unknown)
            self.mapper = LabelMapper(labels)
            if len(labels) < len(self.bank.categories):
                self.bank = self.bank.select(vocabulary=list(labels))

    def draw(self, rng: np.random.Generator, number: int, sampling: str, image: str | None) -> list[int]:
        """Draws indices of segments of ``bank``, none of them cut out of the given image.

        Args:
            rng: Source of random draws.
            number: Number of segments.
            sampling: Strategy; see `SegmentBank.sample`.
            image: Path of the image into which they are pasted.
        """
        drawn = self.bank.sample(rng, number, sampling)
        for _ in range(_REDRAWS):
            own = [position for position, index in enumerate(drawn) if not self.is_foreign(image, index)]
            if not own:
                break
            drawn[own] = self.bank.sample(rng, len(own), sampling)
        else:
            drawn = np.delete(drawn, own)
        return drawn.tolist()

    def is_foreign(self, image: str | None, index: int) -> bool:
        """Returns whether a segment was not cut out of the given image; always true for an image without a path."""
        return not image or not _same_file(self.bank.file(index), image)

    def record(self, index: int) -> SegmentRecord:
        """Returns the record of a segment."""
        return self.bank.record(int(index))


def _same_file(path: str, other: str) -> bool:
    """Returns whether two paths have the same name and refer to the same file; names are compared first, for speed."""
    return os.path.basename(path) == os.path.basename(other) and os.path.realpath(path) == os.path.realpath(other)
