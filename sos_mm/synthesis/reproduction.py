"""Reproduces one image of a data set from the data set's manifest."""

import hashlib
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sos_mm.composition.scene import Scene
from sos_mm.formats.checksums import read_checksums
from sos_mm.formats.composed import MANIFEST
from sos_mm.formats.webdataset import read_members
from sos_mm.synthesis.complete import read_manifest
from sos_mm.synthesis.engine import FORMAT
from sos_mm.synthesis.environment import differences, library_facts
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.recipe import Recipe
from sos_mm.synthesis.shards import ShardImage
from sos_mm.synthesis.tables import encode_record
from sos_mm.synthesis.unmerged import lines_file


def reproduce(out: str | Path, index: int) -> Scene:
    """Composes the scene of an image again, from the manifest and the recipe's sources alone.

    Its files must have the data set's checksums, and its records must equal those of the JSON lines files. So a change
    of a source or of the code is detected wherever it affects this image.

    Args:
        out: Folder of a complete data set.
        index: Number of the image, from 0.

    Raises:
        FileNotFoundError: If there is no manifest, or a source is missing.
        IndexError: If the data set has no such image.
        ValueError: If the image differs, or the manifest has been changed.
    """
    out = Path(out)
    manifest = _read_manifest(out)
    if not 0 <= index < manifest["num"]:
        raise IndexError(f"`index` must be in [0, {manifest['num']}), but got {index}.")
    left_out = _left_out(manifest, index)
    maker = ShardMaker(Recipe.from_dict(manifest["recipe"]), manifest["seed"], left_out)
    scene = maker.scenes.make(index)
    made = maker.encode(scene, index)
    different = _differences(out, index, made, read_checksums(out, made.files))
    if different:
        changed = differences(manifest.get("libraries", {}), library_facts())
        libraries = f" The libraries differ: {', '.join(changed)}." if changed else ""
        raise ValueError(
            f"Image {index} of {out} differs from the one that was written ({', '.join(different)}): the segments, "
            f"backgrounds or texts that the recipe names, or the installed packages, have changed since.{libraries}"
        )
    return scene


def _left_out(manifest: Mapping[str, Any], index: int) -> list[str]:
    """Returns the names of the photographs that were left out when an image was made."""
    for state in manifest.get("source_states", ()):
        if any(first <= index <= last for first, last in state["images"]):
            return list(state["left_out"])
    return list(manifest.get("backgrounds_left_out", ()))


def _read_manifest(out: Path) -> dict[str, Any]:
    path, manifest = out / MANIFEST, read_manifest(out)
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} must be of format {FORMAT}, but is of {manifest['format']}: another version made it.")
    if Recipe.from_dict(manifest["recipe"]).sha256 != manifest["recipe_sha256"]:
        raise ValueError(f"The recipe in {path} must be the one that was used, but its checksum says that it is not.")
    return manifest


def _differences(out: Path, index: int, made: ShardImage, checksums: dict[str, str]) -> list[str]:
    """Returns the names of the files that differ."""
    files = [name for name, content in made.files.items() if hashlib.sha256(content).hexdigest() != checksums.get(name)]
    lines = [
        f"lines of image {index} in {path}"
        for (path, section), records in made.records.items()
        if not section and not _has_lines(lines_file(out, path, index), list(map(encode_record, records)))
    ]
    return files + lines + _different_members(out, index, made)


def _different_members(out: Path, index: int, made: ShardImage) -> list[str]:
    """Returns the names of the members of archives that differ."""
    names = []
    for folder, members in made.archives.items():
        found = read_members(out / folder, index, members)
        names += [f"{folder}: {name}" for name, content in members.items() if found.get(name) != content]
    return names


def _has_lines(path: Path, lines: Sequence[bytes]) -> bool:
    """Returns whether a file contains lines one after the other. An image has any number of them, and they name it."""
    wanted = b"".join(line + b"\n" for line in lines)
    if not wanted:
        return True
    if not path.exists() or path.stat().st_size < len(wanted):
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content[: len(wanted)] == wanted or content.find(b"\n" + wanted) >= 0
