"""The folder of a composed data set: how far a run has come with it."""

from pathlib import Path

# Written last: a data set that has it is complete.
MANIFEST = "manifest.json"
# Where shards wait until all are there.
WORK = ".shards"


def is_unfinished(out: Path) -> bool:
    """Tells whether a run has begun a data set in a folder and not ended it."""
    return (out / WORK).is_dir() and not (out / MANIFEST).exists()
