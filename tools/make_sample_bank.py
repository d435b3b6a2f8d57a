"""Generates the bundled sample bank from the renders of Fluent Emoji.

Two tables beside this script list its content: `sample_segments.tsv` (one render a row, with its texts) and
`sample_backgrounds.tsv` (parts without a dominant object of photographs in scikit-image's wheel).
The renders are those of the npm package `@lobehub/fluent-emoji-3d`, version 1.1.0:

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python tools/make_sample_bank.py --renders package

`LICENSE.txt` in the sample's folder is maintained by hand.
"""

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sos_mm.checks import check_folder
from sos_mm.images import read_image

HERE = Path(__file__).resolve().parent
SAMPLE_FOLDER = HERE.parent / "sos_mm" / "sample"
GROUPS = ("train", "held_out")
MARGIN = 2
QUALITY = 85


def main() -> None:
    """Writes the segments, their metadata, the backgrounds' boxes and the groups."""
    args = parse_args()
    segments = read_table(HERE / "sample_segments.tsv")
    backgrounds = read_table(HERE / "sample_backgrounds.tsv")
    groups = {
        "segments": split(segments, of="category", name=segment_name),
        "backgrounds": split(backgrounds, of="file", name=lambda row: row["name"]),
    }
    size = write_segments(segments, args.renders, args.out / "segments")
    write_json(args.out / "metadata.json", {segment_name(row).replace("/", "_"): words(row) for row in segments})
    write_json(args.out / "backgrounds.json", [background(row) for row in backgrounds])
    write_json(args.out / "groups.json", groups)
    print(f"{len(segments)} segments ({size / 1e6:.2f} MB) and {len(backgrounds)} backgrounds in {args.out}")


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Generates the bundled sample bank from the renders of Fluent Emoji.")
    parser.add_argument("--renders", type=Path, required=True, help="the unpacked folder of the npm package")
    parser.add_argument("--out", type=Path, default=SAMPLE_FOLDER, help="folder of the bank (default: %(default)s)")
    return parser.parse_args()


def read_table(path: Path) -> list[dict[str, str]]:
    """Reads the rows of a tab-separated table with a header line."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def segment_name(row: dict[str, str]) -> str:
    """Returns the name of a row's sub-category in the bank: ``<category>/<sub-category>``."""
    return f"{row['category']}/{row['sub_category']}".replace(" ", "_")


def words(row: dict[str, str]) -> dict[str, str | list[str]]:
    """Returns the metadata of a segment."""
    return {
        "description": row["description"],
        "short_phrase": row["short_phrase"],
        "features": row["features"].split(", "),
    }


def background(row: dict[str, str]) -> dict[str, str | list[int]]:
    """Returns the crop of a photograph, with its half-open xyxy box."""
    box = [int(row[corner]) for corner in ("x0", "y0", "x1", "y1")]
    return {"name": row["name"], "file": row["file"], "box": box, "about": row["about"]}


def split(rows: list[dict[str, str]], of: str, name: Callable[[dict[str, str]], str]) -> dict[str, list[str]]:
    """Returns the sorted names of the rows in each group.

    Raises:
        ValueError: If rows with the same value in the column ``of`` are in different groups, or a name is
            not unique.
    """
    names = {group: sorted(name(row) for row in rows if row["group"] == group) for group in GROUPS}
    if len({each for group in names.values() for each in group}) != len(rows):
        raise ValueError(f"Each row must have its own name and a group of {', '.join(GROUPS)}.")
    shared = set.intersection(*({row[of] for row in rows if row["group"] == group} for group in GROUPS))
    if shared:
        raise ValueError(f"A {of} must be wholly in one group, but {', '.join(sorted(shared))} is in both.")
    return names


def write_segments(rows: list[dict[str, str]], renders: Path, root: Path) -> int:
    """Writes the cut-outs, and returns their size in bytes.

    Raises:
        FileExistsError: If the folder holds other segments than those of the table.
    """
    assets = check_folder(renders / "assets", "The renders' `assets`")
    targets = [root / segment_name(row) / f"{row['codepoint']}.webp" for row in rows]
    stale = sorted(set(root.glob("*/*/*")) - set(targets))
    if stale:
        raise FileExistsError(f"{root} must hold nothing but the table's segments: remove {stale[0]}.")
    for target in targets:
        rgba = trimmed(read_image(assets / target.name, 4))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(rgba))
    return sum(target.stat().st_size for target in targets)


def trimmed(rgba: np.ndarray) -> np.ndarray:
    """Crops the transparent margin of an image except its innermost two pixels."""
    x, y, width, height = cv2.boundingRect(rgba[..., 3])
    return rgba[max(y - MARGIN, 0) : y + height + MARGIN, max(x - MARGIN, 0) : x + width + MARGIN]


def encoded(rgba: np.ndarray) -> bytes:
    """Encodes a WebP file with lossy colour and lossless alpha."""
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()


def write_json(path: Path, value: dict | list) -> None:
    """Writes indented JSON with a line feed at its end."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
