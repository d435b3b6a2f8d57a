"""The folder of a composed data set: its state, and what its backgrounds show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.records import Record

# Written last: a data set with a manifest is complete.
MANIFEST = "manifest.json"
# Folder of the shards until all of them are written.
WORK = ".shards"

# Types of backgrounds that are photographs; all others are computed and show no objects.
PHOTOGRAPHS = ("folder", "sample")


def is_unfinished(out: Path) -> bool:
    """Returns whether a run has started a data set in a folder and not finished it."""
    return (out / WORK).is_dir() and not (out / MANIFEST).exists()


@dataclass(frozen=True)
class BackgroundContent:
    """What the backgrounds of a composed data set show.

    Attributes:
        names: Categories that they may show; 'unknown' for any.
        is_empty: Whether they show no object at all, of the vocabulary or not.
    """

    names: str | Sequence[str] = "unknown"
    is_empty: bool = False


def _read_recipe(folder: Path) -> Record | None:
    """Reads the recipe of the manifest; returns None if there is no manifest."""
    if not (folder / MANIFEST).is_file():
        return None
    recipe = read_json_object(folder / MANIFEST, "The manifest").get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("backgrounds"), dict):
        raise ValueError(f"{folder / MANIFEST} must hold the recipe, but does not: make the data set again.")
    return recipe


def recipe_has(folder: Path, format: str) -> bool:
    """Tells whether the recipe of a data set has a format; a folder that is no composed data set has none.

    Raises:
        ValueError: If the manifest is not of that kind.
    """
    formats = (_read_recipe(folder) or {}).get("formats") or ()
    return format in [each.get("type") if isinstance(each, dict) else each for each in formats]


def background_content(folder: Path) -> BackgroundContent | None:
    """Reads what the backgrounds of a composed data set show from its manifest; None where there is none.

    Raises:
        ValueError: If the manifest is not of that kind.
    """
    recipe = _read_recipe(folder)
    if recipe is None:
        return None
    type = recipe["backgrounds"].get("type")
    shown = shown_by_backgrounds(recipe.get("background_categories"), type)
    return BackgroundContent(shown, type not in PHOTOGRAPHS)


def shown_by_backgrounds(names: str | Sequence[str] | None, type: str) -> str | Sequence[str]:
    """Completes ``background_categories`` of a recipe: 'unknown' for photographs, none for other backgrounds."""
    if names is not None:
        return names
    return "unknown" if type in PHOTOGRAPHS else []
