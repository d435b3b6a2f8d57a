"""Measures how fast a large bank opens and is sampled, how fast segments load, and how much memory an index takes.

python tools/benchmarks/bank.py --rows 10000000   # an index of made-up rows, about 280 bytes each
python tools/benchmarks/bank.py --loads 40        # made-up cut-outs of 1000 pixels, loaded for smaller uses
python tools/benchmarks/bank.py --builds 300000   # peak memory of building an index of so many files

Each is measured in a fresh process.
"""

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from sos_mm.segments import Filters, SegmentBank, build_index, read_folder
from sos_mm.segments.index import arrow as index_module

# Calls before the measured ones.
_WARM = 100


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--categories", type=int, default=47_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=0, help="cut-outs to load")
    parser.add_argument("--builds", type=int, default=0, help="files to build an index of")
    parser.add_argument("--copies", type=int, nargs="+", default=(128, 256, 512, 1024))
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--task", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_made_up_index(path: Path, rows: int, categories: int, first: int = 0) -> None:
    """Writes generated rows that differ only in category and id, batch by batch; ids begin at ``first``."""
    counts = np.diff(np.linspace(0, rows, categories + 1).astype(np.int64))
    names = np.array([f"category_{index:06d}" for index in range(categories)])
    kind = index_module.schema(index_module.make_header(dict(zip(names.tolist(), counts, strict=True)), "/data", ""))
    batch_rows = index_module.BATCH_ROWS
    edges = np.cumsum(counts)
    same = {
        "sub_category": "small_red_thing",
        "phrase": "a small red thing",
        "description": "A small red thing with a smooth surface, seen from the side.",
        "file": "category_000000/small_red_thing/000000.png",
    }
    fixed = {name: pa.array([text] * batch_rows, pa.string()) for name, text in same.items()}
    fixed["features"] = pa.array([["small", "red", "smooth"]] * batch_rows)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, kind) as writer:
        for start in range(0, rows, batch_rows):
            number = min(batch_rows, rows - start)
            indices = np.searchsorted(edges, np.arange(start, start + number), side="right")
            own = {"category": pa.array(names[indices], pa.string())}
            own["source_id"] = pa.array(first + np.arange(start, start + number)).cast(pa.string())
            columns = [_column(field, own, fixed, number) for field in kind]
            writer.write_batch(pa.record_batch(columns, schema=kind))


def _column(field, own: dict, fixed: dict, number: int):
    if field.name in own:
        return own[field.name]
    if field.name in fixed:
        return fixed[field.name].slice(0, number)
    if field.type == pa.string():
        return pa.array([""] * number, pa.string())
    return pa.array(np.ones(number, np.int64)).cast(field.type)


