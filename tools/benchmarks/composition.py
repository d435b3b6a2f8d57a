"""How many images a second one process composes, alone and with writing.

python tools/benchmarks/composition.py                                  # the bundled sample, 384x384, 1-6 objects
python tools/benchmarks/composition.py --canvas 1024 1024 --counts 12 12
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sos_mm.composition import compose
from sos_mm.segments import SegmentBank
from sos_mm.synthesis import Recipe, SceneMaker
from sos_mm.synthesis.shards import open_folder, write_shard
from sos_mm.synthesis.writers import saliency_files


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canvas", type=int, nargs=2, default=(384, 384), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--counts", type=int, nargs=2, default=(1, 6), metavar=("LEAST", "MOST"))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--root", help="segments laid out as the released ones, instead of the bundled bank")
    parser.add_argument("--metadata", help="their JSON file")
    parser.add_argument("--backgrounds", help="folder of photographs, instead of the bundled ones")
    return parser.parse_args()


def build_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that the arguments describe."""
    layout = {"type": "StructuredLayout", "counts": tuple(args.counts), "crowded": "fewer"}
    recipe = Recipe(canvas=tuple(args.canvas), layout=layout)
    if args.root:
        recipe = replace(recipe, segments={"type": "release", "root": args.root, "metadata": args.metadata})
    if args.backgrounds:
        recipe = replace(recipe, backgrounds={"type": "folder", "root": args.backgrounds})
    return recipe


def measure(what: str, number: int, call: Callable[[int], object]) -> None:
    """Prints the mean time of a call."""
    call(0)
    start = time.perf_counter()
    for index in range(number):
        call(index)
    seconds = (time.perf_counter() - start) / number
    print(f"{what:34s} {seconds * 1e3:7.2f} ms {1 / seconds:8.1f} /s")


def main() -> None:
    """Measures the parts one after the other, on one thread."""
    args = parse_args()
    cv2.setNumThreads(1)
    recipe = build_recipe(args)
    maker = SceneMaker(recipe, seed=0)
    cold = SceneMaker(recipe, seed=0)
    cold.bank = SegmentBank(cold.bank.records, cache_bytes=0)
    rng = np.random.default_rng(0)
    number = args.counts[1]
    segments = [maker.bank.load(index) for index in maker.bank.sample(rng, number)]
    layouts = [maker.layout.plan(rng, segments, recipe.canvas) for _ in range(args.images)]
    background = maker.backgrounds.sample(rng, recipe.canvas)
    scenes = [maker.make(index) for index in range(args.images)]
    print(f"{args.canvas[1]}x{args.canvas[0]}, {args.counts[0]}-{args.counts[1]} objects, one process, one thread")
    measure(f"plan, {number} objects", args.images, lambda i: maker.layout.plan(rng, segments, recipe.canvas))
    measure("background", args.images, lambda i: maker.backgrounds.sample(rng, recipe.canvas))
    measure(f"compose, {number} objects", args.images, lambda i: compose(background, layouts[i], segments))
    measure("encode", args.images, lambda i: saliency_files(scenes[i], str(i)))
    measure("scene (plan, background, compose)", args.images, maker.make)
    measure("scene with decoding", args.images, cold.make)
    with tempfile.TemporaryDirectory() as folder:
        open_folder(Path(folder), {"num": args.images})
        start = time.perf_counter()
        images = ((saliency_files(cold.make(i), f"{i:08d}"), 1) for i in range(args.images))
        write_shard(Path(folder), 0, images)
        seconds = (time.perf_counter() - start) / args.images
    print(f"{'scene with decoding and writing':34s} {seconds * 1e3:7.2f} ms {1 / seconds:8.1f} /s")


if __name__ == "__main__":
    main()
