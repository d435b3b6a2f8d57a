"""The bundled sample: its files, and the split into training and held-out groups."""

import json
from pathlib import Path

from sos_mm.checks import check_choice

SAMPLE_FOLDER = Path(__file__).resolve().parents[1] / "sample"
GROUPS = ("train", "held_out", "all")


def sample_group(kind: str, group: str) -> list[str]:
    """Returns the names of the bundled segments or backgrounds of a group; 'train' and 'held_out' are disjoint.

    Args:
        kind: 'segments' (names are ``<category>/<sub-category>``) or 'backgrounds'.
        group: 'train', 'held_out' or 'all'.

    Raises:
        ValueError: If there is no such group.
        FileNotFoundError: If the package was installed without its sample.
    """
    check_choice("group", group, GROUPS)
    groups = json.loads((SAMPLE_FOLDER / "groups.json").read_text(encoding="utf-8"))[kind]
    return groups["train"] + groups["held_out"] if group == "all" else groups[group]
