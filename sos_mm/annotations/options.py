"""The options of a validation."""

from dataclasses import dataclass
from pathlib import Path

from sos_mm.checks import check_folder, check_integer, check_range


@dataclass(frozen=True)
class Options:
    """The options of a validation.

    Attributes:
        images: Folder in which the image files must exist; None skips this check.
        masks: Folder of a panoptic file's PNG files, whose pixels are compared; None skips this check.
        label_map: File with the names of ODVG's labels; None skips this check.
        tolerance: How far boxes and polygons may extend beyond the image, in pixels.
        show: Number of faults of each kind to keep.
    """

    images: Path | None = None
    masks: Path | None = None
    label_map: Path | None = None
    tolerance: float = 0.5
    show: int = 5

    def __post_init__(self):
        check_range("tolerance", self.tolerance, 0, 2**31)
        check_integer("show", self.show, 1, 2**31)
        for name in ("images", "masks"):
            if getattr(self, name) is not None:
                check_folder(getattr(self, name), f"The folder of {name}")
