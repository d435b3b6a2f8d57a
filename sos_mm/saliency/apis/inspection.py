"""Inspects a data set of images and masks: missing files, unreadable files, unusual masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from sos_mm.images import read_image
from sos_mm.saliency.data.benchmarks import BENCHMARKS
from sos_mm.saliency.data.datasets import SaliencyDataset
from sos_mm.saliency.data.transforms import LoadSaliencyMask
from sos_mm.terminal import progress_bar

# Values within so many levels of 0 or 255 count as those of a binary mask.
_EDGE = 16
# A mask is called grey if more of its pixels than this lie between.
_GREY_SHARE = 0.1


@dataclass
class Inspection:
    """The result of an inspection.

    Attributes:
        name: Name of the data set.
        pairs: Number of images with masks.
        expected: Expected number of pairs; None if unknown.
        faults: Error messages about unusable files; each names its file.
        grey: Masks with many values between 0 and 255.
        empty: Masks without salient pixels.
        note: A remark about the data set.
        parts: Expected numbers of pairs in its training and test parts.
    """

    name: str
    pairs: int
    expected: int | None = None
    faults: list[str] = field(default_factory=list)
    grey: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    note: str = ""
    parts: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all expected pairs exist and are usable."""
        return not self.faults and (self.expected in (None, self.pairs) or self.pairs in self.parts)


def inspect_dataset(dataset: SaliencyDataset, progress: bool = True) -> Inspection:
    """Reads and checks every file of a data set.

    Args:
        dataset: The data set; its pipeline is not used.
        progress: Whether to show a progress bar on stderr.
    """
    known = BENCHMARKS.get(dataset.benchmark or "")
    found = Inspection(dataset.name, len(dataset))
    if known:
        found.expected, found.note, found.parts = known.images, known.note, known.parts
    pairs = (dataset.get_data_info(index) for index in range(len(dataset)))
    with progress_bar(pairs, total=len(dataset), unit="pairs", shown=progress) as bar:
        for pair in bar:
            try:
                _inspect(pair, found)
            except (OSError, ValueError) as error:
                found.faults.append(str(error))
    return found


def _inspect(pair: dict, found: Inspection) -> None:
    shape = read_image(pair["img_path"], 3).shape[:2]
    # By the loader, whose errors are those of training.
    mask = LoadSaliencyMask()({**pair, "ori_shape": shape})["gt_saliency"] * 255
    if "aux_path" in pair:
        read_image(pair["aux_path"], 3)
    between = np.count_nonzero((mask > _EDGE) & (mask < 255 - _EDGE)) - _edge_pixels(mask)
    if between > _GREY_SHARE * mask.size:
        found.grey.append(Path(pair["mask_path"]).name)
    if mask.max() <= 128:
        found.empty.append(Path(pair["mask_path"]).name)


def _edge_pixels(mask: np.ndarray) -> int:
    """Counts the pixels near the outline, where grey values are expected."""
    outline = cv2.morphologyEx((mask > 128).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return int(np.count_nonzero(outline))


def describe(found: Sequence[Inspection], names: int = 3) -> str:
    """Describes inspections in a text: one line a data set, then the first files of each kind of fault."""
    lines = []
    for each in found:
        numbers = [str(number) for number in (each.expected, *each.parts) if number]
        expected = f" of {' or '.join(numbers)}" if numbers else ""
        state = "complete" if each.complete else "INCOMPLETE" if not each.faults else f"{len(each.faults)} FAULTS"
        lines.append(f"{each.name}: {each.pairs}{expected} pairs, {state}" + (f" ({each.note})" if each.note else ""))
        lines += [f"  {fault}" for fault in each.faults[:names]]
        if len(each.faults) > names:
            lines.append(f"  ... and {len(each.faults) - names} more")
        for what, files in (("grey masks", each.grey), ("masks without anything salient", each.empty)):
            if files:
                more = ", ..." if len(files) > names else ""
                lines.append(f"  {len(files)} {what}: {', '.join(files[:names])}{more}")
    return "\n".join(lines)
