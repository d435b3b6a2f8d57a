"""Small data sets of the released layouts: segments in a multi-volume 7z archive, and in Parquet files."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import make_rgba

SEGMENTS = "weikaih/SOC-FC-Object-Segments-10M"
VISUALIZATION = "weikaih/SOC-Object-Segments-Visualization"
COMPOSED = "weikaih/SOC-FC-1M"
VOLUME = 20_000
KINDS = {("apple", "red_apple"): 4, ("apple", "green_apple"): 3, ("dog", "small_dog"): 5, ("zebra", "zebra"): 2}


def png(rgba: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()


def words(category: str, sub_category: str) -> dict:
    phrase = f"a {sub_category.replace('_', ' ')}"
    return {"description": f"{phrase} alone.", "short_phrase": phrase, "features": [sub_category.split("_")[0]]}


def segment_files(root: str = "segments") -> dict[str, bytes]:
    """PNG files by their paths in the archive, about 5 kB each."""
    rng = np.random.default_rng(3)
    return {
        f"{root}/{category}/{sub_category}/{index}.png": png(make_rgba(rng, 50, 40))
        for (category, sub_category), number in KINDS.items()
        for index in range(number)
    }


def metadata() -> bytes:
    return json.dumps({f"{category}_{sub}": words(category, sub) for category, sub in KINDS}).encode()


def pack(files: dict[str, bytes], solid: bool = True) -> bytes:
    """A 7z archive; if not solid, of one block for each category, so that they can be read one without another."""
    import py7zr

    packed = io.BytesIO()
    blocks: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        blocks.setdefault("" if solid else path.split("/")[1], {})[path] = content
    for number, block in enumerate(blocks.values()):
        filters = [{"id": py7zr.FILTER_LZMA2, "preset": 1}] if solid else [{"id": py7zr.FILTER_COPY}]
        with py7zr.SevenZipFile(packed, "a" if number else "w", filters=filters) as archive:
            for path, content in block.items():
                archive.writestr(content, path)
        packed.seek(0)
    return packed.getvalue()


def split(name: str, content: bytes, size: int = VOLUME) -> dict[str, bytes]:
    """The volumes of an archive, as `7z -v` cuts them."""
    return {
        f"{name}.{number:03}": content[start : start + size]
        for number, start in enumerate(range(0, len(content), size), start=1)
    }


def segments_set(solid: bool = True) -> dict[str, bytes]:
    """The files of the repository of segments."""
    return {
        ".gitattributes": b"*.001 filter=lfs",
        "README.md": b"# SOC segments\n",
        "fc_metadata.json": metadata(),
        **split("fc_segments.7z", pack(segment_files(), solid)),
    }


def visualization_set() -> dict[str, bytes]:
    """The files of the repository of the small set: two Parquet files."""
    rng = np.random.default_rng(4)
    files = {"README.md": b"# SOC visualization\n"}
    kinds = [kind for kind, number in KINDS.items() for _ in range(number)]
    for part in range(2):
        rows = []
        for category, sub in kinds[part::2]:
            said = words(category, sub) | {"features": words(category, sub)["features"][0]}
            rows.append(
                {"image_path": {"bytes": png(make_rgba(rng, 60, 50)), "path": "x.png"}, "category": category} | said
            )
            rows[-1]["sub_category"] = sub
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), stream)
        files[f"data/train-{part:05}-of-00002.parquet"] = stream.getvalue()
    return files


def content_of(folder: Path) -> dict[str, bytes]:
    """The files below a folder by their paths, links followed, without the record of the downloads."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "download.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
