"""Measures how far apart the perceptual hashes of copies of cut-outs are, and those of different cut-outs.

python tools/benchmarks/near_duplicates.py
python tools/benchmarks/near_duplicates.py --annotations instances.json photos

The limit `duplicates` of the filters of drawn segments must lie between the two. Without `--annotations` the cut-outs
are those of the bundled sample, otherwise the annotated objects of photographs of at least `--least` pixels a side.
Copies are compared with their originals, different cut-outs with all others of their category.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import sos_mm
from sos_mm.segments import build_bank, read_annotated
from sos_mm.segments.quality import measure

SAMPLE = Path(sos_mm.__file__).parent / "sample"
LIMITS = (4, 6, 8, 10, 12, 14, 16, 18)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", nargs=2, metavar=("FILE", "IMAGES"), help="COCO file and its photographs")
    parser.add_argument("--least", type=int, default=48, help="least side in pixels (default: 48)")
    return parser.parse_args()


def cutouts(args: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Yields category and RGBA pixels of each cut-out."""
    if args.annotations is None:
        bank = build_bank(dict(type="release", root=str(SAMPLE / "segments"), metadata=str(SAMPLE / "metadata.json")))
        for segment in map(bank.load, range(len(bank))):
            yield segment.category, segment.rgba
        return
    for record in read_annotated(*args.annotations):
        rgba = record.pixels()
        if min(rgba.shape[:2]) >= args.least:
            yield record.category, rgba


def half_size(rgba: np.ndarray) -> np.ndarray:
    """Resizes a cut-out by half; colours are weighted by alpha."""
    weight = rgba[..., 3:].astype(np.float32) / 255
    size = tuple(max(length // 2, 1) for length in rgba.shape[1::-1])
    small = cv2.resize(np.dstack([rgba[..., :3] * weight, weight]), size, interpolation=cv2.INTER_AREA)
    colors = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.clip(np.rint(np.dstack([colors, small[..., 3] * 255])), 0, 255).astype(np.uint8)


def compressed(rgba: np.ndarray) -> np.ndarray:
    """Compresses the colours as JPEG of quality 70."""
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(rgba[..., 2::-1]), [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return np.dstack([cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1], rgba[..., 3]])


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG 70": compressed,
    "half": half_size,
    "half, JPEG 70": lambda rgba: compressed(half_size(rgba)),
    "mirrored": lambda rgba: np.ascontiguousarray(rgba[:, ::-1]),
}


def describe(name: str, distances: list[int]) -> str:
    """Formats how many distances are within each limit."""
    values = np.array(distances)
    shares = ", ".join(f"{limit}: {np.count_nonzero(values <= limit)}" for limit in LIMITS)
    return f"{name:16} {len(values):5} pairs, {values.min()} to {values.max()} bits; within {shares}"


def main() -> None:
    """Prints the distances."""
    found = list(cutouts(parse_args()))
    hashes = [measure(rgba).hash for _, rgba in found]
    for name, change in CHANGES.items():
        copies = (change(rgba) for _, rgba in found)
        print(
            describe(name, [(own ^ measure(copy).hash).bit_count() for own, copy in zip(hashes, copies, strict=True)])
        )
    of_category: dict[str, list[int]] = defaultdict(list)
    between = []
    for (category, _), own in zip(found, hashes, strict=True):
        between += [(own ^ other).bit_count() for other in of_category[category]]
        of_category[category].append(own)
    print(describe("different ones", between))


if __name__ == "__main__":
    main()
