"""Measures how much of the old background the rims of annotated cut-outs carry, before and after processing.

python tools/benchmarks/cutout_rims.py instances.json images --number 200 --sheet rims.png

For each pixel of an object within two pixels of its outline it finds the nearest colours of the object's inside and of
the old background, and computes the position of the pixel's colour between the two: 0 is no halo, 1 is the old
background; pixels where the two are similar (distance below 40 of 255) are left out. The cut-outs are composited over
black, white and another photograph. "before" are the original pixels with a hard edge, "softened" those with a soft
edge, "after" is the default of `read_annotated`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sos_mm.formats.rle import decode_window
from sos_mm.images import read_image
from sos_mm.segments import SegmentRecord, read_annotated
from sos_mm.segments.foreground import put_on
from sos_mm.segments.rims import cut_out

_WAYS = {"before": (0.0, False), "softened": (None, False), "after": (None, True)}
# Distances from the outline in pixels: width of the measured rim, and where inside and background begin.
_JUDGED, _SURE = 2.0, 6.0
_CONTRAST = 40


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="COCO or LVIS annotation file")
    parser.add_argument("images", type=Path, help="folder of its photographs")
    parser.add_argument("--number", type=int, default=200, help="objects, drawn at random")
    parser.add_argument("--least", type=int, default=1024, help="least pixels of an object")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="PNG file of a sheet of the first of them")
    parser.add_argument("--rows", type=int, default=12, help="objects on the sheet")
    return parser.parse_args()


def draw(records: Sequence[SegmentRecord], least: int, number: int, rng: np.random.Generator) -> list[tuple]:
    """Draws objects of at least so many pixels, each with its image and its window in it."""
    drawn = []
    for index in rng.permutation(len(records)):
        record = records[index]
        image = read_image(record.file, 3)
        window = decode_window(record.segmentation, image.shape[:2], record.source_id)
        if np.count_nonzero(window.mask) >= least:
            drawn.append((record, image, window))
        if len(drawn) == number:
            break
    return drawn


def cut(record: SegmentRecord, image: np.ndarray, window, margin: int, way: str) -> tuple[np.ndarray, float]:
    """Returns a cut-out in the object's window with a margin, (h, w, 4) uint8, and the seconds that it took."""
    start = time.perf_counter()
    rgba = cut_out(image, record.segmentation, *_WAYS[way], record.source_id)
    took = time.perf_counter() - start
    own, wide = _box(rgba[..., 3] >= 128), window.grown(margin, image.shape[:2])
    whole = np.zeros((*wide.mask.shape, 4), np.uint8)
    whole[..., :3] = image[wide.part]
    y, x = window.y - wide.y - own[1], window.x - wide.x - own[0]
    top, left = max(-y, 0), max(-x, 0)
    part = rgba[top:, left:][: whole.shape[0] - max(y, 0), : whole.shape[1] - max(x, 0)]
    whole[max(y, 0) :, max(x, 0) :][: part.shape[0], : part.shape[1]] = part
    return whole, took


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    return cv2.boundingRect(mask.astype(np.uint8))