def measure(path: Path, draws: int) -> dict[str, float]:
    """Measures the seconds of each step, in a fresh process."""
    figures, start = {}, time.perf_counter()
    bank = SegmentBank.from_index(path)
    figures["open"] = time.perf_counter() - start
    rng = np.random.default_rng(0)
    bank = bank.weighted(dict.fromkeys(bank.categories[::2], 2.0))
    for strategy in ("category", "uniform", "weighted"):
        figures[f"draw one, {strategy}"] = mean(draws, lambda i, strategy=strategy: bank.sample(rng, 1, strategy))
    figures["draw 12 of one category"] = mean(draws // 10, lambda i: bank.sample(rng, 12, "single_category"))
    indices = bank.sample(rng, draws).tolist()
    figures["outline and copy of one"] = mean(draws, lambda i: look_up(bank, indices[i]))
    figures["draw one and look it up"] = mean(draws, lambda i: look_up(bank, int(bank.sample(rng, 1)[0])))
    figures["make a whole record"] = mean(draws, lambda i: bank.records[indices[i]])
    start = time.perf_counter()
    data = pickle.dumps(SegmentBank(bank.records))
    pickle.loads(data)
    figures["pickle and open again"] = time.perf_counter() - start
    figures["bytes pickled"] = len(data)
    start = time.perf_counter()
    bank.select(Filters(area=(1, 10), soft=1.0))
    figures["filter by area"] = time.perf_counter() - start
    return figures


def look_up(bank: SegmentBank, index: int) -> object:
    """Reads the metadata that a layout needs of a segment, and the position of its pixels."""
    bank.info(index)
    return bank.records.copy(index, (100, 100))


def write_made_up_cut_outs(folder: Path, number: int, side: int = 1000) -> None:
    """Writes PNG files of fractal noise, with as much fine detail as photographs, cut out by a wavy edge."""
    rng = np.random.default_rng(0)
    turns = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    for index in range(number):
        color = np.zeros((side, side, 3), np.float32)
        for cells in (4, 16, 64, 256, side):
            color += cv2.resize(rng.normal(0, 40 / cells**0.35, (cells, cells, 3)).astype(np.float32), (side, side))
        radius = 0.36 * side * (1 + 0.3 * np.sin(3 * turns + rng.uniform(0, 6)))
        points = side / 2 + radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        alpha = cv2.fillPoly(np.zeros((side, side), np.uint8), [points.astype(np.int32)], 255)
        rgba = np.dstack([np.clip(color + 128, 0, 255).astype(np.uint8), cv2.GaussianBlur(alpha, (0, 0), 1.5)])
        path = folder / f"category_{index % 8}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rgba)


def measure_loads(folder: Path, number: int, copies: tuple[int, ...]) -> None:
    """Prints the time to load a segment for several target sizes, and the size and build time of the copies."""
    cv2.setNumThreads(1)
    write_made_up_cut_outs(folder / "files", number)
    start = time.perf_counter()
    build_index(read_folder(folder / "files"), folder / "bank.arrow", copies=copies, progress=False)
    print(f"{'build, copies ' + str(copies):34s} {(time.perf_counter() - start) / number * 1e3:8.1f} ms a segment")
    bank = SegmentBank(SegmentBank.from_index(folder / "bank.arrow").records, cache_bytes=0)
    files = sum(path.stat().st_size for path in (folder / "files").rglob("*.png"))
    packed = bank.records.pack.stat().st_size
    print(f"{'bytes of copies over those of files':34s} {packed / files:8.2f}")
    for side in (32, 64, 100, 128, 200, 256, 400, 600, 1000, None):
        wanted = [scaled(bank.info(index).size, side) for index in range(number)]
        best = min(whole_mean(bank, wanted) for _ in range(3))
        found = max(bank.load(0, wanted[0]).rgba.shape[:2])
        name = "the file itself" if side is None else f"for {side} pixels, from {found}"
        print(f"{name:34s} {best * 1e3:8.2f} ms")


def whole_mean(bank: SegmentBank, wanted: list[tuple[int, int] | None]) -> float:
    """Returns the mean seconds to load all segments, each for its target size."""
    begun = time.perf_counter()
    for index, size in enumerate(wanted):
        bank.load(index, size)
    return (time.perf_counter() - begun) / len(wanted)


def scaled(size: tuple[int, int], side: int | None) -> tuple[int, int] | None:
    """Scales a size to another longer side, without enlarging it."""
    part = None if side is None else min(side / max(size), 1)
    return part and tuple(max(round(each * part), 1) for each in size)


def measure_building(folder: Path, number: int) -> None:
    """Prints the peak memory of listing so many files and of building their index."""
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2:6, 2:6] = 255
    png = cv2.imencode(".png", rgba)[1].tobytes()
    for index in range(number):
        path = folder / "files" / f"category_{index % 100:03d}" / "small_red_thing" / f"{index:08d}.png"
        if index < 100:
            path.parent.mkdir(parents=True)
        path.write_bytes(png)
    for task in ("imports", "lists", "builds"):
        command = [sys.executable, __file__, "--measure", str(folder), "--task", task]
        print(
            f"{task:34s} {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip():>8s} MiB"
        )


def peak(folder: Path, task: str) -> int:
    """Returns the peak memory of this process in MiB after one task."""
    if task != "imports":
        records = read_folder(folder / "files")
        if task == "builds":
            build_index(records, folder / "bank.arrow", copies=(4096,), progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def mean(number: int, call: Callable[[int], object]) -> float:
    """Returns the mean seconds of a call in the best of five runs, after a warm-up."""
    for index in range(min(_WARM, number)):
        call(index)
    runs = []
    for start in range(0, number, max(number // 5, 1)):
        stop = min(start + max(number // 5, 1), number)
        begun = time.perf_counter()
        for index in range(start, stop):
            call(index)
        runs.append((time.perf_counter() - begun) / (stop - start))
    return min(runs)


def main() -> None:
    """Runs the requested measurements; measures rows by default."""
    args = parse_args()
    if args.measure:
        path = Path(args.measure)
        print(peak(path, args.task) if args.task else json.dumps(measure(path, args.draws)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.loads:
            measure_loads(Path(folder), args.loads, tuple(args.copies))
        if args.builds:
            measure_building(Path(folder), args.builds)
        if args.rows or not (args.loads or args.builds):
            measure_rows(Path(folder) / "made_up.arrow", args)


def measure_rows(path: Path, args: argparse.Namespace) -> None:
    """Writes the index and prints the measurements of a fresh process on it."""
    rows = args.rows or 1_000_000
    write_made_up_index(path, rows, args.categories)
    print_measurements(path, rows, args.categories, "--draws", str(args.draws))


def print_measurements(path: Path, rows: int, categories: int, *options: str) -> None:
    """Prints the size of an index, and what a fresh process measures on it."""
    print(f"{rows} rows, {categories} categories, {path.stat().st_size / 2**20:.0f} MiB")
    command = [sys.executable, __file__, "--measure", str(path), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for name, figure in json.loads(done.stdout).items():
        shown = f"{figure:.0f} B" if "bytes" in name else f"{figure * 1e6:.1f} us"
        print(f"{name:26s} {shown:>14s}")


if __name__ == "__main__":
    main()
