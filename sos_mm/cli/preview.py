"""Draws nine images of a recipe on one contact sheet, without and with masks: `sos-mm preview my_recipe.py`.

They are the first nine images of the data set that `sos-mm synthesize` generates from the recipe with the same seed,
before JPEG encoding. Only the sheet is written. An existing sheet is overwritten, any other file is not.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sos_mm.cli.ending import command
from sos_mm.cli.parsing import add_recipe, new_parser
from sos_mm.synthesis import load_recipe
from sos_mm.synthesis.contact_sheet import check_sheet_path, contact_sheet, write_sheet
from sos_mm.synthesis.making import ShardMaker
from sos_mm.synthesis.photographs import unusable_photographs

IMAGES = 9


def parse_args(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = new_parser("preview", __doc__, prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_recipe(parser, example="layout.counts=3,12")
    parser.add_argument("--out", default="preview.png", help="the sheet, a PNG file (default: preview.png)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default: 0)")
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes the sheet and prints its path."""
    args = parse_args(argv, prog)
    check_sheet_path(args.out)
    recipe = load_recipe(args.recipe, args.cfg_options)
    # That of a data set, which checks the recipe's categories too.
    maker = ShardMaker(recipe, args.seed).scenes
    maker.leave_out(unusable_photographs(maker.backgrounds, args.seed, IMAGES, progress=False))
    scenes = [maker.make(index) for index in range(IMAGES)]
    height, width = recipe.canvas
    title = f"{Path(args.recipe).name}   seed {args.seed}   {width} x {height} pixels"
    write_sheet(args.out, contact_sheet(scenes, title))
    print(args.out)
