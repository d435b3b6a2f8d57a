"""The state of a download: what earlier runs have fetched into a folder, in a file there."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sos_mm.atomic import write_atomic
from sos_mm.formats.json_reader import read_json_object

STATE = "download.json"
# The lock against other runs in the folder.
LOCK = ".download.lock"


@dataclass
class State:
    """What earlier runs have fetched into a folder, as the file `STATE` there holds it.

    Attributes:
        repository, commit, licence: Where the files come from, and the licence that the card named then.
        verified: Size and modification time (ns) of each large file in the cache whose checksum was right.
        unpacked: The categories that were unpacked of each archive; None for all.
        banks: Banks in the unpacked files, as `build_bank` takes them.
    """

    repository: str
    commit: str
    licence: str | None
    verified: dict[str, list[int]] = field(default_factory=dict)
    unpacked: dict[str, list[str] | None] = field(default_factory=dict)
    banks: list[dict[str, Any]] = field(default_factory=list)

    def save(self, out: Path) -> None:
        """Writes the state to the file `STATE` of a folder."""
        write_atomic(out / STATE, (json.dumps(asdict(self), indent=1) + "\n").encode())


def read_state(out: Path, repository: str) -> State | None:
    """Reads the state of a download from its folder.

    Args:
        out: The folder.
        repository: The data set that is fetched.

    Returns:
        The state; None if there is none.

    Raises:
        ValueError: If the file is not of that kind, or the folder holds another data set.
    """
    path = out / STATE
    if not path.is_file():
        return None
    told = read_json_object(path, "The record of earlier downloads")
    try:
        state = State(**told)
        verified = all(isinstance(each, list) and len(each) == 2 for each in state.verified.values())
        if not (verified and isinstance(state.unpacked, dict) and isinstance(state.banks, list)):
            raise TypeError("a member has another type")
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be a record of earlier downloads, but is not ({error}): remove it.") from error
    if state.repository != repository:
        raise ValueError(f"{out} holds {state.repository}, but {repository} is asked for: choose another folder.")
    return state
