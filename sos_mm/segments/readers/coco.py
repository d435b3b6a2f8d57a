"""The reader of COCO and LVIS annotation files: each annotated object is a segment, cut out of its image on demand."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from sos_mm.checks import FaultyInputError, check_folder, check_range, few
from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import four_numbers, is_four_numbers
from sos_mm.formats.coco import CocoFile, file_names
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.records import Record
from sos_mm.segments.bordering import PanopticMaps, bordering_shares
from sos_mm.segments.readers.common import without_duplicates
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.vocabulary import category_key

BORDERING = "bordering on other objects"
# A listed object: its annotation and its record.
Listed = tuple[Mapping[str, Any], SegmentRecord]


def read_annotated(
    annotations: str | Path,
    images: str | Path,
    *,
    include: Collection[str] | None = None,
    crowd: bool = False,
    truncated: bool = False,
    max_bordering: float | None = 0.1,
    panoptic: Sequence[str | Path] | None = None,
    soften: float | str | None = "auto",
    decontaminate: bool = True,
    faults: ErrorCollector | None = None,
) -> list[SegmentRecord]:
    """Lists the objects of a COCO or LVIS annotation file.

    Args:
        annotations: The JSON file; polygons, and run lengths as lists or compressed.
        images: Folder of the images, found by ``file_name`` or by the end of ``coco_url``.
        include: Names of the categories to list; all if None.
        crowd: Whether to list groups, ``iscrowd``.
        truncated: Whether to list objects whose box comes within a pixel of the image's border.
        max_bordering: Largest share of an object's outline that may border on other objects of its image
            (within 2 pixels of any of them, listed or not, groups included), in [0, 1]. The order in depth is unknown:
            most objects above the limit are occluded, but some are complete. 1 lists all and only measures; None does
            not measure, which saves about half a millisecond an object. An index stores the share.
        panoptic: A COCO panoptic JSON file and the folder of its PNG files; its things count as other objects too.
        soften: Standard deviation of the softened edge, in pixels; 0 for hard edges; by the object's size if 'auto' or
            None. See `rims.cut_out`.
        decontaminate: Whether to replace colours of the old background at the object's rim; see `rims.own_colors`.
        faults: Records objects without an image, category, box or outline, and duplicate ids; raises them if None.
            It also counts objects that `max_bordering` leaves out.

    Returns:
        Records in the order of the file; ``source_id`` is ``"<stem of the file>/<annotation id>"``.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the file is not of that kind, a category of ``include`` is not in it, or no object is
            left.
    """
    soften = _check_options(soften, max_bordering, panoptic)
    faults, images = faults or ErrorCollector(), check_folder(images, "The folder `images`")
    file = CocoFile(read_json_object(annotations, "The `annotations`"), annotations)
    source = _Source(file, images, faults)
    listed = list(source.objects(_categories(file, include), crowd, truncated))
    if max_bordering is not None:
        listed = list(source.with_bordering(listed, PanopticMaps(*panoptic) if panoptic else None))
    records = [
        replace(record, soften=soften, decontaminate=bool(decontaminate))
        for _, record in listed
        if record.bordering is None or max_bordering is None or record.bordering <= max_bordering
    ]
    faults.leave_out(BORDERING, len(listed) - len(records))
    if not records:
        beside = f" ({len(listed)} border on others)" if listed else ""
        text = f"{annotations} must hold objects to cut out, but none is left{beside}: are the options too strict?"
        raise ValueError(text)
    return without_duplicates(records, faults)


def _check_options(soften: Any, max_bordering: Any, panoptic: Any) -> float | None:
    """Checks the options; returns the standard deviation of the edge, or None where it depends on the object's size."""
    if max_bordering is not None:
        check_range("max_bordering", max_bordering, 0, 1)
    if panoptic is not None and (isinstance(panoptic, str | Path) or len(panoptic) != 2):
        raise ValueError(f"`panoptic` must be a JSON file and the folder of its maps, but got {panoptic!r}.")
    if soften is None or soften == "auto":
        return None
    if not isinstance(soften, Real) or not 0 <= float(soften) <= 16:
        raise ValueError(f"`soften` must be 'auto' or in [0, 16], but got {soften!r}.")
    return float(soften)


