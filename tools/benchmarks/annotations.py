"""Times the validator, the subsets and the reader on a generated instances file like COCO's.

The file has as many annotations for each image as COCO's training set (7.3), two thirds of them polygons of 25 points,
one third compressed run lengths, which COCO has only for crowds: they are the slow ones.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from sos_mm.annotations.subsets import make_subsets
from sos_mm.annotations.validate import validate
from sos_mm.formats.json_writer import write_json_lists
from sos_mm.formats.rle import encode_mask

SIZE = (480, 640)


def main() -> None:
    """Prints the annotations per second of each, and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--annotations", type=int, default=100_000, help="how many")
    parser.add_argument("--rounds", type=int, default=3, help="runs; the fastest counts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"
        write_json_lists(path, make_file(args.annotations, np.random.default_rng(args.seed)))
        print(f"{args.annotations} annotations, {path.stat().st_size / 2**20:.0f} MiB")
        contests = {
            "json.load": lambda: json.loads(path.read_text()),
            "validate": lambda: validate(path),
            "make_subsets": lambda: make_subsets(path, Path(folder) / "parts", [1, 10, 50]),
        }
        for name, run in contests.items():
            seconds = min(timed(run) for _ in range(args.rounds))
            print(f"{name:<14}{seconds:>8.2f} s{args.annotations / seconds:>12,.0f} annotations/s")
        found = validate(path)
        print(f"faults: {found.counts.total()}")
    print(f"memory at its peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def timed(run) -> float:
    """Returns the seconds that a call takes."""
    start = perf_counter()
    run()
    return perf_counter() - start


def make_file(number: int, rng: np.random.Generator) -> dict:
    """Generates the content of a file with so many annotations."""
    images = [
        {"id": id, "file_name": f"{id:012d}.jpg", "height": SIZE[0], "width": SIZE[1]}
        for id in range(1, int(number / 7.3) + 2)
    ]
    categories = [{"id": id, "name": f"category {id}"} for id in range(1, 81)]
    annotations = [make_annotation(id, len(images), rng) for id in range(1, number + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def make_annotation(id: int, images: int, rng: np.random.Generator) -> dict:
    """Generates an annotation with an elliptic mask."""
    width, height = rng.integers(20, 200, 2).tolist()
    x, y = int(rng.integers(0, SIZE[1] - width)), int(rng.integers(0, SIZE[0] - height))
    record = {"id": id, "image_id": int(rng.integers(1, images + 1)), "category_id": int(rng.integers(1, 81))}
    record |= {"bbox": [x, y, width, height], "iscrowd": 0}
    if id % 3:
        angles = np.linspace(0, 2 * np.pi, 25)
        points = np.stack([x + width / 2 * (1 + np.cos(angles)), y + height / 2 * (1 + np.sin(angles))], axis=1)
        return record | {"area": width * height * 0.75, "segmentation": [points.round(2).ravel().tolist()]}
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = rows**2 + columns**2 <= 1
    return record | {"area": int(mask.sum()), "segmentation": encode_mask(mask, (x, y), SIZE)}


if __name__ == "__main__":
    main()
