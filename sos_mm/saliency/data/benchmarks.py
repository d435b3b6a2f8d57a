"""The public data sets of salient object detection: their folders as distributed, and their numbers of images."""

from dataclasses import dataclass
from pathlib import Path

from sos_mm.checks import check_choice, check_folder

# Folders of images and masks as collections of these sets repack them; with one name for both, images are the JPEGs.
_REPACKED = (
    ("images", "masks"), ("image", "mask"), ("Image", "Mask"), ("imgs", "gt"), ("Imgs", "GT"), ("RGB", "GT"),
    ("Image", "GT"), ("img", "gt"), ("RGB", "groundtruth"), ("left", "GT"), ("Imgs", "Imgs"),
)  # fmt: skip
_DEPTH = ("depth", "Depth", "depths")
_THERMAL = ("T", "Thermal", "thermal")


@dataclass(frozen=True)
class Benchmark:
    """A data set as its authors distribute it.

    Attributes:
        images: Number of images.
        folders: Folders of images and masks below its root, as distributed; repacked ones are known too.
        auxiliary: Possible names of the folder of the second modality; empty without one.
        note: A remark about the data set.
        parts: Numbers of images in its training and test parts, which are often distributed separately.
    """

    images: int
    folders: tuple[tuple[str, str], ...] = ()
    auxiliary: tuple[str, ...] = ()
    note: str = ""
    parts: tuple[int, ...] = ()


BENCHMARKS: dict[str, Benchmark] = {
    "DUTS-TR": Benchmark(10_553, (("DUTS-TR-Image", "DUTS-TR-Mask"),)),
    "DUTS-TE": Benchmark(5_019, (("DUTS-TE-Image", "DUTS-TE-Mask"),)),
    "DUT-OMRON": Benchmark(5_168, (("DUT-OMRON-image", "pixelwiseGT-new-PNG"),)),
    "ECSSD": Benchmark(1_000, (("images", "ground_truth_mask"),)),
    "PASCAL-S": Benchmark(
        850,
        (("datasets/imgs/pascal", "datasets/masks/pascal"),),
        note="masks are grey: means over several people; metrics take what is over 128",
    ),
    "HKU-IS": Benchmark(4_447, (("imgs", "gt"),), note="images are PNG files"),
    "NJU2K": Benchmark(1_985, auxiliary=_DEPTH, parts=(1_485, 500)),
    "NLPR": Benchmark(1_000, auxiliary=_DEPTH, parts=(700, 300)),
    "STERE": Benchmark(1_000, auxiliary=_DEPTH),
    "SIP": Benchmark(929, auxiliary=_DEPTH),
    "VT821": Benchmark(821, auxiliary=_THERMAL),
    "VT1000": Benchmark(1_000, auxiliary=_THERMAL),
    "VT5000": Benchmark(5_000, auxiliary=_THERMAL, parts=(2_500,)),
}


@dataclass(frozen=True)
class Folders:
    """The folders of a data set.

    Attributes:
        images, masks: Its folders; the same one if both are in one folder.
        auxiliary: Folder of the second modality, if it has one.
    """

    images: Path
    masks: Path
    auxiliary: Path | None = None


def find_folders(name: str, root: str | Path) -> Folders:
    """Finds the folders of a data set, as distributed or repacked.

    Args:
        name: One of `BENCHMARKS`.
        root: Its folder; a folder of the same name inside, which archives often hold, is searched as well.

    Raises:
        ValueError: If the name is not known.
        FileNotFoundError: If there is no such folder, or no known folders in it; names those looked for.
    """
    check_choice("benchmark", name, BENCHMARKS)
    known, root = BENCHMARKS[name], check_folder(root, f"`data_root` of {name}")
    pairs = dict.fromkeys((*known.folders, *_REPACKED))
    for base in (root, root / root.name):
        for images, masks in pairs:
            if (base / images).is_dir() and (base / masks).is_dir():
                return Folders(base / images, base / masks, _find_auxiliary(name, known, base))
    wanted = ", ".join(f"{images} + {masks}" for images, masks in pairs)
    raise FileNotFoundError(f"{root} must hold the images and masks of {name} as one of: {wanted}.")


def _find_auxiliary(name: str, known: Benchmark, base: Path) -> Path | None:
    if not known.auxiliary:
        return None
    for folder in known.auxiliary:
        if (base / folder).is_dir():
            return base / folder
    raise FileNotFoundError(f"{base} must hold the second images of {name} as one of: {', '.join(known.auxiliary)}.")
