"""How many scenes get their facts and expressions in a second, and how many expressions are verified.

python tools/benchmarks/referring.py                        # 12 objects an image, several categories and a single one
python tools/benchmarks/referring.py --objects 20 --profile
python tools/benchmarks/referring.py --recipe configs/synthesis/sample_referring.py    # what expressions cost a recipe

Times are of the processor, one process; of each image the fastest run counts. Facts are new for each image; a sentence
is verified on facts that its image already has, as in a data set whose expressions are checked one after the other. A
sentence that differs from an earlier one in nouns and adjectives alone is not parsed anew, so the first run, in which
most sentences are, is printed too.

`--recipe` makes data sets in turn without and with the format 'referring' of the recipe, each in a process of its own
with one worker, and prints the processor time of each and of all: start, composing, writing and merging.
"""

import argparse
import cProfile
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from sos_mm.referring.from_scene import annotated
from sos_mm.referring.phrasing import write
from sos_mm.referring.verify import verify
from sos_mm.synthesis import Recipe, SceneMaker, load_recipe

_TOOL = Path(__file__).resolve().parents[1] / "synthesize.py"


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=12, help="objects an image, as far as they fit")
    parser.add_argument("--images", type=int, default=40, help="images of each kind")
    parser.add_argument("--repeat", type=int, default=3, help="of each image the fastest of so many runs counts")
    parser.add_argument("--language", default="en")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--recipe", type=Path, help="compare this recipe with and without expressions instead")
    parser.add_argument("--num", type=int, default=200, help="images of each data set of --recipe")
    return parser.parse_args()


def make_images(sampling: str, objects: int, number: int) -> list:
    """Annotated images of the bundled sample."""
    layout = {"type": "StructuredLayout", "counts": (objects, objects), "crowded": "fewer"}
    recipe = Recipe(canvas=(384, 384), layout=layout, sampling=sampling, backgrounds={"type": "gradient"}, group="all")
    maker = SceneMaker(recipe, 0)
    return [annotated(maker.make(index), {"object", *maker.bank.categories}) for index in range(number)]


def write_all(images: list, language: str) -> tuple[list, np.ndarray]:
    """The expressions of images without facts yet, and the seconds that each image took."""
    written, seconds = [], np.empty(len(images))
    for index, image in enumerate(images):
        image, rng = replace(image), np.random.default_rng(index)
        start = time.process_time()
        written.append((image, write(image, rng, language)))
        seconds[index] = time.process_time() - start
    return written, seconds


def verify_all(written: list, language: str) -> np.ndarray:
    """The seconds that it takes to verify the expressions of each image."""
    seconds = np.empty(len(written))
    for index, (image, out) in enumerate(written):
        start = time.process_time()
        for each in out:
            verify(image, each.text, each.targets, language)
        seconds[index] = time.process_time() - start
    return seconds


def seconds_of(recipe: Path, formats: list, number: int) -> float:
    """Makes a data set of a recipe in a process of its own; returns its processor time, user and system."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.py"
        path.write_text(f"_base_ = {str(recipe.resolve())!r}\nformats = {formats!r}\n", encoding="utf-8")
        command = [sys.executable, _TOOL, path, "--out", Path(folder) / "out", "--num", number, "--workers", 1]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_recipe(path: Path, number: int, repeat: int) -> None:
    """Prints the processor time of data sets without and with the format 'referring' of a recipe."""
    formats = [*load_recipe(path).formats]
    rest = [each for each in formats if "referring" not in (each, each.get("type") if isinstance(each, dict) else "")]
    if len(rest) == len(formats):
        raise SystemExit(f"{path} must have the format 'referring' to be compared without it, but has {formats}.")
    seconds_of(path, formats, 1)  # Loops are compiled once on each machine.
    found: list[tuple[float, float]] = []
    for _ in range(repeat):
        found.append((seconds_of(path, rest, number), seconds_of(path, formats, number)))
        print(f"{number} images: without {found[-1][0]:.2f} s, with expressions {found[-1][1]:.2f} s", flush=True)
    for name, of in (("medians", statistics.median), ("least", min)):
        without, with_them = (of(each) for each in zip(*found, strict=True))
        print(f"{name}: {without:.2f} s and {with_them:.2f} s, {100 * (with_them / without - 1):+.1f} %")


def main() -> None:
    """Prints both rates for each kind of images, or what expressions cost a recipe."""
    args = parse_args()
    if args.recipe:
        compare_recipe(args.recipe, args.num, args.repeat)
        return
    for sampling in ("category", "single_category"):
        images = make_images(sampling, args.objects, args.images)
        runs = [write_all(images, args.language) for _ in range(args.repeat)]
        written, first = runs[-1][0], runs[0][1].sum()
        seconds = np.min([each for _, each in runs], axis=0).sum()
        number = sum(len(out) for _, out in written)
        checking = np.min([verify_all(written, args.language) for _ in range(args.repeat)], axis=0).sum()
        print(
            f"{sampling}: {sum(len(each.instances) for each in images) / len(images):.1f} objects and "
            f"{number / len(images):.1f} expressions an image; {len(images) / seconds:.0f} scenes/s "
            f"({len(images) / first:.0f} in the first run), {number / checking:.0f} expressions/s verified"
        )
        if args.profile:
            profile = cProfile.Profile()
            profile.runcall(write_all, images, args.language)
            pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
