"""The catalogue of the data sets that the authors of SOS released on the Hugging Face hub."""

import re
from dataclasses import dataclass

from sos_mm.checks import check_choice

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ReleasedSet:
    """A data set on the hub.

    Attributes:
        name: Short name; that of the repository if it is not in the catalogue.
        repository: Its repository, ``owner/name``.
        contents: What it holds, in a few words.
        by_category: Whether its files are segments by category, of which some can be chosen; None if unknown.
    """

    name: str
    repository: str
    contents: str = ""
    by_category: bool | None = None


# The sizes and numbers are those of the repositories' cards and listings.
CATALOGUE = (
    ReleasedSet(
        "visualization",
        "weikaih/SOC-Object-Segments-Visualization",
        "5,097 segments in two Parquet files, 764 MB",
        True,
    ),
    ReleasedSet(
        "fc-segments",
        "weikaih/SOC-FC-Object-Segments-10M",
        "10 million segments of frequent categories, multi-volume 7z",
        True,
    ),
    ReleasedSet(
        "gc-segments",
        "weikaih/SOC-GC-Object-Segments-10M",
        "10 million segments of general categories, multi-volume 7z",
        True,
    ),
    ReleasedSet("fc-1m", "weikaih/SOC-FC-1M", "1 million composed images, frequent categories, multi-volume 7z", False),
    ReleasedSet("gc-1m", "weikaih/SOC-GC-1M", "1 million composed images, general categories, multi-volume 7z", False),
    ReleasedSet(
        "sfc-200k",
        "weikaih/SOC-SFC-200K",
        "200,000 composed images of one frequent category each, multi-volume 7z",
        False,
    ),
    ReleasedSet(
        "sgc-200k",
        "weikaih/SOC-SGC-200K",
        "200,000 composed images of one general category each, multi-volume 7z",
        False,
    ),
)


def find_set(name: str) -> ReleasedSet:
    """Finds a data set by its name.

    Args:
        name: A short name of the catalogue, the name of one of its repositories with or without owner, or any other
            repository of the hub as ``owner/name``.

    Raises:
        ValueError: If it is none of these; names the nearest one.

    >>> find_set("SOC-FC-1M").name
    'fc-1m'
    >>> find_set("someone/their-set").repository
    'someone/their-set'
    """
    for each in CATALOGUE:
        if name.lower() in (each.name, each.repository.lower(), each.repository.partition("/")[2].lower()):
            return each
    if _REPOSITORY.fullmatch(name):
        return ReleasedSet(name, name)
    check_choice("name", name, [*(each.name for each in CATALOGUE), "OWNER/NAME"])
    raise AssertionError("no name of the catalogue gets here")
