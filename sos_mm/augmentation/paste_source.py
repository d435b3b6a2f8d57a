"""What is pasted: the segments of a bank, and the mapper that labels them."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sos_mm.augmentation.label_mapper import LabelMapper, find_labels
from sos_mm.segments import build_bank
from sos_mm.segments.record import SegmentRecord

# A segment cut out of the image itself is drawn anew, at most so often.
_REDRAWS = 8


class PasteSource:
    """The segments of a bank that a table of classes allows.

    Args:
        bank: A dict that `build_bank` takes; opened here.
        classes: Names in the order of their labels; None where no labels are needed.
        unknown: What to do with other categories; see `find_labels`.

    Attributes:
        bank: The segments.
        mapper: Labels them.

    Raises:
        ValueError, FileNotFoundError: As `build_bank` and `find_labels`.
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
        """Draws segments of ``bank``, none of them cut out of this very image; gives their indices.

        Args:
            rng: Where the draws come from.
            number: How many.
            sampling: As `SegmentBank.sample` has it.
            image: Path of the image that they are for.
        """
        drawn = self.bank.sample(rng, number, sampling)
        for _ in range(_REDRAWS):
            own = [place for place, index in enumerate(drawn) if not self.is_foreign(image, index)]
            if not own:
                break
            drawn[own] = self.bank.sample(rng, len(own), sampling)
        else:
            drawn = np.delete(drawn, own)
        return drawn.tolist()

    def is_foreign(self, image: str | None, index: int) -> bool:
        """Says whether a segment was not cut out of this very image; of an image without a path none was."""
        return not image or not _same_file(self.bank.file(index), image)

    def record(self, index: int) -> SegmentRecord:
        """Looks up where a segment is, and its words."""
        return self.bank.record(int(index))


def _same_file(path: str, other: str) -> bool:
    """Whether two paths, however written, are one file's; its name is compared first, which costs nothing."""
    return os.path.basename(path) == os.path.basename(other) and os.path.realpath(path) == os.path.realpath(other)
