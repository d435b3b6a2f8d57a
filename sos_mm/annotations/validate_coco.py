"""Validation of COCO instances files, from which the checks of other files with such lists are derived."""

from pathlib import Path
from typing import Any, cast

from sos_mm.annotations.findings import Findings
from sos_mm.annotations.options import Options
from sos_mm.formats.boxes import box_complaint
from sos_mm.formats.json_reader import Member
from sos_mm.formats.records import (
    FLAG,
    ID,
    NO_LIMIT,
    WORDS,
    Complaint,
    are_finite,
    is_below,
    is_integer,
    is_size,
    size_complaint,
)
from sos_mm.formats.rle import mask_complaint, rle_complaint, rle_totals
from sos_mm.images import check_image_size, image_size

Record = dict[str, Any]
_MASKS_AT_A_TIME = 1000


def told(record: Record, key: str) -> str:
    """Formats a member of a record for a finding: its value, or that it is missing."""
    return repr(record[key])[:80] if key in record else f"no `{key}`"


def image_complaint(path: Path, record: Record) -> Complaint:
    """Compares an image file, by its header, with its record; returns what is wrong, or None."""
    try:
        if not path.is_file():
            return "the image file must be there", str(path)
        found = image_size(path)
        if is_size(record.get("height")) and is_size(record.get("width")) and record["height"] < NO_LIMIT:
            check_image_size(found, (record["height"], record["width"]), path)
    except (OSError, ValueError) as error:
        return "the image file must be readable, and of the size that is annotated", str(error)
    return None


