"""Measures precision and recall of the leakage audit on changed copies of photographs and of their cut-outs.

    python tools/benchmarks/leakage.py instances_train.json train instances_val.json val

Copies of all images of both sets, and of their objects with a mask of at least 32 pixels a side, are recompressed,
resized, cropped and mirrored, and audited against the originals. Recall is the share of copies whose near-duplicate is
the original. False pairs are copies with another one, and test images with one in the training set as they are.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sos_mm.annotations.leakage import audit, nearest
from sos_mm.annotations.leakage.sources import CocoSource

Change = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs=4, type=Path, help="annotations and images of a training set and of a test set")
    parser.add_argument("--limits", type=int, nargs="+", default=[20, 24, 26, 28, 32], help="of different bits")
    args = parser.parse_args()
    sets = [CocoSource(args.files[0], args.files[1]), CocoSource(args.files[2], args.files[3])]
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("image", "cut-out"):
            folders = write_copies(sets, kind, Path(scratch) / kind)
            for crops in (False, True):
                print(f"\n{kind}s{', --crops' if crops else ''}\n")
                print(table(folders, crops, args))
    print(f"\n100,000 x 10,000 random hashes: {search_seconds():.1f} s")


def changes() -> dict[str, Change]:
    """Returns the changes by name; each takes and returns BGR or BGRA pixels."""
    return {
        "recompressed (JPEG quality 30)": lambda image: recompressed(image, 30),
        "resized to 40 %": lambda image: cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        "cropped by 5 % around the middle": lambda image: cropped(image, 0.025, 0.025),
        "cropped by 5 % at a corner": lambda image: cropped(image, 0.05, 0.05, 0, 0),
        "cropped by 2 % at the left, 3 % at the bottom": lambda image: cropped(image, 0, 0.02, 0.03, 0),
        "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
        "mirrored, resized to 60 %, recompressed": lambda image: recompressed(
            cv2.resize(image[:, ::-1], None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), 50
        ),
    }


def recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Returns an image decoded from JPEG; alpha stays."""
    encoded = cv2.imencode(".jpg", image[:, :, :3], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.dstack([cv2.imdecode(encoded, cv2.IMREAD_COLOR), image[:, :, 3:]])


def cropped(image: np.ndarray, top: float, left: float, bottom: float | None = None, right: float | None = None):
    """Leaves out shares of the height and width at each side."""
    height, width = image.shape[:2]
    bottom, right = (first if last is None else last for first, last in ((top, bottom), (left, right)))
    return image[round(height * top) : round(height * (1 - bottom)), round(width * left) : round(width * (1 - right))]


def write_copies(sets: list[CocoSource], kind: str, folder: Path) -> dict[str, Path]:
    """Writes the originals, and the changed copies by name under the same file names; returns their folders."""
    folders = {"": folder / "originals", **{name: folder / str(i) for i, name in enumerate(changes())}}
    for each in folders.values():
        each.mkdir(parents=True)
    number = 0
    for source in sets:
        for group in range(len(source)):
            for each in source.images(group):
                if each.kind != kind or min(each.rgb.shape[:2]) < 32:
                    continue
                image = cv2.cvtColor(each.rgb, cv2.COLOR_RGB2BGR)
                if each.mask is not None:
                    image = np.dstack([image, each.mask.astype(np.uint8) * 255])
                number += 1
                for name, change in {"": lambda image: image, **changes()}.items():
                    cv2.imwrite(str(folders[name] / f"{number:05d}.png"), change(image))
    return folders


def table(folders: dict[str, Path], crops: bool, args: argparse.Namespace) -> str:
    """Formats recall by change, and false pairs, at each limit, as Markdown."""
    lines = [f"| copies | {' | '.join(f'{limit} bits' for limit in args.limits)} |"]
    lines.append("| --- |" + " ---: |" * len(args.limits))
    false = dict.fromkeys(args.limits, 0)
    right = dict.fromkeys(args.limits, 0)
    for name in changes():
        # All at the largest limit: the nearest is the same at a smaller one.
        found = audit(folders[""], folders[name], limit=max(args.limits), mirror=True, crops=crops, least_side=8)
        number = sum(found.counts["test"][kind] for kind in ("image", "cut-out"))
        cells = []
        for limit in args.limits:
            near = [leak for leak in found.leaks if leak.distance <= limit]
            own = sum(leak.test.file == leak.train.file for leak in near)
            right[limit] += own
            false[limit] += len(near) - own
            cells.append(f"{own / number:.1%}")
        lines.append(f"| {name} ({number}) | {' | '.join(cells)} |")
    lines.append(f"| copies whose nearest is another one | {' | '.join(str(false[each]) for each in args.limits)} |")
    precise = (right[each] / max(right[each] + false[each], 1) for each in args.limits)
    lines.append(f"| precision | {' | '.join(f'{each:.2%}' for each in precise)} |")
    annotations, images, test, test_images = args.files
    kind = folders[""].parent.name
    whole = audit(
        annotations,
        test,
        train_images=images,
        test_images=test_images,
        limit=max(args.limits),
        mirror=True,
        crops=crops,
    )
    near = [leak.distance for leak in whole.leaks if leak.kind == kind]
    cells = [str(sum(distance <= limit for distance in near)) for limit in args.limits]
    number = whole.counts["test"][kind]
    lines.append(f"| false pairs of the test set with the training set ({number}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def search_seconds() -> float:
    """Measures the search among random hashes."""
    rng = np.random.default_rng(0)
    hashes, queries = (rng.integers(0, 2**64, (number, 2), np.uint64) for number in (100_000, 10_000))
    start = time.process_time()
    nearest(hashes, queries, 28)
    return time.process_time() - start


if __name__ == "__main__":
    main()
