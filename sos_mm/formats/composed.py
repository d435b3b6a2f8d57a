"""The state of a composed data set's folder: whether a run has finished it."""

from pathlib import Path

# Written last: a data set with a manifest is complete.
MANIFEST = "manifest.json"
# Folder of the shards until all of them are written.
WORK = ".shards"


def is_unfinished(out: Path) -> bool:
    """Returns whether a run has started a data set in a folder and not finished it."""
    return (out / WORK).is_dir() and not (out / MANIFEST).exists()
