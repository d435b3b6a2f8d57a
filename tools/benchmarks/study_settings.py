"""The settings of a study, kept in its folder, so that it goes on with the same ones only."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic


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