def nearest(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Computes, at each pixel, the nearest colour of a part of the image, smoothed over 3x3 of the part: (H, W, 3)
    float32.
    """
    weight = where.astype(np.float32)[..., None]
    smooth = cv2.blur(image * weight, (3, 3)) / np.maximum(cv2.blur(weight, (3, 3))[..., None], 1e-6)
    kind = cv2.DIST_LABEL_PIXEL
    _, labels = cv2.distanceTransformWithLabels(1 - where.astype(np.uint8), cv2.DIST_L2, 5, labelType=kind)
    table = np.zeros((labels.max() + 1, 3), np.float32)
    table[labels[where]] = smooth[where]
    return table[labels]


def references(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Returns the colours of inside and background at the rim's pixels, and the mask of these pixels, (H, W) bool."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    inside, outside = depth > _SURE, cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) > _SURE
    if not inside.any() or not outside.any():
        return None
    front, back = nearest(image, inside), nearest(image, outside)
    judged = (mask > 0) & (depth <= _JUDGED) & (np.linalg.norm(front - back, axis=2) >= _CONTRAST)
    return (front[judged], back[judged], judged) if judged.any() else None


def background_share(shown: np.ndarray, rgba: np.ndarray, ground: np.ndarray, judged, front, back) -> float:
    """Computes how far the measured pixels of a composite deviate from the inside's colour, on average.

    Measured along the line from the expected composite of the inside's colour (0) to the old background's colour (1).
    """
    alpha = rgba[judged, 3:].astype(np.float32) / 255
    clean = alpha * front + (1 - alpha) * np.broadcast_to(ground, shown.shape)[judged]
    across = back - front
    return float(np.clip(np.sum((shown[judged] - clean) * across, 1) / np.sum(across**2, 1), 0, 1).mean())


def judge(drawn: list[tuple]) -> dict[str, dict[str, list[float]]]:
    """Computes the figures of all objects by method and background."""
    figures: dict[str, dict[str, list[float]]] = {way: {} for way in _WAYS}
    for index, (record, image, window) in enumerate(drawn):
        wide = window.grown(24, image.shape[:2])
        known = references(image[wide.part], wide.mask)
        other = cv2.resize(drawn[index - 1][1], wide.mask.shape[::-1])
        grounds = {"black": np.zeros(3), "white": np.full(3, 255.0), "photograph": other.astype(np.float32)}
        for way in _WAYS:
            rgba, took = cut(record, image, window, 24, way)
            found = {"ms": 1000 * took}
            if known:
                front, back, judged = known
                for name, ground in grounds.items():
                    shown = put_on(rgba, ground).astype(np.float32)
                    found[f"on {name}"] = background_share(shown, rgba, ground, judged, front, back)
            change = np.abs(put_on(rgba, image[wide.part].astype(np.float32)).astype(int) - image[wide.part]).mean(2)
            depth = cv2.distanceTransform(wide.mask, cv2.DIST_L2, 5)
            found["change of the object put back"] = change[wide.mask > 0].mean()
            found["change of its rim put back"] = change[(wide.mask > 0) & (depth <= _JUDGED)].mean()
            found["largest change deeper than 12"] = change[depth > 12].max(initial=0)
            for name, value in found.items():
                figures[way].setdefault(name, []).append(value)
    return figures


def sheet(drawn: list[tuple], side: int = 260) -> np.ndarray:
    """Draws one row for each object: the photograph, then before and after over black, white and another photograph."""
    rows = []
    for index, (record, image, window) in enumerate(drawn):
        wide = window.grown(24, image.shape[:2])
        cells = [image[wide.part]]
        other = cv2.resize(drawn[index - 1][1], wide.mask.shape[::-1]).astype(np.float32)
        for ground in (np.zeros(3), np.full(3, 255.0), other):
            cells += [put_on(cut(record, image, window, 24, way)[0], ground) for way in ("before", "after")]
        scale = side / max(wide.mask.shape)
        size = tuple(max(round(length * scale), 1) for length in wide.mask.shape[::-1])
        small = [
            cv2.resize(cell, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC) for cell in cells
        ]
        row = np.full((side, side * len(cells), 3), 200, np.uint8)
        for column, cell in enumerate(small):
            row[: cell.shape[0], column * side : column * side + cell.shape[1]] = cell
        rows.append(row)
    return np.concatenate(rows)


def main() -> None:
    """Prints the figures, and draws the sheet."""
    args = parse_args()
    records = read_annotated(args.annotations, args.images)
    drawn = draw(records, args.least, args.number, np.random.default_rng(args.seed))
    figures = judge(drawn)
    print(f"{len(drawn)} objects; means over objects (largest: largest of all)")
    for name in figures["before"]:
        gather = max if name.startswith("largest") else np.mean
        told = "  ".join(f"{way} {gather(values[name]):8.3f}" for way, values in figures.items())
        print(f"{name:32} {told}")
    if args.sheet:
        cv2.imwrite(str(args.sheet), cv2.cvtColor(sheet(drawn[: args.rows]), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