class CocoCheck:
    """Validates the members of a COCO instances file one by one, in whatever order its lists come.

    Args:
        findings: Collects the faults.
        options: The options of the validation.
    """

    lists: tuple[str, ...] = ("images", "annotations", "categories")
    # Whether two images may have the same file.
    shared_files = False
    # Whether the evaluation of such files reads `iscrowd` of each annotation.
    needs_crowd = True

    def __init__(self, findings: Findings, options: Options):
        self.findings, self.options = findings, options
        self.images: dict[Any, Record] = {}
        self.positions: dict[Any, int] = {}
        self.categories: dict[Any, str] = {}
        self.used_categories: dict[Any, int] = {}
        self._files: set[str] = set()
        self._names: set[str] = set()
        self._ids: set[Any] = set()
        self._waiting: list[Member] = []
        self._masks: list[tuple] = []
        self._section, self._complete = "", False

    def see(self, member: Member) -> None:
        """Checks one member of the file."""
        self._section = member.section
        if member.section not in self.lists:
            return
        self.findings.records[member.section] += 1
        if not member.listed:
            self.findings.add(member.offset, f"`{member.section}` must be a list", repr(member.value)[:80])
        elif not isinstance(member.value, dict):
            self.findings.add(member.offset, f"`{member.section}` must hold JSON objects", repr(member.value)[:80])
        elif member.section == "images":
            self.image(member.value, member.offset)
        elif member.section == "categories":
            self.category(member.value, member.offset)
        elif self.images:
            self.annotation(member.value, member.offset)
        else:
            self._waiting.append(member)

    def end(self, complete: bool) -> None:
        """Runs the checks that need all members, after the last one.

        Args:
            complete: Whether the file was read to its end. If not, nothing is reported as missing.
        """
        self._complete = complete
        for member in self._waiting:
            self.annotation(member.value, member.offset)
        self._check_masks()
        for name in self.lists:
            if complete and not self.findings.records[name]:
                self.findings.add(0, f"there must be a list `{name}` that is not empty")
        for category, position in self.unknown_categories().items():
            self.findings.add(position, "`category_id` must be one of `categories`", f"first used here: {category!r}")

    def complete(self, section: str) -> bool:
        """Returns whether a list was read to its end: the file was, or another member followed the list."""
        return self._complete or (self.findings.records[section] > 0 and self._section != section)

    def unknown_categories(self) -> dict[int, int]:
        """Returns the categories of annotations that no list names, with the position of their first use."""
        if not self.complete("categories"):
            return {}
        return {id: position for id, position in self.used_categories.items() if id not in self.categories}

    def complain(self, position: int, complaint: Complaint, owner: str) -> bool:
        """Adds a complaint unless it is None; returns whether there was one."""
        if complaint is not None:
            self.findings.add(position, complaint[0], f"{owner}: {complaint[1]}")
        return complaint is not None

    def image(self, record: Record, position: int) -> None:
        """Checks an entry of ``images``."""
        id, owner = record.get("id"), f"image {record.get('id')!r}"
        if not ID.holds(id):
            self.findings.add(position, "an image must have an `id`, an integer or a text", told(record, "id"))
        elif id in self.images:
            self.findings.add(position, "ids of images must differ", f"{id!r} again")
        elif self.images and type(id) is not type(next(iter(self.images))):
            self.findings.add(position, "ids of images must be all integers or all texts", owner)
        if self.complain(position, size_complaint(record), owner):
            record = record | {"height": NO_LIMIT, "width": NO_LIMIT}
        self.file(record, position, owner)
        if ID.holds(id):
            self.images.setdefault(id, record)
            self.positions.setdefault(id, position)

    def file(self, record: Record, position: int, owner: str) -> None:
        """Checks the name of an image's file, and that the file exists."""
        name = self.file_name(record)
        if not is_below(name):
            reason = "an image must have a `file_name`, a path below the folder of images"
            self.findings.add(position, reason, f"{owner}: {name!r}"[:120])
            return
        if name in self._files and not self.shared_files:
            self.findings.add(position, "files of images must differ", f"{owner}: {name!r} again")
        if name not in self._files and self.options.images:
            self.complain(position, image_complaint(Path(self.options.images) / name, record), owner)
        self._files.add(name)

    def file_name(self, record: Record) -> Any:
        """Returns the path of an image's file, relative to the folder of images."""
        return record.get("file_name")

    def category(self, record: Record, position: int) -> None:
        """Checks an entry of ``categories``."""
        id, name = record.get("id"), record.get("name")
        if not is_integer(id) or not WORDS.holds(name):
            self.findings.add(position, "a category must have an `id` and a `name`", f"{id!r}, {name!r}")
        elif id in self.categories:
            self.findings.add(position, "ids of categories must differ", f"{id} again")
        elif name in self._names:
            self.findings.add(position, "names of categories must differ", f"{name!r} again")
        if is_integer(id):
            self.categories[id] = cast(str, name)  # If it is no text, that is reported above.
        if isinstance(name, str):
            self._names.add(name)

    def annotation(self, record: Record, position: int) -> None:
        """Checks an entry of ``annotations``."""
        owner = f"annotation {record.get('id')!r}"
        self.own_id(record, position)
        size = self.size_of_image(record, position, owner)
        self.category_of(record, position)
        self.region(record, position, owner, size)

    def own_id(self, record: Record, position: int) -> None:
        """Checks the id of an annotation."""
        id = record.get("id")
        if not is_integer(id):
            self.findings.add(position, "an annotation must have an `id`, an integer", told(record, "id"))
        elif id in self._ids:
            self.findings.add(position, "ids of annotations must differ", f"{id} again")
        else:
            self._ids.add(id)

    def size_of_image(self, record: Record, position: int, owner: str) -> tuple[int, int]:
        """Returns height and width of an annotation's image, which must exist; without limit if they are unknown."""
        id = record.get("image_id")
        image = self.images.get(id) if ID.holds(id) else None
        if image is None:
            if self.complete("images") or not ID.holds(id):
                self.findings.add(position, "`image_id` must be one of `images`", f"{owner}: {id!r}"[:80])
            return NO_LIMIT, NO_LIMIT
        return image["height"], image["width"]

    def category_of(self, record: Record, position: int) -> None:
        """Notes an annotation's category; `end` checks that it exists."""
        category = record.get("category_id")
        if not is_integer(category):
            self.findings.add(position, "`category_id` must be an integer", told(record, "category_id"))
        else:
            self.used_categories.setdefault(category, position)

    def region(self, record: Record, position: int, owner: str, size: tuple[int, int]) -> None:
        """Checks box, area and mask of an annotation."""
        box: Any = record.get("bbox")
        area: Any = record.get("area")
        bad_box = self.complain(position, box_complaint(box, size, self.options.tolerance), owner)
        if not are_finite([area]) or not area > 0:
            self.findings.add(position, "`area` must be over 0", f"{owner}: {area!r}")
        # A pixel more on each side, since masks of polygons are rounded to pixels.
        elif not bad_box and area > (box[2] + 1) * (box[3] + 1):
            self.findings.add(position, "`area` must not be larger than the box", f"{owner}: {area} in {box}")
        if self.needs_crowd and not FLAG.holds(record.get("iscrowd")):
            reason = "`iscrowd` must be 0 or 1, and be there: COCO's evaluation reads it"
            self.findings.add(position, reason, f"{owner}: {told(record, 'iscrowd')}")
        elif not FLAG.holds(record.get("iscrowd", 0)):
            self.findings.add(position, "`iscrowd` must be 0 or 1", f"{owner}: {record['iscrowd']!r}")
        if record.get("segmentation") is not None and size[0] < NO_LIMIT:
            self._mask(record["segmentation"], position, owner, size, area)

    def _mask(self, mask: Any, position: int, owner: str, size: tuple[int, int], area: Any) -> None:
        """Checks a mask; compressed masks are collected and checked many at a time."""
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            self.complain(position, mask_complaint(mask, size, area, self.options.tolerance), owner)
            return
        self._masks.append((mask, position, owner, size, area))
        if len(self._masks) == _MASKS_AT_A_TIME:
            self._check_masks()

    def _check_masks(self) -> None:
        try:
            totals: list[Any] = rle_totals([mask["counts"] for mask, *_ in self._masks]) if self._masks else []
        except ValueError:
            # One of them is invalid: check them one by one.
            totals = [None] * len(self._masks)
        for (mask, position, owner, size, area), each in zip(self._masks, totals, strict=True):
            self.complain(position, rle_complaint(mask, size, area, each), owner)
        self._masks.clear()
