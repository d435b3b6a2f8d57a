"""Makes a bank of the objects of photographs by two cutters that must agree, and judges it by the true masks.

python tools/benchmarks/photograph_bank.py instances.json photos --cutter u2netp.onnx --second focus.onnx --out bank

Of each annotated object of at least `--least` pixels a side, class and box are known: both networks cut the part of the
photograph around the box, what is outside the box is cleared, and the filters of drawn segments decide whether the
cut-out is kept. A cut-out is good if its IoU with the annotated mask is at least `--good`. Precision is the share of
good ones among the kept, recall the share of kept ones among the good. With `--out` the kept ones become a bank in the
release layout, with a contact sheet.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from sos_mm.cutouts import OnnxCutter
from sos_mm.cutouts.writing import save_png
from sos_mm.formats.rle import decode_window
from sos_mm.generation.filters import DrawingFilters, Judged, judge, mask_iou
from sos_mm.generation.prompts import slug, with_article
from sos_mm.generation.shards import encode_png
from sos_mm.images import read_image
from sos_mm.segments import SegmentRecord, build_bank, read_annotated
from sos_mm.segments.cutter import Cutter
from sos_mm.segments.foreground import put_on
from sos_mm.terminal import progress_bar

THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95)
# Margin around an object's box, as a share of its longer side: the filters need to see whether it ends there.
_MARGIN = 0.12


@dataclass(frozen=True, eq=False)
class Cut:
    """An object cut out of a photograph, with the IoU of its mask and the true one."""

    record: SegmentRecord
    judged: Judged
    iou: float


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="COCO annotation file")
    parser.add_argument("images", type=Path, help="folder of its photographs")
    parser.add_argument("--cutter", type=Path, required=True, help="ONNX file of the network that cuts")
    parser.add_argument("--second", type=Path, required=True, help="ONNX file of the one that must agree")
    parser.add_argument("--least", type=int, default=64, help="least side of an object's box in pixels (default: 64)")
    parser.add_argument("--limit", type=int, help="only the first so many objects of the file (default: all)")
    parser.add_argument("--soft", type=float, default=0.5, help="largest share of soft pixels (default: 0.5)")
    parser.add_argument("--good", type=float, default=0.85, help="IoU from which a cut-out is good (default: 0.85)")
    parser.add_argument("--agreement", type=float, default=0.85, help="least agreement of a kept one (default: 0.85)")
    parser.add_argument("--out", type=Path, help="folder of the bank")
    return parser.parse_args()


def objects(args: argparse.Namespace) -> Iterator[tuple[SegmentRecord, np.ndarray, np.ndarray]]:
    """Yields the annotated objects with the part of the photograph around each, and the true mask there."""
    for record in read_annotated(args.annotations, args.images, max_bordering=1.0):
        image = read_image(record.file, 3)
        window = decode_window(record.segmentation, image.shape[:2], record.source_id)
        _, _, width, height = cv2.boundingRect(window.mask)
        if min(width, height) >= args.least:
            wide = window.grown(round(_MARGIN * max(width, height)), image.shape[:2])
            yield record, image[wide.part], wide.mask > 0


class BoxedCutter:
    """Clears what another cutter finds outside a box: x, y, width, height."""

    def __init__(self, cutter: Cutter, box: tuple[int, int, int, int]):
        self._cutter, self._box = cutter, box

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Computes the alpha of the object in the box."""
        x, y, width, height = self._box
        inside = np.zeros(image.shape[:2], np.uint8)
        inside[y : y + height, x : x + width] = 1
        return self._cutter.cut(image) * inside


def cut_all(args: argparse.Namespace, filters: DrawingFilters) -> list[Cut]:
    """Cuts out and judges all objects."""
    cutter, second = OnnxCutter(args.cutter, threads=1), OnnxCutter(args.second, threads=1)
    found, chosen = [], list(islice(objects(args), args.limit))
    with progress_bar(chosen, total=len(chosen), unit="objects") as bar:
        for record, image, truth in bar:
            box = cv2.boundingRect(truth.astype(np.uint8))
            judged = judge(image, BoxedCutter(cutter, box), BoxedCutter(second, box), filters)
            mask = np.zeros(truth.shape, bool)
            if judged.rgba is not None:
                x, y, width, height = judged.scores["box"]
                mask[y : y + height, x : x + width] = judged.rgba[..., 3] >= 128
            found.append(Cut(record, judged, mask_iou(mask, truth)))
    return found


