"""Names of the annotation files of single shards, which a composed data set holds where its files are not merged."""

import re
from pathlib import Path, PurePosixPath

# Folder of these files in the data set: the images are beside it, as they are beside `annotations`.
SHARDS = "shards"
# Lists them: the images of each shard, and the files of each annotation file.
SHARDS_INDEX = f"{SHARDS}/index.json"


def shard_file(name: str, number: int) -> str:
    """Returns the path of one shard of an annotation file, both relative to the data set.

    >>> shard_file("annotations/instances.json", 7)
    'shards/instances-000007.json'
    """
    path = PurePosixPath(name)
    return f"{SHARDS}/{path.stem}-{number:06d}{path.suffix}"


def table_stem(path: Path) -> str:
    """Returns the stem of the annotation file that a file is a shard of; its own stem if it is none.

    >>> table_stem(Path("shards/panoptic-000007.json"))
    'panoptic'
    """
    return re.sub(r"-\d{6,}$", "", path.stem) if path.parent.name == SHARDS else path.stem


def check_merged(folder: Path) -> None:
    """Raises ValueError if the annotation files of a data set are not merged."""
    if (folder / SHARDS_INDEX).is_file():
        raise ValueError(f"The data set {folder} must have merged annotation files, but it holds {_told(folder)}")


def hint_of_missing(path: Path) -> str:
    """Returns what to do about an annotation file that is missing since it is not merged; '' if that is not why."""
    folder = path.parent.parent
    return f": its data set holds {_told(folder)}" if (folder / SHARDS_INDEX).is_file() else ""


def _told(folder: Path) -> str:
    return (
        f"those of single shards: name one of them, which {folder / SHARDS_INDEX} lists, or merge them by the "
        "command that made the data set, with `--merge all`."
    )
