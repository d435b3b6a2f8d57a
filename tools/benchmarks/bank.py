"""How fast a large bank opens and is drawn from: `python tools/benchmarks/bank.py --rows 10000000`.

Writes an index of made-up rows (about 270 bytes each) and measures in fresh processes.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sos_mm.segments import Filters, SegmentBank
from sos_mm.segments import index as index_module

# Calls before the measured ones.
_WARM = 100


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--categories", type=int, default=47_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--folder", help="where to write the index (default: a temporary folder)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_made_up_index(path: Path, rows: int, categories: int) -> None:
    """Writes rows that differ in category and id alone, batch by batch."""
    pa = index_module.arrow()
    counts = np.diff(np.linspace(0, rows, categories + 1).astype(np.int64))
    names = np.array([f"category_{place:06d}" for place in range(categories)])
    kind = index_module.schema(index_module.about(names.tolist(), counts, "/data"))
    batch_rows = index_module._ROWS
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
            place = np.searchsorted(edges, np.arange(start, start + number), side="right")
            own = {"category": pa.array(names[place], pa.string())}
            own["source_id"] = pa.array(np.arange(start, start + number)).cast(pa.string())
            columns = [_column(pa, field, own, fixed, number) for field in kind]
            writer.write_batch(pa.record_batch(columns, schema=kind))


def _column(pa, field, own: dict, fixed: dict, number: int):
    if field.name in own:
        return own[field.name]
    if field.name in fixed:
        return fixed[field.name].slice(0, number)
    if field.type == pa.string():
        return pa.array([""] * number, pa.string())
    return pa.array(np.ones(number, np.int64)).cast(field.type)


def measure(path: Path, draws: int) -> dict[str, float]:
    """Seconds of each step, in a process that has done nothing else."""
    index_module.arrow()
    figures, start = {}, time.perf_counter()
    bank = SegmentBank.from_index(path)
    figures["open"] = time.perf_counter() - start
    rng = np.random.default_rng(0)
    bank = bank.weighted(dict.fromkeys(bank.categories[::2], 2.0))
    for strategy in ("category", "uniform", "weighted"):
        figures[f"draw one, {strategy}"] = mean(draws, lambda i, strategy=strategy: bank.sample(rng, 1, strategy))
    figures["draw 12 of one category"] = mean(draws // 10, lambda i: bank.sample(rng, 12, "single_category"))
    places = bank.sample(rng, draws).tolist()
    figures["make a record"] = mean(draws, lambda i: bank.records[places[i]])
    start = time.perf_counter()
    data = pickle.dumps(SegmentBank(bank.records))
    pickle.loads(data)
    figures["pickle and open again"] = time.perf_counter() - start
    figures["bytes pickled"] = len(data)
    start = time.perf_counter()
    bank.select(Filters(area=(1, 10), soft=1.0))
    figures["filter by area"] = time.perf_counter() - start
    return figures


def mean(number: int, call: Callable[[int], object]) -> float:
    """Mean seconds of a call, after some that are not counted."""
    for place in range(min(_WARM, number)):
        call(place)
    start = time.perf_counter()
    for place in range(number):
        call(place)
    return (time.perf_counter() - start) / number


def main() -> None:
    """Writes the index and prints what a fresh process measures on it."""
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(Path(args.measure), args.draws)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "made_up.arrow"
        write_made_up_index(path, args.rows, args.categories)
        print(f"{args.rows} rows, {args.categories} categories, {path.stat().st_size / 2**20:.0f} MiB")
        command = [sys.executable, __file__, "--measure", str(path), "--draws", str(args.draws)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    for name, figure in json.loads(done.stdout).items():
        shown = f"{figure:.0f} B" if "bytes" in name else f"{figure * 1e6:.1f} us"
        print(f"{name:26s} {shown:>14s}")


if __name__ == "__main__":
    main()