class _Source:
    """An annotation file that is being read, and the collector of its errors."""

    def __init__(self, file: CocoFile, images: Path, faults: ErrorCollector):
        self.file, self.images, self.faults = file, images, faults

    def objects(self, wanted: Mapping[int, dict], crowd: bool, truncated: bool) -> Iterator[Listed]:
        """Yields the objects of the wanted categories, in the order of the file."""
        paths: dict[Any, Path] = {}
        for entry in self.file.annotations:
            try:
                image = _photograph(entry, self.file)
                unwanted = entry["category_id"] not in wanted or (entry.get("iscrowd") and not crowd)
                if unwanted or (_is_truncated(entry, image) and not truncated):
                    continue
                if image["id"] not in paths:
                    paths[image["id"]] = _path(self.images, image)
                record = _record(entry, wanted[entry["category_id"]], paths[image["id"]], self.file.path.stem)
                yield entry, replace(record, source_size=(image["height"], image["width"]))
            except (FileNotFoundError, ValueError) as error:
                self._meet(entry, error)

    def with_bordering(self, listed: Iterable[Listed], maps: PanopticMaps | None) -> Iterator[Listed]:
        """Yields objects with the share of their outlines that borders on other objects of their image."""
        shares: dict[int, float | ValueError] = {}
        wanted = {id(entry) for entry, _ in listed}
        by_image = defaultdict(list)
        for entry in filter(_has_outline, self.file.annotations):
            by_image[entry.get("image_id")].append(entry)
        for image_id, group in by_image.items():
            indices = [index for index, entry in enumerate(group) if id(entry) in wanted]
            if indices:
                size = self.file.images[image_id]["height"], self.file.images[image_id]["width"]
                things = maps.things(image_id, size) if maps else None
                found = bordering_shares(group, indices, size, things)
                shares.update((id(group[index]), share) for index, share in found.items())
        for entry, record in listed:
            share = shares[id(entry)]
            if isinstance(share, ValueError):
                self._meet(entry, share)
            else:
                yield entry, replace(record, bordering=share)

    def _meet(self, entry: Mapping[str, Any], error: Exception) -> None:
        text = f"Annotation {entry.get('id')} of {self.file.path}: {error}"
        missing = isinstance(error, FileNotFoundError)
        self.faults.record(FileNotFoundError(text) if missing else FaultyInputError("faulty annotation", text))


def _has_outline(entry: Mapping[str, Any]) -> bool:
    """Returns whether an annotation has a box and an outline, valid or not."""
    return is_four_numbers(entry.get("bbox")) and bool(entry.get("segmentation"))


def _categories(file: CocoFile, include: Collection[str] | None) -> dict[int, dict]:
    if include is None:
        return file.categories
    wanted = {category_key(name): name for name in include}
    found = {category_key(entry["name"]): entry for entry in file.categories.values()}
    if set(wanted) - set(found):
        absent = [wanted[key] for key in set(wanted) - set(found)]
        raise ValueError(f"`include` names {few(absent)}, but {file.path} has no categories of that name.")
    return {found[key]["id"]: found[key] for key in wanted}


def _photograph(entry: Record, file: CocoFile) -> dict[str, Any]:
    for key in ("id", "image_id", "category_id", "bbox", "segmentation"):
        if not entry.get(key) and entry.get(key) != 0:
            raise ValueError(f"`{key}` must be there, but is missing or empty.")
    file.category_of(entry)
    image = file.image_of(entry)
    for side in ("height", "width"):
        if not isinstance(image.get(side), int) or image[side] < 1:
            raise ValueError(f"`{side}` of image {image['id']} must be its pixels, but got {image.get(side)!r}.")
    return image


def _is_truncated(entry: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    x, y, width, height = four_numbers(entry["bbox"])
    return min(x, y) < 1 or x + width > image["width"] - 1 or y + height > image["height"] - 1


def _path(images: Path, image: Record) -> Path:
    choices = [images / name for name in file_names(image)]
    for path in choices:
        if path.is_file():
            return path
    raise FileNotFoundError(f"the image {choices[-1]} does not exist.")


def _record(entry: Mapping[str, Any], category: Mapping[str, Any], path: Path, stem: str) -> SegmentRecord:
    return SegmentRecord(
        file=str(path),
        category=category["name"],
        sub_category="",
        phrase=category["name"].replace("_", " "),
        description=category.get("def", ""),
        attributes=(),
        source_id=f"{stem}/{entry['id']}",
        outline=json.dumps(entry["segmentation"], separators=(",", ":")),
    )
