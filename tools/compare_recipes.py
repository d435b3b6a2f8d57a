"""Draws the same scenes as several recipes make them, in a row each: a figure of an ablation.

python tools/compare_recipes.py configs/synthesis/ablations/{naive,relit,relit_blended}.py --out ablation.png

The recipes must differ in their effects alone for the scenes to be the same: layout, segments and backgrounds are drawn
from the seed and the number of the image. `--cfg-options` applies to all recipes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sos_mm.cli.ending import command
from sos_mm.synthesis import SceneMaker, load_recipe
from sos_mm.synthesis.contact_sheet import check_sheet_path, comparison_sheet, write_sheet
from sos_mm.synthesis.recipe import config_module


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help="config files, one a column")
    parser.add_argument("--out", required=True, help="the figure, a PNG file")
    parser.add_argument("--num", type=int, default=3, help="number of scenes (default: 3)")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes (default: 0)")
    parser.add_argument("--side", type=int, default=320, help="longer side of a drawn image (default: 320)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=config_module().DictAction,
        default={},
        metavar="KEY=VALUE",
        help="as elsewhere",
    )
    return parser.parse_args(argv)


@command()
def main(argv: Sequence[str] | None = None) -> None:
    """Draws the figure and prints its path."""
    args = parse_args(argv)
    check_sheet_path(args.out)
    columns = {}
    for path in args.recipes:
        maker = SceneMaker(load_recipe(path, args.cfg_options), args.seed)
        columns[Path(path).stem] = [maker.make(index) for index in range(args.first, args.first + args.num)]
    write_sheet(args.out, comparison_sheet(columns, args.side))
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
