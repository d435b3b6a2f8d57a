"""Draws a sheet of cut-outs by several models to compare their edges: a row for each photograph and model.

python tools/benchmarks/cutout_sheet.py photos sheet.png --onnx u2netp.onnx --config CONFIG --checkpoint CHECKPOINT

Columns: photograph, saliency, the cut-out on white, black and green, and on green without colour
estimation, where the old background shows as a fringe. `skimage` instead of a folder uses scikit-image's photographs.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from sos_mm.cutouts import OnnxCutter, Photograph, cut_out, find_photographs
from sos_mm.cutouts.writing import save_png
from sos_mm.segments.cutter import Cutter
from sos_mm.segments.foreground import put_on

GROUNDS = ((255, 255, 255), (0, 0, 0), (0, 177, 64))
SKIMAGE = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "stereo_motorcycle")


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of photographs, or 'skimage'")
    parser.add_argument("out", type=Path, help="PNG file of the sheet")
    parser.add_argument("--onnx", nargs="*", default=[], help="ONNX files")
    parser.add_argument("--config", help="config of one of our models")
    parser.add_argument("--checkpoint", help="its checkpoint")
    parser.add_argument("--height", type=int, default=220, help="height of a row in pixels")
    return parser.parse_args()


def photographs(source: str) -> list[Photograph]:
    """Lists the photographs of a folder, or those of scikit-image."""
    if source != "skimage":
        return find_photographs(source)
    from skimage import data

    images = {name: getattr(data, name)() for name in SKIMAGE}
    return [Photograph(name, image[0] if isinstance(image, tuple) else image) for name, image in images.items()]


def row(image: np.ndarray, cutter: Cutter, height: int) -> np.ndarray:
    """Draws one photograph and its cut-out by one cutter, (height, W, 3) uint8 RGB."""
    alpha = cutter.cut(image)
    rgba, naive = cut_out(image, alpha), np.dstack([image, alpha])
    cells = [image, np.repeat(alpha[..., None], 3, 2)]
    cells += [put_on(rgba, np.float32(ground)) for ground in GROUNDS] + [put_on(naive, np.float32(GROUNDS[-1]))]
    width = round(image.shape[1] * height / image.shape[0])
    return np.concatenate([cv2.resize(cell, (width, height), interpolation=cv2.INTER_AREA) for cell in cells], 1)


def main() -> None:
    """Draws the sheet."""
    args = parse_args()
    cutters: list[Cutter] = [OnnxCutter(path) for path in args.onnx]
    if args.checkpoint:
        from sos_mm.saliency import SODInferencer

        cutters.append(SODInferencer(args.config, args.checkpoint, show_progress=False))
    rows = [row(each.read(), cutter, args.height) for each in photographs(args.photos) for cutter in cutters]
    width = max(each.shape[1] for each in rows)
    padded = [np.pad(each, ((0, 4), (0, width - each.shape[1]), (0, 0)), constant_values=127) for each in rows]
    save_png(args.out, cv2.cvtColor(np.concatenate(padded), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
