"""The bundled sample: where its files are, and which of them are for training and which are held out."""

import json
from pathlib import Path

from sos_mm.checks import check_choice

SAMPLE_FOLDER = Path(__file__).resolve().parents[1] / "sample"
GROUPS = ("train", "held_out", "all")


def sample_group(kind: str, group: str) -> list[str]:
    """Names of the bundled things of one kind in one group; no name is both in 'train' and in 'held_out'.

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
