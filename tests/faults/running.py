"""Judges how tools ended, and what they left."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from tests.helpers.commands import Ending


def state(folder: Path) -> dict[str, str]:
    """Returns the hash of each file below a folder; folders without files do not count."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def complaint_about_refusal(ended: Ending, says: str) -> str | None:
    """Returns what is wrong with a refusal; None if it is clean.

    It must be exit code 2 and one line on stderr that begins with ``error: ``, ends with a full stop, and matches
    ``says``, which names the file or the key. Errors of argparse, which come after its usage, name the option.
    """
    if ended.raised:
        return f"a traceback: {ended.raised}"
    if ended.code == 0:
        return "accepted"
    if ended.code != 2 or "Traceback" in ended.err:
        return f"exit code {ended.code}"
    line = ended.line
    if not line.startswith("error: ") and " error: " not in line:
        return f"not one line: {ended.err[-300:]!r}"
    return None if re.search(says, line) else f"does not say {says!r}: {line}"


def complaint_about_finding(ended: Ending, says: str) -> str | None:
    """Returns what is wrong with the report of a faulty file: exit code 1, and a text on stdout that matches."""
    if ended.raised:
        return f"a traceback: {ended.raised}"
    if ended.code != 1:
        return "accepted" if ended.code == 0 else f"exit code {ended.code}: {ended.line}"
    return None if re.search(says, ended.out) else f"does not say {says!r}: {ended.out}"


def complaint_about_acceptance(ended: Ending, right: Callable[[Path, Ending], str | None], folder: Path) -> str | None:
    """Returns what is wrong with an accepted input: it must end with exit code 0, and its result must be right."""
    if ended.raised:
        return f"a traceback: {ended.raised}"
    return f"exit code {ended.code}: {ended.line}" if ended.code else right(folder, ended)
