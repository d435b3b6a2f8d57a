"""Odd names of categories and files."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import world
from tests.faults.inputs import Case, _browse, _synthesize
from tests.helpers.commands import Ending

# Categories, which are names of folders: separators of lines, control characters, quotes, other scripts, markup.
ODD_NAMES = (
    "line\u2028separator", "paragraph\u2029separator", "next\x85line", "new\nline", "tab\there", "bell\x07",
    "delete\x7f", "quote\"d", "back\\slash", "colon: #1", "<script>alert(1)<script>", "emoji \U0001f34e",
    "\ufeffmark", "nul-like \x01", "café", "狗", "- dash", "yes", "null", "{{ braces }}", "%percent", "'single'",
    "trailing ", " leading", "\u200bzero width",
)  # fmt: skip


def _named_segments(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "segments/ball").rename(folder / "segments" / name)
        recipe = world.recipe() | {"formats": ["coco", "lvis", "yolo", "objects", "odvg", "panoptic", "referring"]}
        world.write_recipe(folder, recipe)

    return spoil


def _with_page(folder: Path) -> list:
    return [*_synthesize(folder), "--report", folder / "page"]


def name_cases() -> Iterator[Case]:
    """Yields names of categories that are right, however odd: every output must hold them."""
    for name in ODD_NAMES:
        yield Case(
            "names", repr(name), "synthesize", _named_segments(name), _with_page, "accept", right=_all_hold(name)
        )
    for name in ("_", " ", "__ _"):
        yield Case("names", repr(name), "synthesize", _named_segments(name), _synthesize, says=r"[Cc]ategor")


def _all_hold(name: str) -> Callable[[Path, Ending], str | None]:
    """Every annotation file passes the validator and names the category, and so do YAML and the page."""
    import html
    import json

    import yaml

    from sos_mm.annotations.options import Options
    from sos_mm.annotations.validate import validate

    key = " ".join(name.replace("_", " ").lower().split())

    def right(folder: Path, ended: Ending) -> str | None:
        made = folder / "made"
        found = yaml.safe_load((made / "data.yaml").read_text(encoding="utf-8"))["names"]
        if sorted(found.values()) != sorted(["box", key]):
            return f"data.yaml names {found}"
        for file in ("instances.json", "lvis_v1.json", "panoptic.json", "odvg_detection.jsonl", "odvg_grounding.jsonl"):
            images = made if file == "lvis_v1.json" else made / "images"
            masks = made / "panoptic" if file == "panoptic.json" else None
            faults = validate(made / "annotations" / file, options=Options(images, masks))
            if faults.counts:
                return faults.describe()
        named = {each["name"] for each in json.loads((made / "annotations/instances.json").read_text())["categories"]}
        if named != {"box", key}:
            return f"instances.json names {named}"
        page = (folder / "page/index.html").read_text(encoding="utf-8")
        return None if html.escape("box") in page else "the page lacks a category"

    return right


def browse_cases() -> Iterator[Case]:
    """Yields annotation files of odd names for the page, which are right."""
    for name in ODD_NAMES:
        spoil = _renamed(name)
        yield Case("names", repr(name), "browse", spoil, _browse("coco"), "accept")


def _renamed(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = world.coco()
        content["categories"][0]["name"] = name
        content["images"][0]["file_name"] = f"{name.replace('/', '')}.jpg"
        shutil.copy(folder / "photos/1.jpg", folder / "photos" / content["images"][0]["file_name"])
        world.write_json(folder / "coco.json", content)

    return spoil
