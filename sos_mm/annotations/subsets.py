"""Seeded subsets of a COCO, LVIS or panoptic annotation file, each contained in the next larger one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic
from sos_mm.checks import writable_folder
from sos_mm.formats.json_reader import check_holds_any, check_known, check_lists, read_lists
from sos_mm.formats.json_writer import write_json_lists
from sos_mm.formats.records import ID, INTEGER, by_id, check_one_kind
from sos_mm.seeding import Purpose, generator


@dataclass(frozen=True)
class Subset:
    """A subset that was written.

    Attributes:
        percent: Its size in percent of the images.
        annotations: Its annotation file.
        ids: The list of its images' ids, one a line, ascending.
        images: Number of its images.
    """

    percent: float
    annotations: Path
    ids: Path
    images: int


def draw_subsets(image_ids: Sequence[int], percents: Sequence[float], seed: int = 0) -> dict[float, list[int]]:
    """Draws the images of each subset; smaller subsets are contained in larger ones. Ids are ascending.

    Args:
        image_ids: Ids of all images, in any order.
        percents: Sizes over 0, up to 100. The number of images is rounded down, but is at least one.
        seed: Seed of the draw.

    Raises:
        ValueError: If a size is invalid or given twice, or ids are missing, not unique, or mix numbers and text.

    >>> draw_subsets(range(10), [20, 40])
    {20: [1, 6], 40: [0, 1, 6, 7]}
    """
    if not percents or not all(0 < percent <= 100 for percent in percents) or len(set(percents)) < len(percents):
        raise ValueError(f"`percents` must be numbers over 0, up to 100, each once, but got {list(percents)}.")
    check_one_kind(image_ids, "The images")
    ids = sorted(image_ids)
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"Images must have ids of their own, but {len(ids)} images have {len(set(ids))}.")
    order = generator(seed, Purpose.SUBSET, 0).permutation(len(ids)).tolist()
    sizes = {percent: max(int(len(ids) * percent / 100 + 1e-9), 1) for percent in percents}
    return {percent: sorted(ids[position] for position in order[:size]) for percent, size in sizes.items()}


def make_subsets(path: str | Path, out: str | Path, percents: Sequence[float], seed: int = 0) -> list[Subset]:
    """Writes subsets of an annotation file as ``<stem>_<percent>percent.json``, and ``..._ids.txt`` beside each.

    Everything except ``images`` and ``annotations`` is kept, and so is their order. LVIS's ``image_count`` and
    ``instance_count`` are recomputed; its ``frequency`` stays that of the full file. The same file, sizes and seed give
    the same bytes.

    Args:
        path: A file with ``images`` and ``annotations``.
        out: Folder of the subsets.
        percents: As in `draw_subsets`.
        seed: Seed of the draw.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not of that kind or lists no image, an annotation is of no image or of no category of the
            file, or two subsets would have one name; names the line. Also the errors of `draw_subsets`.
    """
    content = read_lists(path, images={"id": ID}, annotations={"image_id": ID})
    check_holds_any(content, path, "images")
    by_id(content["images"], f"Images of {path}")
    check_known(content, path, "image_id", "images")
    if content.get("categories") is not None:
        check_lists(content, path, categories={})
    if _has_counts(content):
        check_lists(content, path, categories={"id": INTEGER}, annotations={"category_id": INTEGER})
        check_known(content, path, "category_id", "categories")
    names = [f"{percent:g}" for percent in percents]
    if len(set(names)) < len(names):
        raise ValueError(f"`percents` must differ in their first six digits, but got {list(percents)}.")
    out = writable_folder(out, "The folder of the subsets")
    parts = draw_subsets([image["id"] for image in content["images"]], percents, seed)
    return [_write(content, set(ids), percent, out, Path(path).stem) for percent, ids in parts.items()]


def _write(content: dict[str, Any], ids: set[int], percent: float, out: Path, stem: str) -> Subset:
    part = content | {
        "images": [image for image in content["images"] if image["id"] in ids],
        "annotations": [each for each in content["annotations"] if each["image_id"] in ids],
    }
    if _has_counts(content):
        part["categories"] = _recounted(part)
    file = out / f"{stem}_{percent:g}percent.json"
    write_json_lists(file, part)
    listed = file.with_name(f"{file.stem}_ids.txt")
    write_atomic(listed, "".join(f"{id}\n" for id in sorted(ids)).encode())
    return Subset(percent, file, listed, len(ids))


def _has_counts(content: dict[str, Any]) -> bool:
    return any("image_count" in each for each in content.get("categories") or ())


def _recounted(part: dict[str, Any]) -> list[dict[str, Any]]:
    instances = Counter(each["category_id"] for each in part["annotations"])
    images = Counter(id for id, _ in {(each["category_id"], each["image_id"]) for each in part["annotations"]})
    return [
        each | {"image_count": images[each["id"]], "instance_count": instances[each["id"]]}
        for each in part["categories"]
    ]
