"""The reader of COCO and LVIS annotation files: each annotated object is a segment, cut out of its image on demand."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from sos_mm.checks import FaultyInputError, check_boolean, check_folder, check_names, check_range, few
from sos_mm.errors import ErrorCollector
from sos_mm.formats.boxes import is_xywh
from sos_mm.formats.coco import ANNOTATION, CocoFile, file_names
from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.phrases import category_key
from sos_mm.formats.records import ID, Record, check_record, check_size
from sos_mm.images import check_image_size, image_size
from sos_mm.segments.bordering import PanopticMaps, bordering_shares
from sos_mm.segments.readers.common import without_duplicates
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.sides import sides_at_border

BORDERING = "bordering on other objects"
# A listed object: its annotation and its record.
Listed = tuple[Mapping[str, Any], SegmentRecord]


def read_annotated(
    annotations: str | Path,
    images: str | Path,
    *,
    include: Collection[str] | None = None,
    crowd: bool = False,
    truncated: bool = True,
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
        truncated: Whether to list objects that the image's border cuts off, too: whose box reaches it, see
            `sides_at_border`. Layouts place them at the same border of the canvas. Without them few large objects are
            left.
        max_bordering: Largest share of an object's outline that may border on other objects of its image
            (within 2 pixels of any of them, listed or not, groups included), in [0, 1]. The order in depth is unknown:
            most objects above the limit are occluded, but some are complete. 1 lists all and only measures; None does
            not measure, which saves about half a millisecond an object. An index stores the share.
        panoptic: A COCO panoptic JSON file and the folder of its PNG files; its things count as other objects too.
        soften: Standard deviation of the softened edge, in pixels; 0 for hard edges; by the object's size if 'auto' or
            None. See `rims.cut_out`.
        decontaminate: Whether to replace colours of the old background at the object's rim; see `rims.own_colors`.
        faults: Records objects without an image, category, box or outline, objects of images that have another size
            than the file says, and duplicate ids; raises them if None. It also counts objects that `max_bordering`
            leaves out.

    Returns:
        Records in the order of the file; ``source_id`` is ``"<stem of the file>/<annotation id>"``.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If the file is not of that kind, a category of ``include`` is not in it, or no object is
            left.
    """
    soften = _check_options(soften, max_bordering, panoptic)
    for name, value in (("crowd", crowd), ("truncated", truncated), ("decontaminate", decontaminate)):
        check_boolean(name, value)
    if include is not None:
        check_names("include", include)
    faults, images = faults or ErrorCollector(), check_folder(images, "The folder `images`")
    file = CocoFile(read_json_object(annotations, "The `annotations`"), annotations)
    file.check_holds_any("images", "annotations")
    source = _Source(file, images, faults)
    listed = list(source.objects(_categories(file, include), crowd, truncated))
    if max_bordering is not None:
        listed = list(source.with_bordering(listed, PanopticMaps(*panoptic) if panoptic else None))
    records = [
        replace(record, soften=soften, decontaminate=decontaminate)
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
    if panoptic is not None and (
        not isinstance(panoptic, Sequence) or len(panoptic) != 2 or not all(isinstance(p, str | Path) for p in panoptic)
    ):
        raise ValueError(f"`panoptic` must be a JSON file and the folder of its maps, but got {panoptic!r}.")
    if soften is None or soften == "auto":
        return None
    if not isinstance(soften, Real) or isinstance(soften, bool) or not 0 <= float(soften) <= 16:
        raise ValueError(f"`soften` must be 'auto' or in [0, 16], but got {soften!r}.")
    return float(soften)


class _Source:
    """An annotation file that is being read, and the collector of its errors."""

    def __init__(self, file: CocoFile, images: Path, faults: ErrorCollector):
        self.file, self.images, self.faults = file, images, faults

    def objects(self, wanted: Mapping[int, dict], crowd: bool, truncated: bool) -> Iterator[Listed]:
        """Yields the objects of the wanted categories, in the order of the file."""
        paths: dict[Any, Path | Exception] = {}
        for entry in self.file.annotations:
            try:
                image = _photograph(entry, self.file)
                unwanted = entry["category_id"] not in wanted or (entry.get("iscrowd") and not crowd)
                size = (image["height"], image["width"])
                cut = sides_at_border(entry["bbox"], size)
                if unwanted or (cut and not truncated):
                    continue
                if image["id"] not in paths:
                    paths[image["id"]] = _path_or_error(self.images, image)
                path = paths[image["id"]]
                if isinstance(path, Exception):
                    raise path
                record = _record(entry, wanted[entry["category_id"]], path, self.file.path.stem)
                yield entry, replace(record, source_size=size, cut_sides=int(cut))
            except (OSError, ValueError) as error:
                self._meet(entry, error)

    def with_bordering(self, listed: Iterable[Listed], maps: PanopticMaps | None) -> Iterator[Listed]:
        """Yields objects with the share of their outlines that borders on other objects of their image."""
        shares: dict[int, float | ValueError] = {}
        wanted = {id(entry) for entry, _ in listed}
        by_image = defaultdict(list)
        for entry in filter(_has_outline, self.file.annotations):
            by_image[entry["image_id"]].append(entry)
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
        text = f"Annotation {entry.get('id')!r} of {self.file.path}: {error}"
        missing = isinstance(error, FileNotFoundError)
        reason = getattr(error, "reason", "faulty annotation")
        self.faults.record(FileNotFoundError(text) if missing else FaultyInputError(reason, text))


def _has_outline(entry: Mapping[str, Any]) -> bool:
    """Returns whether an annotation has an image, a valid box and an outline, valid or not."""
    return ID.holds(entry.get("image_id")) and is_xywh(entry.get("bbox")) and bool(entry.get("segmentation"))


def _categories(file: CocoFile, include: Collection[str] | None) -> dict[int, dict]:
    if include is None:
        return file.categories
    wanted = {category_key(name): name for name in include}
    # Spellings of a name, as "cell_phone" and "cell phone", are one category.
    found = {id: entry for id, entry in file.categories.items() if category_key(entry["name"]) in wanted}
    absent = set(wanted) - {category_key(entry["name"]) for entry in found.values()}
    if absent:
        names = few([wanted[key] for key in absent])
        raise ValueError(f"`include` names {names}, but {file.path} has no categories of that name.")
    return found


def _photograph(entry: Record, file: CocoFile) -> dict[str, Any]:
    check_record(entry, ANNOTATION, "it")
    if not entry.get("segmentation"):
        raise ValueError("it must have polygons or run lengths as `segmentation`, but has none.")
    file.category_of(entry)
    image = file.image_of(entry)
    check_size(image, f"its image {image['id']!r}")
    return image


def _path_or_error(images: Path, image: Record) -> Path | Exception:
    """Finds the file of an image and checks its size; returns the error if there is one."""
    try:
        path = _path(images, image)
        check_image_size(image_size(path), (image["height"], image["width"]), path)
    except (OSError, ValueError) as error:
        return error
    return path


def _path(images: Path, image: Record) -> Path:
    choices = [images / name for name in file_names(image)]
    for path in choices:
        if path.is_file():
            return path
    raise FileNotFoundError(f"the image {choices[-1]} does not exist.")


def _definition(category: Mapping[str, Any]) -> str:
    """Returns LVIS's definition of a category; '' if it is missing or no text."""
    return category["def"] if isinstance(category.get("def"), str) else ""


def _record(entry: Mapping[str, Any], category: Mapping[str, Any], path: Path, stem: str) -> SegmentRecord:
    return SegmentRecord(
        file=str(path),
        category=category["name"],
        sub_category="",
        phrase=category["name"].replace("_", " "),
        description=_definition(category),
        attributes=(),
        source_id=f"{stem}/{entry['id']}",
        outline=json.dumps(entry["segmentation"], separators=(",", ":")),
    )
