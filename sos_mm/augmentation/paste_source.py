"""What is pasted: the segments of a bank, and the labels they get in a sample."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sos_mm.augmentation.captions import Caption
from sos_mm.augmentation.class_table import find_labels
from sos_mm.composition.scene import Scene
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

    Raises:
        ValueError, FileNotFoundError: As `build_bank` and `find_labels`.
    """

    def __init__(self, bank: Mapping[str, Any], classes: tuple[str, ...] | None, unknown: str):
        self.bank = build_bank(bank)
        self.labels: dict[str, int] | None = None
        if classes is not None:
            self.labels = find_labels(self.bank.categories, classes, unknown)
            if len(self.labels) < len(self.bank.categories):
                self.bank = self.bank.select(vocabulary=list(self.labels))

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
        """Where a segment is, and its words."""
        return self.bank.record(int(index))

    def name(self, results: dict, scene: Scene) -> list[int]:
        """The label of each object of a scene; words that a sample lacks are added to it, in ``results`` itself."""
        if "phrases" in results:
            caption, labels = Caption(results["text"], results["phrases"]).add(scene.objects)
            results["text"], results["phrases"] = caption.text, caption.phrases
            return labels
        if self.labels is None:
            return [0] * len(scene.objects)
        labels = [self.labels[each.category] for each in scene.objects]
        text = results.get("text")
        if isinstance(text, Mapping):
            named = zip(map(str, labels), scene.objects, strict=True)
            new = {label: each.category for label, each in named if label not in text}
            if new:
                results["text"] = {**text, **new}
        return labels


def _same_file(path: str, other: str) -> bool:
    """Whether two paths, however written, are one file's; its name is compared first, which costs nothing."""
    return os.path.basename(path) == os.path.basename(other) and os.path.realpath(path) == os.path.realpath(other)
