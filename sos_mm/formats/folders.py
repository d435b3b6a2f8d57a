"""Finds the files of a data set in its folder, by the conventions of the formats."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from sos_mm.images import is_listed

# Number of images to try in a folder before the next one is tried.
_TRIED = 20


def annotation_file(folder: Path, names: Iterable[str]) -> Path | None:
    """Finds the annotation file of a folder: the first of ``names`` in it or in its folder ``annotations``.

    Otherwise the only JSON file in ``annotations``; None if there is none.

    Raises:
        ValueError: If there are several others.
    """
    for base in (folder / "annotations", folder):
        for name in names:
            if (base / name).is_file():
                return base / name
    found = [path for path in sorted((folder / "annotations").glob("*.json*")) if is_listed(Path(path.name))]
    files = [path for path in found if path.is_file() and "label_map" not in path.name]
    if len(files) > 1:
        listed = ", ".join(file.name for file in files[:12])
        raise ValueError(f"{folder} holds several annotation files ({listed}): name the one to take.")
    return files[0] if files else None


def image_folder(source: Path, images: Iterable[Sequence[str]]) -> Path:
    """Finds the folder of the images of an annotation file.

    Args:
        source: The annotation file.
        images: For each image the places below the folder where it may be; the first images are looked for.

    Raises:
        FileNotFoundError: If they are in none of the usual places.
    """
    beside, home = source.parent, source.parent.parent
    images = list(islice(images, _TRIED))
    # COCO's instances_val2017.json belongs to the folder val2017.
    choices = dict.fromkeys([home / "images", beside / "images", home / source.stem.split("_")[-1], beside, home])
    for folder in choices:
        if any(find_image(folder, names) for names in images):
            return folder
    if not images:
        return beside
    raise FileNotFoundError(
        f"The images of {source}, such as {images[0][0]}, are in none of {', '.join(map(str, choices))}: give the "
        "folder of images."
    )


def find_image(folder: Path, names: Iterable[str]) -> Path | None:
    """Finds an image that may be at several places below a folder; None if it is at none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)
