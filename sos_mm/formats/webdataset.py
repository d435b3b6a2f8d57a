"""WebDataset: samples as members of tar files, with one name up to the first dot, and the list of the tar files."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sos_mm.formats.json_reader import read_json_object
from sos_mm.formats.records import OBJECTS, SIZE, TEXT, Record, check_record

# Name of the list in the folder of the tar files, and of its records.
INDEX, SHARDLIST = "index.json", "shardlist"
_HEAD = {"__kind__": "wids-shard-index-v1", "wids_version": 1}
_SHARD = {"url": TEXT, "nsamples": SIZE, "filesize": SIZE}


class TarWriter:
    """Writes a tar file (POSIX ustar) whose bytes depend on the names and contents of its members alone.

    Args:
        file: The file, open for writing; only its methods ``write`` and ``tell`` are used.
    """

    def __init__(self, file: Any):
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)

    def add(self, name: str, content: bytes) -> None:
        """Adds a member; its owner is number 0 without a name, its time 1970, and everybody may read it."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        self._tar.addfile(member, io.BytesIO(content))

    def close(self) -> None:
        """Writes the end of the tar file; the file stays open."""
        self._tar.close()


def index_head(name: str, categories: Iterable[str]) -> Record:
    """Returns the members of the list beside its records.

    Args:
        name: Name of the data set.
        categories: Names of the categories, in the order of their labels from 0.
    """
    return {**_HEAD, "name": name, "categories": list(categories)}


def index_record(url: str, samples: int, size: int) -> Record:
    """Returns the record of a tar file: its name, its number of samples, and its size in bytes."""
    return {"url": url, "nsamples": samples, "filesize": size}


def read_members(folder: Path, index: int, names: Iterable[str]) -> dict[str, bytes]:
    """Reads members of a sample.

    Args:
        folder: Folder of the tar files and their list.
        index: Index of the sample, from 0.
        names: Names of the members; those that do not exist are left out.

    Raises:
        FileNotFoundError: If the list or the tar file is missing.
        ValueError: If they are invalid, or there are fewer samples.
    """
    path = folder / tar_of(folder, index)
    try:
        with tarfile.open(path, "r:") as tar:
            found = {member.name: member for member in tar_members(tar, path)}
            files = {name: tar.extractfile(found[name]) for name in names if name in found}
            return {name: file.read() for name, file in files.items() if file is not None}
    except tarfile.TarError as error:
        raise ValueError(f"{path} must be a tar file, but cannot be read: {error}.") from error


def tar_members(tar: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yields the members of a tar file; the last one may be cut short.

    Args:
        tar: The file, opened without compression.
        path: Its path.

    Raises:
        tarfile.ReadError: After a member that claims to reach beyond the file's end: the system may refuse to look for
            the next one there, with an error that names no file.
    """
    end = path.stat().st_size
    for member in tar:
        yield member
        if member.offset_data + member.size > end:
            raise tarfile.ReadError("unexpected end of data")


def tar_of(folder: Path, index: int) -> str:
    """Returns the name of the tar file of a sample by its index; raises what `read_members` does."""
    path, first = folder / INDEX, 0
    shards: Any = read_json_object(path, "The list of tar files").get(SHARDLIST)
    check_record({SHARDLIST: shards}, {SHARDLIST: OBJECTS}, f"The list of tar files {path}")
    for position, shard in enumerate(shards):
        check_record(shard, _SHARD, f"Tar file {position} of {path}")
        if index < (first := first + shard["nsamples"]):
            return Path(shard["url"]).name
    raise ValueError(f"{path} must list a tar file of sample {index}, but lists {first} samples.")


def encode_sample(file_name: str, size: tuple[int, int], objects: list[Record], ignored: list[Record]) -> bytes:
    """Encodes the JSON file of a sample.

    Args:
        file_name: Name of the image.
        size: Its height and width in pixels.
        objects, ignored: Records of `object_record`.
    """
    head = {"file_name": file_name, "height": size[0], "width": size[1]}
    record = {**head, "objects": objects, "ignored": ignored}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def object_record(label: int, category: str, box: Iterable[int], mask: Mapping[str, Any], **more: Any) -> Record:
    """Returns the record of an object or an ignore region.

    Args:
        label: Number of its category, from 0.
        category: Its category.
        box: Half-open xyxy in pixels.
        mask: Its visible pixels in COCO's compressed run lengths.
        more: Further members.
    """
    return {"label": label, "category": category, **more, "box": list(box), "segmentation": dict(mask)}
