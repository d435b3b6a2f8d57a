"""Measures how far composed objects are enlarged: a histogram over a recipe's images, for several limits.

python tools/benchmarks/enlargement.py my_recipe.py --num 200 --limits none 1.5

where `my_recipe.py` inherits `configs/synthesis/fc_like.py` and takes its segments from photographs:
`segments = dict(_delete_=True, type="index", path="photos.arrow")`.

An object's enlargement is the factor between its pixels in the bank and those in the image. `--sheets DIR` writes the
images too, for inspection.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import DictAction

from sos_mm.synthesis import Recipe, load_recipe
from sos_mm.synthesis.scenes import SceneMaker

EDGES = (0, 0.25, 0.5, 1, 1.51, 2, 4, 8, np.inf)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="recipe file")
    parser.add_argument("--num", type=int, default=200, help="images a limit (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limits", nargs="+", default=["none", "1.5"], help="values of max_enlargement, or none")
    parser.add_argument("--sheets", type=Path, help="folder for the images")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="override settings of the recipe")
    return parser.parse_args()


def enlargements(recipe: Recipe, seed: int, num: int, sheets: Path | None) -> Iterator[tuple[float, bool]]:
    """Yields the enlargement of each object, and whether the limit reduced it."""
    maker = SceneMaker(recipe, seed)
    sizes = {maker.bank.record(index).source_id: maker.bank.info(index).size for index in range(len(maker.bank))}
    for index in range(num):
        scene = maker.make(index)
        for each in scene.objects:
            x0, y0, x1, y1 = each.placement.box
            height, width = sizes[each.segment_id]
            yield min((y1 - y0) / height, (x1 - x0) / width), each.placement.limited
        if sheets:
            cv2.imwrite(str(sheets / f"{index:04d}.png"), cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))


def main() -> None:
    """Prints a line for each limit."""
    args = parse_args()
    recipe = load_recipe(args.recipe, args.cfg_options)
    print("limit, objects, held small, above 1.5, 2 and 4, histogram over", *EDGES)
    for word in args.limits:
        limit = None if word == "none" else float(word)
        sheets = args.sheets and args.sheets / word
        if sheets:
            sheets.mkdir(parents=True, exist_ok=True)
        limited = replace(recipe, layout={**recipe.layout, "max_enlargement": limit})
        factors, held = map(np.array, zip(*enlargements(limited, args.seed, args.num, sheets), strict=True))
        above = (f"{(factors > bound + 0.01).mean():.1%}" for bound in (1.5, 2, 4))
        print(word, len(factors), f"{held.mean():.1%}", *above, np.histogram(factors, EDGES)[0].tolist())


if __name__ == "__main__":
    main()
