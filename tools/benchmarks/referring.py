"""How many scenes get their facts and expressions in a second, and how many expressions are verified.

python tools/benchmarks/referring.py                        # 12 objects an image, several categories and a single one
python tools/benchmarks/referring.py --objects 20 --profile

Times are of the processor, one process; of each image the fastest run counts. Facts are new for each image; a sentence
is verified on facts that its image already has, as in a data set whose expressions are checked one after the other. A
sentence that differs from an earlier one in nouns and adjectives alone is not parsed anew, so the first run, in which
most sentences are, is printed too.
"""

import argparse
import cProfile
import pstats
import time
from dataclasses import replace

import numpy as np

from sos_mm.referring.from_scene import annotated
from sos_mm.referring.phrasing import write
from sos_mm.referring.verify import verify
from sos_mm.synthesis import Recipe, SceneMaker


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=12, help="objects an image, as far as they fit")
    parser.add_argument("--images", type=int, default=40, help="images of each kind")
    parser.add_argument("--repeat", type=int, default=3, help="of each image the fastest of so many runs counts")
    parser.add_argument("--language", default="en")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
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


def main() -> None:
    """Prints both rates for each kind of images."""
    args = parse_args()
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
