"""Measures how fast a large ODVG file opens for training, and how much memory it takes in each process.

python tools/benchmarks/odvg.py                                       # a made-up file of a million images
python tools/benchmarks/odvg.py --lines 100000 --type mmdet.ODVGDataset

The file is written into a temporary folder. A fresh process opens it and reads all images with several loader
processes, forked and spawned. Private memory (USS) is what a process has for itself alone; it is told beyond that of
the same process with a file of ten images.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

MIB = 2**20
_BATCH = 256


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="images of the file")
    parser.add_argument("--categories", type=int, default=1600)
    parser.add_argument("--workers", type=int, default=4, help="loader processes")
    parser.add_argument("--type", default="sos_mm.CompactODVGDataset", help="class of the data set")
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_made_up_file(folder: Path, lines: int, categories: int) -> Path:
    """Writes an ODVG file whose images have two to four objects, and its label map."""
    rng = np.random.default_rng(0)
    (folder / "names.json").write_text(json.dumps({str(label): f"category {label}" for label in range(categories)}))
    path = folder / f"{lines}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            count = int(rng.integers(2, 5))
            boxes = np.hstack([rng.integers(0, 256, (count, 2)), rng.integers(260, 512, (count, 2))]).tolist()
            labels = rng.integers(0, categories, count).tolist()
            instances = [
                {"bbox": box, "label": label, "category": f"category {label}"}
                for box, label in zip(boxes, labels, strict=True)
            ]
            image = {"filename": f"{number:08d}.jpg", "height": 512, "width": 512}
            file.write(json.dumps({**image, "detection": {"instances": instances}}) + "\n")
    return path


def measure(path: Path, kind: str, workers: int) -> dict[str, Any]:
    """Opens the file in this process and reads all of it with loader processes."""
    package, name = kind.rsplit(".", 1)
    dataset_type = getattr(importlib.import_module(f"{package}.datasets" if package == "mmdet" else package), name)
    before, start, busy = rss(), time.perf_counter(), time.process_time()
    dataset = dataset_type(
        data_root=str(path.parent),
        ann_file=path.name,
        label_map_file="names.json",
        data_prefix={"img": "images"},
        return_classes=True,
        pipeline=[],
    )
    figures: dict[str, Any] = {"seconds to open": time.perf_counter() - start, "images": len(dataset)}
    figures["processor seconds"] = time.process_time() - busy
    figures["MiB more when open"] = (rss() - before) / MIB
    figures["MiB more at most"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / MIB
    for method in ("fork", "spawn"):
        figures[method] = measure_loaders(dataset, method, workers)
    return figures


def measure_loaders(dataset: Any, method: str, workers: int) -> dict[str, Any]:
    """Reads all images in random order; returns images/s and the private memory of each loader process."""
    import torch
    from torch.utils.data import DataLoader

    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    start = time.perf_counter()
    loader = DataLoader(
        dataset,
        batch_size=_BATCH,
        sampler=order,
        num_workers=workers,
        collate_fn=len,
        multiprocessing_context=method,
        persistent_workers=True,
    )
    batches = iter(loader)
    read = next(batches)
    begun = time.perf_counter()
    read += sum(batches)
    seconds = time.perf_counter() - begun
    processes = [worker.pid for worker in batches._workers]
    return {
        "seconds to start": begun - start,
        "images/s": (read - _BATCH) / seconds,
        "uss": [private(process) / MIB for process in processes],
    }


def rss() -> int:
    """Returns the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def private(process: int) -> int:
    """Returns the private memory of a process in bytes."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def in_fresh_process(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Measures a file in a fresh process."""
    command = [sys.executable, __file__, "--measure", str(path), "--type", args.type, "--workers", str(args.workers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Writes the file and prints the measurements."""
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(Path(args.measure), args.type, args.workers)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        bare = in_fresh_process(write_made_up_file(folder, 10, args.categories), args)
        path = write_made_up_file(folder, args.lines, args.categories)
        print(f"{args.type}, {args.lines} images, {path.stat().st_size / MIB:.0f} MiB")
        found = in_fresh_process(path, args)
    for key in ("seconds to open", "processor seconds", "MiB more when open", "MiB more at most"):
        print(f"{key:24s} {found[key]:10.1f}")
    for method in ("fork", "spawn"):
        each = found[method]
        more = " ".join(f"{own - min(bare[method]['uss']):.0f}" for own in each["uss"])
        print(f"{method}: {each['images/s']:.0f} images/s, loaders start in {each['seconds to start']:.1f} s")
        print(f"  MiB private, more than with ten images, of each loader process: {more}")


if __name__ == "__main__":
    main()
