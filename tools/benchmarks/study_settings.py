"""The settings of a study and the recipes of its images, kept in its folder: it goes on with the same ones only."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic
from sos_mm.synthesis.engine import FORMAT


def same_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Keeps the settings of a study in its folder, or checks that they are those that it was begun with.

    Raises:
        ValueError: If the folder holds a study with other settings.
    """
    path = folder / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        held = f"{folder} holds a study with {path.read_text()}, but got {json.dumps(settings)}"
        raise ValueError(f"{held}: name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(settings).encode())


def same_recipes(folder: Path, recipes: Mapping[str, Mapping[str, Any]]) -> None:
    """Keeps what a study's images are composed of in its folder, or checks that its images were composed of the same.

    The version of the project's output bytes is kept too. A folder without the file is of a version that did not write
    it, and is gone on with.

    Args:
        folder: Of the study.
        recipes: By the name of a set of images, all that they depend on but the settings and the photographs; without
            paths.

    Raises:
        ValueError: If the folder holds images of another version of the study.
    """
    path = folder / "recipes.json"
    # As JSON holds them: tuples become lists.
    new = json.loads(json.dumps({name: {"format": FORMAT, **recipe} for name, recipe in recipes.items()}))
    old = json.loads(path.read_text()) if path.exists() else {}
    for name in old.keys() & new.keys():
        keys = sorted(key for key in old[name].keys() | new[name].keys() if old[name].get(key) != new[name].get(key))
        if keys:
            raise ValueError(
                f"{folder} must hold images that are composed as this version does it, but {path} has other values of "
                f"{', '.join(keys)} for `{name}`: go on with the version that composed them, or name another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({**old, **new}).encode())
