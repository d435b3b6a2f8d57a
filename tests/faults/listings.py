"""Folders that hold more than inputs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import world
from tests.faults.calls import browse_saliency, check, cutout, index_folder, index_release
from tests.faults.inputs import Argv, Case, _synthesize
from tests.faults.spoiling import below, folder_at, replaced
from tests.helpers.commands import Ending

# What lies beside inputs, by its path below a folder of them.
BESIDE: list[tuple[str, Callable[[Path], object]]] = [
    ("._photo.jpg", lambda root: replaced("._1.jpg", b"Mac OS X")(root)),
    ("._photo.png", lambda root: replaced("._1.png", b"Mac OS X")(root)),
    (".hidden/photo.png", lambda root: replaced(".hidden/x.png", b"x")(root)),
    ("__MACOSX/photo.png", lambda root: replaced("__MACOSX/x.png", b"x")(root)),
    ("__MACOSX/a/photo.jpg", lambda root: replaced("__MACOSX/a/x.jpg", b"x")(root)),
    ("folder.jpg", folder_at("folder.jpg")),
    ("folder.png", folder_at("folder.png")),
    ("Thumbs.db", replaced("Thumbs.db", b"x")),
]


def _backgrounds(folder: Path) -> list:
    world.write_recipe(folder, world.recipe() | {"backgrounds": {"type": "folder", "root": "{folder}/photos"}})
    return [*_synthesize(folder), "--num", "6"]


def as_without(name: str) -> Callable[[Path, Ending], str | None]:
    """The result is that of the good inputs: the number of segments, images or pairs."""
    told = {
        "index folder": "2 segments in 2 categories, 0 skipped",
        "index release": "2 segments in 2 categories, 0 skipped",
        "cutout": ": 2 cut out",
        "check": "2 pairs, complete",
    }
    return lambda folder, ended: None if told.get(name, "") in ended.out else f"another result: {ended.out}"


LISTINGS: dict[str, tuple[str, Argv]] = {
    "index folder": ("segments/ball", index_folder),
    "index folder's root": ("segments", index_folder),
    "index release": ("release/ball/red_ball", index_release),
    "backgrounds": ("photos", _backgrounds),
    "cutout": ("photos", lambda folder: cutout(folder / "photos", folder)),
    "browse": ("saliency/images", browse_saliency),
    "browse's root": ("saliency", browse_saliency),
    "check": ("saliency/masks", check),
}


def listing_cases() -> Iterator[Case]:
    """Yields folders with files that are no inputs, which change nothing, and with images of other kinds."""
    for tool, (where, argv) in LISTINGS.items():
        for what, put in BESIDE:
            if "root" in tool and what in ("folder.jpg", "folder.png") and "browse" not in tool:
                continue
            spoil = below(where, put)
            name = tool.removesuffix("'s root")
            yield Case("listings", what, tool, spoil, argv, "accept", right=as_without(name))
        if "root" in tool:
            continue
        for suffix in ("gif", "avif", "heic", "JXL"):
            spoil = below(where, replaced(f"x.{suffix}", b"x"))
            expected = "find" if tool == "check" else "refuse"
            yield Case("listings", f"x.{suffix}", tool, spoil, argv, expected, rf"x\.{suffix}")
