"""Compares composition with loops compiled by numba and without, in two processes that alternate image by image.

python tools/benchmarks/compiled_loops.py --canvas 1024 1024 --counts 5 19 --images 8 --light

The options are those of `composition.py`. Of each image the least processor time of `_REPEATS` counts, so that neither
the loading of segments and loops nor other work of the machine is measured.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import cv2
from composition import build_recipe, parse_args

from sos_mm.compiled import numba_version
from sos_mm.synthesis.making import ShardMaker

_REPEATS = 4
# Set in the processes that compose.
_COMPOSES = "SOS_MM_BENCHMARK_COMPOSES"


def main() -> None:
    """Starts the two processes, and prints the milliseconds of an image of each."""
    if os.environ.get(_COMPOSES):
        compose_on_request()
        return
    images = range(parse_args().images)
    if numba_version() is None:
        raise SystemExit("numba is not installed, or disabled: pip install -e '.[fast]'")
    processes = [start(plain) for plain in ("0", "1")]
    runs = [[[seconds_of(each, index) for each in processes] for index in images] for _ in range(_REPEATS)]
    for process in processes:
        process.communicate()
    compiled, plain = (mean_of_least([[pair[number] for pair in run] for run in runs]) * 1e3 for number in (0, 1))
    print(f"without numba {plain:.1f} ms, with numba {compiled:.1f} ms an image: {plain / compiled:.2f} times as fast")


def start(plain: str) -> subprocess.Popen:
    """Starts a process that composes images whose indices it reads; ``plain`` is '1' without numba."""
    env = {**os.environ, _COMPOSES: "1", "NUMBA_DISABLE_JIT": plain}
    return subprocess.Popen(
        [sys.executable, *sys.argv], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def seconds_of(process: subprocess.Popen, index: int) -> float:
    """Lets a process compose an image; returns the processor seconds that it took."""
    print(index, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def compose_on_request() -> None:
    """Composes and encodes the image of each index that is read, and prints its processor seconds."""
    cv2.setNumThreads(1)
    maker = ShardMaker(build_recipe(parse_args()), 0)
    for line in sys.stdin:
        began = time.process_time()
        maker.encode(maker.scenes.make(int(line)), int(line))
        print(json.dumps(time.process_time() - began), flush=True)


def mean_of_least(runs: Sequence[Sequence[float]]) -> float:
    """Returns the mean over images of the least seconds of several runs."""
    least = [min(of_image) for of_image in zip(*runs, strict=True)]
    return sum(least) / len(least)


if __name__ == "__main__":
    main()
