"""Measures how fast indices that several processes wrote are joined, with how much memory, and how the bank opens then.

python tools/benchmarks/bank_parts.py --rows 20000000 --parts 8 --workers 2

Each part has made-up rows (about 280 bytes each) of all categories, and is written by a process of its own. The disk
needs three times the size of the index. Memory is what processes have for themselves, without the pages of the files
that the system keeps for all of them.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

from bank import print_measurements, write_made_up_index

from sos_mm.segments import join_indices

_SAMPLED_S = 0.2


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--categories", type=int, default=47_000)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    return parser.parse_args()


def family(process: int) -> list[int]:
    """Returns a process and those that it started, and those started, by their ids."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(each for child in children for each in family(int(child)))]


def own_memory(process: int) -> int:
    """Returns the anonymous memory of a process in MiB, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon")), 0)


class Peak(threading.Thread):
    """Samples the memory of this process and its children until it is stopped.

    Attributes:
        own: Largest memory of this process in MiB.
        child: Largest memory of one of its children.
        together: Largest memory of all of them.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.own = self.child = self.together = 0
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Samples until `stop`."""
        while not self._ended.wait(_SAMPLED_S):
            own, *others = map(own_memory, family(os.getpid()) or [os.getpid()])
            self.own, self.child = max(self.own, own), max(self.child, *others, 0)
            self.together = max(self.together, own + sum(others))

    def stop(self) -> None:
        """Ends the samples."""
        self._ended.set()
        self.join()


def timed(peak: Peak, name: str, start: float, before: os.times_result) -> None:
    """Prints the duration of a step, its processor time in all processes, and the memory."""
    peak.stop()
    now = os.times()
    busy = sum(now[:4]) - sum(before[:4])
    print(
        f"{name:24s} {time.perf_counter() - start:8.1f} s, {busy:8.1f} s of processors, memory: this process "
        f"{peak.own} MiB, a worker at most {peak.child} MiB, together {peak.together} MiB",
        flush=True,
    )


def main() -> None:
    """Writes the parts, joins them, and measures the bank in a fresh process."""
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder, rows = Path(name), args.rows // args.parts
        parts = [folder / f"part-{number}.arrow" for number in range(args.parts)]
        peak, start, before = Peak(), time.perf_counter(), os.times()
        with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
            tasks = [(path, rows, args.categories, index * rows) for index, path in enumerate(parts)]
            pool.starmap(write_made_up_index, tasks, chunksize=1)
            pool.close()
            pool.join()
        timed(peak, f"{args.parts} parts written", start, before)
        bank = folder / "bank.arrow"
        peak, start, before = Peak(), time.perf_counter(), os.times()
        join_indices(parts, bank, workers=args.workers)
        timed(peak, "joined", start, before)
        print_measurements(bank, rows * args.parts, args.categories)


if __name__ == "__main__":
    main()