def describe(name: str, kept: list[bool], good: list[bool]) -> str:
    """Formats precision and recall of a rule that keeps cut-outs, with their counts."""
    both, all_kept, all_good = sum(map(min, kept, good)), sum(kept), sum(good)
    precision = f"{both / all_kept:.3f}" if all_kept else "-"
    return f"{name:34} kept {all_kept:4}  precision {precision} ({both}/{all_kept})  recall {both / all_good:.3f}"


def write_bank(cuts: list[Cut], out: Path) -> None:
    """Writes cut-outs as a bank in the release layout, and opens it."""
    words, lines = {}, []
    for number, cut in enumerate(cuts):
        name = slug(cut.record.category)
        path = out / "segments" / name / name / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(cut.judged.rgba))
        phrase = with_article(cut.record.category)
        words[f"{name}_{name}"] = {"description": "", "short_phrase": phrase, "features": []}
        told = {"file": str(path.relative_to(out)), "from": cut.record.source_id, "iou": round(cut.iou, 4)}
        lines.append(json.dumps({**told, "scores": cut.judged.scores}))
    (out / "metadata.json").write_text(json.dumps(words, indent=1))
    (out / "provenance.jsonl").write_text("\n".join(lines) + "\n")
    bank = build_bank(dict(type="release", root=str(out / "segments"), metadata=str(out / "metadata.json")))
    counts = Counter(cut.record.category for cut in cuts)
    print(f"{out}: {len(bank)} segments of {len(bank.categories)} categories")
    print(", ".join(f"{name} {number}" for name, number in counts.most_common()))


def sheet(cuts: list[Cut], good: float, side: int = 150, columns: int = 12) -> np.ndarray:
    """Draws cut-outs on green; the ones that are not good have a red frame."""
    cells = []
    for cut in cuts:
        rgba = cut.judged.rgba
        scale = (side - 8) / max(rgba.shape[:2])
        size = tuple(max(round(length * scale), 1) for length in rgba.shape[1::-1])
        small = cv2.resize(put_on(rgba, np.float32((0, 177, 64))), size, interpolation=cv2.INTER_AREA)
        cell = np.full((side, side, 3), (255, 255, 255) if cut.iou >= good else (220, 0, 0), np.uint8)
        cell[4:-4, 4:-4] = (0, 177, 64)
        y, x = (side - size[1]) // 2, (side - size[0]) // 2
        cell[y : y + size[1], x : x + size[0]] = small
        cells.append(cell)
    blank = np.full((side, side, 3), 255, np.uint8)
    cells += [blank] * (-len(cells) % columns)
    return np.concatenate([np.concatenate(cells[at : at + columns], 1) for at in range(0, len(cells), columns)])


def main() -> None:
    """Prints the figures, and writes the bank and its sheet."""
    args = parse_args()
    filters = DrawingFilters(agreement=args.agreement, area=(0.05, 0.9), soft=args.soft, duplicates=None)
    cuts = cut_all(args, filters)
    good = [cut.iou >= args.good for cut in cuts]
    print(f"{len(cuts)} objects, {sum(good)} cut-outs are good (IoU at least {args.good})")
    for threshold in THRESHOLDS:
        kept = [cut.judged.scores["agreement"] >= threshold for cut in cuts]
        print(describe(f"agreement at least {threshold}", kept, good))
    kept = [not cut.judged.reasons for cut in cuts]
    print(describe(f"all filters, agreement {args.agreement}", kept, good))
    rejected = Counter(cut.judged.reasons[0] for cut in cuts if cut.judged.reasons)
    print("rejected: " + ", ".join(f"{number} {reason}" for reason, number in rejected.most_common()))
    if args.out:
        chosen = [cut for cut, is_kept in zip(cuts, kept, strict=True) if is_kept]
        write_bank(chosen, args.out)
        save_png(args.out / "sheet.png", cv2.cvtColor(sheet(chosen, args.good), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
